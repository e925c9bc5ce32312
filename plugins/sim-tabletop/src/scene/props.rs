//! What stands on the table: the object, the tray, the push target and the drawer cabinet.
//!
//! Tray, target and cabinet are mocap bodies: they hold still, and every episode may place them elsewhere.

use std::fmt::Write as _;

use super::{FURNITURE, GHOST, LOOSE, VACANT, triple};
use crate::config::TaskKind;
use crate::gap::Gap;
use crate::objects::{Object, Part, Shape, Tone};

/// Half the tray's inner edge, metres.
pub const TRAY_HALF: f64 = 0.065;
const TRAY_WALL: f64 = 0.004;
const TRAY_HEIGHT: f64 = 0.018;
/// Radius of the push target.
pub const GOAL_RADIUS: f64 = 0.1;
/// How far the drawer opens, metres.
pub const DRAWER_TRAVEL: f64 = 0.15;
/// Centre of the handle in the drawer's frame, metres.
pub const HANDLE_IN_DRAWER: [f64; 3] = [-0.155, 0.0, 0.09];
const HANDLE_HALF: [f64; 3] = [0.042, 0.007, 0.030];

/// Each object model has the same slots; an object fills one slot per part.
const SLOTS: [Shape; 5] = [Shape::Box, Shape::Box, Shape::Cylinder, Shape::Cylinder, Shape::Sphere];

pub fn bodies(xml: &mut String, task: TaskKind, gap: &Gap, object: &Object) {
    match task {
        TaskKind::PickPlace => {
            loose_object(xml, gap, object);
            tray(xml, gap);
        }
        TaskKind::PushCube => {
            loose_object(xml, gap, object);
            goal(xml);
        }
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => cabinet(xml, gap, object),
    }
}

fn fade(rgb: [f64; 3], gap: &Gap) -> [f64; 3] {
    let grey = (rgb[0] + rgb[1] + rgb[2]) / 3.0;
    rgb.map(|c| c + gap.fading * (grey - c))
}

