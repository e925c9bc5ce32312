//! The arm and its gripper: published kinematics and limits, masses of the published identification, shapes from primitives.

use std::fmt::Write as _;

use super::{Camera, GHOST, ROBOT, triple};
use crate::frustum::link_group;
use crate::gap::Gap;
use crate::kinematics::{BASE, DH, FLANGE, HAND_YAW, JOINT_HIGH, JOINT_LOW, JOINTS, TORQUE_LIMIT};

/// Link masses, kg (Gaz et al., "Dynamic identification of the Franka Emika Panda robot", RA-L 2019).
const LINK_MASS: [f64; JOINTS] = [4.970684, 0.646926, 3.228604, 3.587895, 1.225946, 1.666555, 0.735522];
/// Reflected rotor inertia, kg m^2.
const ARMATURE: f64 = 0.1;
/// ManiSkill's controller gains, N m/rad and N m s/rad; the force limit of 100 never binds before the joints' torque limits.
const STIFFNESS: f64 = 1e3;
const DAMPING: f64 = 1e2;
const GRIPPER_FORCE: f64 = 100.0;
/// Commanded finger positions, metres: the closed command lies beyond contact so that closing squeezes.
pub const FINGER_CLOSED: f64 = -0.01;
pub const FINGER_OPEN: f64 = 0.04;

/// A capsule `(from, to, radius)`.
type Capsule = ([f64; 3], [f64; 3], f64);
/// Shell of each link in the link's frame; the first capsule carries the mass.
const SHELLS: [&[Capsule]; JOINTS] = [
    &[([0.0, 0.0, -0.19], [0.0, 0.0, -0.02], 0.062)],
    &[([0.0, 0.0, -0.05], [0.0, 0.0, 0.05], 0.062)],
    &[([0.0, 0.0, -0.22], [0.0, 0.0, -0.05], 0.060), ([0.02, 0.0, -0.02], [0.0825, 0.0, 0.0], 0.055)],
    &[([0.0, 0.0, -0.045], [0.0, 0.0, 0.045], 0.058)],
    &[([0.0, 0.0, -0.32], [0.0, 0.03, -0.06], 0.050)],
    &[([0.0, 0.0, -0.04], [0.0, 0.0, 0.03], 0.050), ([0.02, 0.0, 0.0], [0.088, 0.0, 0.0], 0.044)],
    &[([0.0, 0.0, 0.0], [0.0, 0.0, 0.07], 0.042)],
];

/// Contact spheres of a fingertip `(x, z)` in the finger's frame: two at the tip, one above, so that a grasp resists every rotation.
const PADS: [(f64, f64); 3] = [(-0.007, 0.046), (0.007, 0.046), (0.0, 0.027)];
const PAD_RADIUS: f64 = 0.008;

