//! What a task needs to know about the physics after a control step.

use mujoco_rs::prelude::{MjData, MjModel, MjtObjBase};
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion, Vector3};
use std::sync::Arc;
use twinhost_plugin_api::{Error, Result};

use crate::config::TaskKind;
use crate::scene::HANDLE_IN_DRAWER;

pub type Data = MjData<Arc<MjModel>>;

/// Positions in `qpos` and `qvel`: seven arm joints, two fingers, then the object's free joint or the drawer's slide.
pub const FINGERS: std::ops::Range<usize> = 7..9;
pub const THING: usize = 9;

/// Least normal force of a finger that holds something, newtons.
const GRASP_FORCE: f64 = 0.5;
/// Largest angle between that force and the opening direction, degrees.
const GRASP_ANGLE: f64 = 85.0;

/// Which part of the scene a geom belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    FingerLeft,
    FingerRight,
    /// The object or the drawer.
    Thing,
    Tray,
    Other,
}

/// Indices into the model, equal for all objects of a task.
#[derive(Clone, Debug)]
pub struct SceneIds {
    owners: Vec<Owner>,
    tcp_site: usize,
    hand_body: usize,
    thing_body: usize,
    pub cameras: Vec<(String, usize)>,
}

impl SceneIds {
    /// # Errors
    /// If the model lacks a part, which would be a bug of the scene generator.
    pub fn of(model: &MjModel, task: TaskKind) -> Result<Self> {
        let find = |kind: MjtObjBase, name: &str| {
            model.name_to_id(kind, name).ok_or_else(|| Error::internal(format!("the generated scene has no `{name}`")))
        };
        let body = |name: &str| find(MjtObjBase::mjOBJ_BODY, name);
        let (thing, tray) = match task {
            TaskKind::PickPlace => (body("object")?, body("tray")?),
            TaskKind::PushCube => (body("object")?, body("goal")?),
            TaskKind::OpenDrawer | TaskKind::CloseDrawer => (body("drawer")?, body("cabinet")?),
        };
        let (left, right) = (body("finger_left")?, body("finger_right")?);
        let owners = model
            .geom_bodyid()
            .iter()
            .map(|&b| match b as usize {
                b if b == left => Owner::FingerLeft,
                b if b == right => Owner::FingerRight,
                b if b == thing => Owner::Thing,
                b if b == tray => Owner::Tray,
                _ => Owner::Other,
            })
            .collect();
        let mut cameras = Vec::new();
        for name in crate::config::CAMERAS {
            cameras.push((name.to_string(), find(MjtObjBase::mjOBJ_CAMERA, name)?));
        }
        Ok(Self { owners, tcp_site: find(MjtObjBase::mjOBJ_SITE, "tcp")?, hand_body: body("hand")?, thing_body: thing, cameras })
    }
}

/// The state of the world in a task's terms.
#[derive(Clone, Debug)]
pub struct Measured {
    pub tcp: Isometry3<f64>,
    /// The object, or the drawer's handle.
    pub thing: Isometry3<f64>,
    /// Tray, push target or cabinet.
    pub place: Isometry3<f64>,
    /// Both fingers push on the thing from opposite sides.
    pub grasped: bool,
    /// Sum of the fingers' contact forces on the thing, newtons.
    pub finger_force: f64,
    /// Contact force between the thing and the tray, newtons.
    pub support_force: f64,
    /// Opening (m) and speed (m/s) of the drawer.
    pub drawer: (f64, f64),
    /// Positions of both fingers, metres; 0 is closed.
    pub fingers: [f64; 2],
}

fn isometry(position: &[f64; 3], quaternion: &[f64; 4]) -> Isometry3<f64> {
    let [w, x, y, z] = *quaternion;
    let rotation = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z));
    Isometry3::from_parts(Translation3::from(Vector3::from(*position)), rotation)
}

/// Reads the state after a physics step or `mj_forward`; positions must be current (`mj_kinematics`).
pub fn measure(data: &Data, ids: &SceneIds, task: TaskKind) -> Measured {
    let hand = isometry(&data.xpos()[ids.hand_body], &data.xquat()[ids.hand_body]);
    let tcp = Isometry3::from_parts(Translation3::from(Vector3::from(data.site_xpos()[ids.tcp_site])), hand.rotation);
    let opening = hand.rotation * Vector3::y();
    let (mut left, mut right) = (Vector3::zeros(), Vector3::zeros());
    let mut support_force = 0.0;
    for (i, contact) in data.contact().iter().enumerate() {
        let pair = contact.geom.map(|g| ids.owners.get(g as usize).copied().unwrap_or(Owner::Other));
        // MuJoCo's normal points from the first geom to the second; the force is the one on the second.
        let (other, sign) = match pair {
            [Owner::Thing, other] => (other, 1.0),
            [other, Owner::Thing] => (other, -1.0),
            _ => continue,
        };
        if other == Owner::Other {
            continue;
        }
        let f = data.contact_force(i);
        let frame = &contact.frame;
        let force: Vector3<f64> = (0..3).map(|k| Vector3::new(frame[3 * k], frame[3 * k + 1], frame[3 * k + 2]) * (f[k] * sign)).sum();
        match other {
            Owner::FingerLeft => left += force,
            Owner::FingerRight => right += force,
            Owner::Tray => support_force += force.norm(),
            Owner::Thing | Owner::Other => {}
        }
    }
    let presses =
        |force: &Vector3<f64>, outward: Vector3<f64>| force.norm() >= GRASP_FORCE && force.angle(&outward) <= GRASP_ANGLE.to_radians();
    let thing = isometry(&data.xpos()[ids.thing_body], &data.xquat()[ids.thing_body]);
    let (thing, drawer) = match task {
        TaskKind::PickPlace | TaskKind::PushCube => (thing, (0.0, 0.0)),
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => {
            (thing * Translation3::from(Vector3::from(HANDLE_IN_DRAWER)), (data.qpos()[THING], data.qvel()[THING]))
        }
    };
    Measured {
        tcp,
        thing,
        place: isometry(&data.mocap_pos()[0], &data.mocap_quat()[0]),
        grasped: presses(&left, opening) && presses(&right, -opening),
        finger_force: left.norm() + right.norm(),
        support_force,
        drawer,
        fingers: [data.qpos()[FINGERS.start], data.qpos()[FINGERS.start + 1]],
    }
}