fn loose_object(xml: &mut String, gap: &Gap, object: &Object) {
    // Inertia of the bounding box about its centre, also for round and composed shapes: a centre of mass elsewhere would change the
    // sparsity of MuJoCo's inertia matrix from object to object.
    let mass = gap.mass * object.mass;
    let [x, y, z] = object.half.map(|h| h * h);
    let inertia = triple([y + z, x + z, x + y].map(|sum| mass / 3.0 * sum));
    let _ = writeln!(xml, r#"<body name="object"><freejoint name="object"/><inertial pos="0 0 0" mass="{mass}" diaginertia="{inertia}"/>"#);
    let mut parts: Vec<&Part> = object.parts.iter().collect();
    for (slot, shape) in SLOTS.iter().enumerate() {
        let kind = match shape {
            Shape::Box => "box",
            Shape::Cylinder => "cylinder",
            Shape::Sphere => "sphere",
        };
        // A rolling ball needs rolling friction.
        let condim = if *shape == Shape::Sphere { 6 } else { 3 };
        let Some(at) = parts.iter().position(|p| p.shape == *shape) else {
            let _ = writeln!(
                xml,
                r#"<geom name="object_{slot}" type="{kind}" size="0.001 0.001 0.001" rgba="0 0 0 0" {VACANT} condim="{condim}"/>"#
            );
            continue;
        };
        let part = parts.remove(at);
        let rgb = match part.tone {
            Tone::Main => object.rgb,
            Tone::Accent => [0.93, 0.93, 0.90],
        };
        let _ = writeln!(
            xml,
            r#"<geom name="object_{slot}" type="{kind}" pos="0 0 {z}" size="{size}" rgba="{rgb} 1" {LOOSE} condim="{condim}" friction="{friction} 0.005 {rolling}"/>"#,
            z = part.z,
            size = triple(part.size),
            rgb = triple(fade(rgb, gap)),
            friction = 0.8 * gap.friction,
            rolling = if part.shape == Shape::Sphere { 0.003 } else { 0.0001 },
        );
    }
    xml.push_str("</body>\n");
}

fn tray(xml: &mut String, gap: &Gap) {
    let rgb = triple(gap.tray_rgb);
    let rim = triple(gap.tray_rgb.map(|c| 0.82 * c));
    let outer = TRAY_HALF + 2.0 * TRAY_WALL;
    let reach = TRAY_HALF + TRAY_WALL;
    let z = TRAY_HEIGHT / 2.0;
    let _ = writeln!(
        xml,
        r#"<body name="tray" mocap="true">
<geom name="tray" type="box" pos="0 0 0.002" size="{outer} {outer} 0.002" rgba="{rgb} 1" {FURNITURE} friction="{friction} 0.005 0.0001"/>
<geom type="box" pos="{reach} 0 {z}" size="{TRAY_WALL} {outer} {z}" rgba="{rim} 1" {FURNITURE}/>
<geom type="box" pos="-{reach} 0 {z}" size="{TRAY_WALL} {outer} {z}" rgba="{rim} 1" {FURNITURE}/>
<geom type="box" pos="0 {reach} {z}" size="{outer} {TRAY_WALL} {z}" rgba="{rim} 1" {FURNITURE}/>
<geom type="box" pos="0 -{reach} {z}" size="{outer} {TRAY_WALL} {z}" rgba="{rim} 1" {FURNITURE}/>
</body>"#,
        friction = 0.8 * gap.friction,
    );
}

fn goal(xml: &mut String) {
    let _ = writeln!(
        xml,
        r#"<body name="goal" mocap="true">
<geom type="cylinder" size="{GOAL_RADIUS} 0.0008" pos="0 0 0.0008" rgba="0.80 0.15 0.15 1" {GHOST}/>
<geom type="cylinder" size="{} 0.0011" pos="0 0 0.0011" rgba="0.95 0.95 0.95 1" {GHOST}/>
<geom type="cylinder" size="{} 0.0014" pos="0 0 0.0014" rgba="0.80 0.15 0.15 1" {GHOST}/>
</body>"#,
        0.66 * GOAL_RADIUS,
        0.33 * GOAL_RADIUS,
    );
}

/// A cabinet with one drawer that slides towards the robot; the handle is a fin that the gripper grasps from above.
fn cabinet(xml: &mut String, gap: &Gap, object: &Object) {
    let front = triple(fade(object.rgb, gap));
    let _ = writeln!(
        xml,
        r#"<body name="cabinet" mocap="true">
<geom type="box" pos="0.01 0 0.155" size="0.11 0.13 0.005" rgba="0.55 0.42 0.30 1" {FURNITURE}/>
<geom type="box" pos="0.01 0.125 0.075" size="0.11 0.005 0.075" rgba="0.50 0.38 0.27 1" {FURNITURE}/>
<geom type="box" pos="0.01 -0.125 0.075" size="0.11 0.005 0.075" rgba="0.50 0.38 0.27 1" {FURNITURE}/>
<geom type="box" pos="0.115 0 0.075" size="0.005 0.12 0.075" rgba="0.45 0.34 0.24 1" {FURNITURE}/>
<geom type="box" pos="0.01 0 0.015" size="0.11 0.12 0.015" rgba="0.45 0.34 0.24 1" {FURNITURE}/>
<body name="drawer"><joint name="drawer" type="slide" axis="-1 0 0" range="0 {DRAWER_TRAVEL}" damping="4" frictionloss="{loss}" armature="0.05"/>
<geom name="drawer_front" type="box" pos="-0.106 0 0.09" size="0.007 0.118 0.055" mass="{panel}" rgba="{front} 1" {FURNITURE} friction="{friction} 0.005 0.0001"/>
<geom type="box" pos="0 0.105 0.075" size="0.1 0.004 0.035" mass="{side}" rgba="0.75 0.68 0.58 1" {GHOST}/>
<geom type="box" pos="0 -0.105 0.075" size="0.1 0.004 0.035" mass="{side}" rgba="0.75 0.68 0.58 1" {GHOST}/>
<geom type="box" pos="0 0 0.042" size="0.1 0.105 0.003" mass="{side}" rgba="0.80 0.73 0.62 1" {GHOST}/>
<geom name="handle" type="box" pos="{handle}" size="{handle_half}" mass="{side}" rgba="0.92 0.92 0.92 1" {FURNITURE} friction="{friction} 0.005 0.0001"/>
</body>
</body>"#,
        loss = 1.5 * gap.drawer_friction,
        panel = 0.3 * gap.mass,
        side = 0.1 * gap.mass,
        friction = 0.8 * gap.friction,
        handle = triple(HANDLE_IN_DRAWER),
        handle_half = triple(HANDLE_HALF),
    );
}