pub fn bodies(xml: &mut String, gap: &Gap) {
    let shell = triple(gap.robot_rgb);
    let hand = triple(gap.hand_rgb);
    let _ = writeln!(
        xml,
        r#"<body name="link0" pos="{}" gravcomp="1"><geom type="cylinder" fromto="0 0 0 0 0 0.14" size="0.075" rgba="{shell} 1" {GHOST}/>"#,
        triple(BASE)
    );
    for (i, row) in DH.iter().enumerate() {
        let joint = i + 1;
        let position = [row.a, -row.alpha.sin() * row.d, row.alpha.cos() * row.d];
        let (half_sin, half_cos) = (row.alpha / 2.0).sin_cos();
        let _ = writeln!(
            xml,
            r#"<body name="link{joint}" pos="{}" quat="{half_cos} {half_sin} 0 0" gravcomp="1"><joint name="joint{joint}" axis="0 0 1" range="{} {}" armature="{ARMATURE}" actuatorfrcrange="-{torque} {torque}" solreflimit="0.006 1"/>"#,
            triple(position),
            JOINT_LOW[i],
            JOINT_HIGH[i],
            torque = TORQUE_LIMIT[i],
        );
        let group = link_group(joint);
        for (k, (from, to, radius)) in SHELLS[i].iter().enumerate() {
            let mass = if k == 0 { LINK_MASS[i] } else { 0.0 };
            let _ = writeln!(
                xml,
                r#"<geom type="capsule" fromto="{} {}" size="{radius}" mass="{mass}" rgba="{shell} 1" group="{group}" {GHOST}/>"#,
                triple(*from),
                triple(*to)
            );
        }
    }
    let (sin, cos) = (HAND_YAW / 2.0).sin_cos();
    let _ = writeln!(
        xml,
        r#"<body name="hand" pos="0 0 {FLANGE}" quat="{cos} 0 0 {sin}" gravcomp="1">
<geom name="hand" type="box" pos="0 0 0.03" size="0.026 0.095 0.03" mass="0.73" rgba="{shell} 1" {ROBOT}/>
<geom type="box" pos="0 0 0.058" size="0.022 0.085 0.006" mass="0" rgba="{hand} 1" {GHOST}/>
<site name="tcp" pos="0 0 {tcp}" size="0.004" rgba="0 0 0 0"/>
{camera}"#,
        tcp = crate::kinematics::TCP,
        camera = Camera::wrist().mjcf(gap.wrist_offset, gap.wrist_tilt),
    );
    for (name, side) in [("finger_left", 1.0), ("finger_right", -1.0)] {
        let _ = writeln!(
            xml,
            r#"<body name="{name}" pos="0 0 0.0584" gravcomp="1"><joint name="{name}" type="slide" axis="0 {side} 0" range="0 0.04" armature="0.1"/>
<geom type="box" pos="0 {body_y} 0.018" size="0.0105 0.0075 0.018" mass="0.015" rgba="{hand} 1" {GHOST}/>
<geom type="box" pos="0 {tip_y} 0.044" size="0.0105 0.0065 0.0095" mass="0" rgba="0.05 0.05 0.05 1" {GHOST}/>"#,
            body_y = side * 0.0135,
            tip_y = side * 0.0065,
        );
        for (k, (x, z)) in PADS.iter().enumerate() {
            let _ = writeln!(
                xml,
                r#"<geom name="{name}_{k}" type="sphere" pos="{x} {y} {z}" size="{PAD_RADIUS}" mass="0" rgba="0 0 0 0" {ROBOT} condim="4" friction="{friction} 0.01 0.0001" solref="0.006 1" priority="1"/>"#,
                y = side * PAD_RADIUS,
                friction = 1.2 * gap.friction,
            );
        }
        xml.push_str("</body>\n");
    }
    xml.push_str(&"</body>".repeat(JOINTS + 2));
    xml.push('\n');
}

pub fn actuators(xml: &mut String, gap: &Gap) {
    xml.push_str("<tendon><fixed name=\"grip\"><joint joint=\"finger_left\" coef=\"0.5\"/><joint joint=\"finger_right\" coef=\"0.5\"/></fixed></tendon>\n");
    xml.push_str("<equality><joint joint1=\"finger_left\" joint2=\"finger_right\" solref=\"0.005 1\"/></equality>\n<actuator>\n");
    for joint in 1..=JOINTS {
        let _ = writeln!(
            xml,
            r#"<position name="joint{joint}" joint="joint{joint}" kp="{}" kv="{}" ctrlrange="{} {}"/>"#,
            STIFFNESS * gap.stiffness,
            DAMPING * gap.damping,
            JOINT_LOW[joint - 1],
            JOINT_HIGH[joint - 1],
        );
    }
    // The tendon's length is the mean of both fingers, and its force is shared by them: twice the gains give each finger its own.
    let _ = writeln!(
        xml,
        r#"<position name="grip" tendon="grip" kp="{}" kv="{}" ctrlrange="{FINGER_CLOSED} {FINGER_OPEN}" forcerange="-{force} {force}"/>"#,
        2.0 * STIFFNESS,
        2.0 * DAMPING,
        force = 2.0 * GRIPPER_FORCE,
    );
    xml.push_str("</actuator>\n");
}
