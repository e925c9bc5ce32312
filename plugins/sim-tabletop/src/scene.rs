//! The scene as MJCF text, generated from the task, one twin's gap parameters and one object.
//!
//! All scenes of a task have the same bodies, joints and geoms, so that one rendering context and one `MjData` serve every object:
//! parts that an object does not have are invisible and collide with nothing.
//!
//! Frames: z up, table top at z = 0, robot at x = -0.615 looking along +x. Units are MuJoCo's: m, kg, s, N.

mod arm;
mod props;

use mujoco_rs::prelude::MjModel;
use nalgebra::{Rotation3, Vector3};
use std::fmt::Write as _;
use twinhost_plugin_api::{Error, Result};

use crate::config::{TIMESTEP, TaskKind};
use crate::gap::Gap;
use crate::objects::Object;

pub use arm::{FINGER_CLOSED, FINGER_OPEN};
pub use props::{DRAWER_TRAVEL, GOAL_RADIUS, HANDLE_IN_DRAWER, TRAY_HALF};

/// Largest edge of an off-screen image, for films.
pub const MAX_RENDER: usize = 480;

/// Collision classes: robot parts meet objects and furniture but not each other, furniture never meets furniture.
const ROBOT: &str = r#"contype="1" conaffinity="0""#;
const LOOSE: &str = r#"contype="2" conaffinity="3""#;
const FURNITURE: &str = r#"contype="0" conaffinity="3""#;
/// Meets nothing, yet counts as a collision geom, so that it keeps its place in the model's tables.
const VACANT: &str = r#"contype="4" conaffinity="0""#;
const GHOST: &str = r#"contype="0" conaffinity="0""#;

fn triple(v: [f64; 3]) -> String {
    format!("{} {} {}", v[0], v[1], v[2])
}

/// Where the base camera stands and looks in each task: close to the work area, seeing object and goal at once.
fn viewpoint(task: TaskKind) -> (Vector3<f64>, Vector3<f64>, f64) {
    match task {
        TaskKind::PickPlace => (Vector3::new(0.42, -0.05, 0.56), Vector3::new(-0.14, -0.045, 0.05), 33.0),
        TaskKind::PushCube => (Vector3::new(0.52, -0.02, 0.66), Vector3::new(-0.03, 0.0, 0.02), 36.0),
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => (Vector3::new(-0.10, -0.66, 0.52), Vector3::new(0.02, -0.02, 0.07), 36.0),
    }
}

/// The element of a camera: where it would be without a gap (`frame` has the axes right, up and back), and how it is off.
struct Camera {
    name: &'static str,
    eye: Vector3<f64>,
    frame: Rotation3<f64>,
    fovy: f64,
}

impl Camera {
    fn base(task: TaskKind) -> Self {
        let (eye, target, fovy) = viewpoint(task);
        let back = (eye - target).normalize();
        let right = Vector3::z().cross(&back).normalize();
        Self { name: "base", eye, frame: Rotation3::from_basis_unchecked(&[right, back.cross(&right), back]), fovy }
    }

    /// On the hand, in the hand's frame: looks down between the fingers.
    fn wrist() -> Self {
        let (right, up) = (Vector3::y(), Vector3::new(0.94, 0.0, 0.34).normalize());
        Self {
            name: "wrist",
            eye: Vector3::new(0.08, 0.0, 0.03),
            frame: Rotation3::from_basis_unchecked(&[right, up, right.cross(&up)]),
            fovy: 75.0,
        }
    }

    /// `offset` in metres along, `tilt` in degrees (pitch, yaw, roll) about the camera's own axes.
    fn mjcf(&self, offset: [f64; 3], tilt: [f64; 3]) -> String {
        let Self { name, eye, frame, fovy } = self;
        let [pitch, yaw, roll] = tilt.map(f64::to_radians);
        let tilted = frame
            * Rotation3::from_axis_angle(&Vector3::y_axis(), yaw)
            * Rotation3::from_axis_angle(&Vector3::x_axis(), pitch)
            * Rotation3::from_axis_angle(&Vector3::z_axis(), roll);
        let position = eye + frame * Vector3::from(offset);
        let (x, y) = (tilted * Vector3::x(), tilted * Vector3::y());
        format!(
            r#"<camera name="{name}" pos="{}" xyaxes="{} {}" fovy="{fovy}"/>"#,
            triple(position.into()),
            triple(x.into()),
            triple(y.into())
        )
    }
}

/// Texture and material of each pattern, and a table top of that material. A texture belongs to the rendering context and the choice of a material to
/// a model's layout, so every version of a scene has all of them and shows one.
fn table_tops(gap: &Gap, patterns: &[f64]) -> (String, String) {
    let (mut assets, mut tops) = (String::new(), String::new());
    for (i, pattern) in patterns.iter().enumerate() {
        let dark = triple([1.0 - 0.6 * pattern; 3]);
        let colour = if *pattern == gap.table_pattern { format!("{} 1", triple(gap.table_rgb)) } else { "0 0 0 0".to_owned() };
        let _ = write!(
            assets,
            r#"<texture name="table{i}" type="2d" builtin="checker" rgb1="1 1 1" rgb2="{dark}" width="64" height="64"/>
<material name="table{i}" texture="table{i}" texrepeat="14 14" texuniform="false" specular="0" shininess="0"/>
"#
        );
        let _ = writeln!(
            tops,
            r#"<geom name="table_top{i}" type="box" pos="-0.1 0 -0.02" size="0.7 0.7 0.02" material="table{i}" rgba="{colour}" {GHOST}/>"#
        );
    }
    (assets, tops)
}

/// MJCF text of the task's scene with the given object. `patterns` are the contrasts that the table of some version has; that of `gap` is one.
pub fn mjcf(task: TaskKind, gap: &Gap, patterns: &[f64], object: &Object) -> String {
    let ambient = triple([gap.light_ambient; 3]);
    let (assets, tops) = table_tops(gap, patterns);
    let mut xml = String::with_capacity(16 * 1024);
    let _ = write!(
        xml,
        r#"<mujoco model="tabletop">
<compiler angle="radian" autolimits="true"/>
<option timestep="{TIMESTEP}" integrator="implicitfast" cone="pyramidal" impratio="5" iterations="12" ls_iterations="12" tolerance="1e-8"><flag multiccd="enable"/></option>
<size memory="2M"/>
<statistic extent="1.2" center="0 0 0.1" meansize="0.05"/>
<visual>
<quality shadowsize="0" numslices="12" numstacks="8" numquads="2"/>
<headlight ambient="{ambient}" diffuse="0.15 0.15 0.15" specular="0 0 0"/>
<map znear="0.02" zfar="10"/>
</visual>
<asset>
<texture name="sky" type="skybox" builtin="flat" rgb1="{sky}" rgb2="{sky}" width="16" height="96"/>
{assets}</asset>
<worldbody>
<light pos="{lamp}" dir="{lamp_dir}" directional="true" castshadow="false" ambient="0 0 0" diffuse="{diffuse}" specular="0.1 0.1 0.1"/>
{camera}
<geom name="table" type="plane" size="0 0 1" rgba="0 0 0 0" {FURNITURE} friction="{friction} 0.005 0.0001"/>
{tops}"#,
        sky = triple(gap.background_rgb),
        lamp = triple(gap.light_position),
        lamp_dir = triple(gap.light_position.map(|c| -c)),
        diffuse = triple([gap.light_diffuse; 3]),
        camera = Camera::base(task).mjcf(gap.camera_offset, gap.camera_tilt),
        friction = gap.friction,
    );
    arm::bodies(&mut xml, gap);
    props::bodies(&mut xml, task, gap, object);
    xml.push_str("</worldbody>\n");
    arm::actuators(&mut xml, gap);
    xml.push_str("</mujoco>\n");
    xml
}

/// Compiles the task's scene with the given object.
///
/// # Errors
/// If MuJoCo refuses the generated text, which would be a bug of this crate.
pub fn compile(task: TaskKind, gap: &Gap, patterns: &[f64], object: &Object) -> Result<MjModel> {
    MjModel::from_xml_string(&mjcf(task, gap, patterns, object))
        .map_err(|e| Error::internal(format!("MuJoCo refused the generated scene: {e}")))
}
