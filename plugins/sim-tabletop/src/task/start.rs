//! Where episodes start: the training regions and the unseen ones around them.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::config::TaskKind;
use crate::kinematics::{JOINTS, JointVector, REST, forward, inverse, pointing_down};
use crate::objects::Object;
use crate::random::normal;
use crate::scene::{DRAWER_TRAVEL, TRAY_HALF};

/// The distributions that a reset can name; the first is the training distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Train,
    /// Objects (shapes, colours) that never occur in training.
    OodObject,
    /// Start states outside the training regions, of objects and of the arm.
    OodStart,
}

pub const VARIANTS: [(&str, Variant); 3] =
    [("train", Variant::Train), ("ood_object", Variant::OodObject), ("ood_start", Variant::OodStart)];

/// Standard deviation of the arm's start joints (ManiSkill), radians.
const JOINT_NOISE: f64 = 0.02;
/// Unseen starts lie outside the training region, inside one this much larger.
const WIDER: f64 = 1.45;
/// Least distance between the object's centre and the tray's edge, metres.
const CLEARANCE: f64 = 0.05;
/// Object yaw, radians: seen and unseen.
const YAW: f64 = 0.2;
const OOD_YAW: f64 = 0.7;

/// Centre and half extents of a rectangle, metres.
struct Region {
    centre: [f64; 2],
    half: [f64; 2],
}

/// Where the object (or cabinet) and the tray stand. Pick and place: RL-Co's twin. Push: ManiSkill's, drawn in by 15 cm because its
/// far targets lie beyond the arm's comfortable reach.
fn regions(task: TaskKind) -> (Region, Region) {
    match task {
        TaskKind::PickPlace => {
            (Region { centre: [-0.098, -0.165], half: [0.1, 0.1] }, Region { centre: [-0.148, 0.06], half: [0.05, 0.075] })
        }
        TaskKind::PushCube => (Region { centre: [-0.15, 0.0], half: [0.08, 0.1] }, Region { centre: [0.0, 0.0], half: [0.0, 0.0] }),
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => {
            (Region { centre: [0.17, 0.0], half: [0.02, 0.06] }, Region { centre: [0.0, 0.0], half: [0.0, 0.0] })
        }
    }
}

/// How far in front of the cube the target's centre lies (ManiSkill: 0.1 + radius).
const PUSH_DISTANCE: f64 = 0.2;

/// The state that an episode starts from.
#[derive(Clone, Debug)]
pub struct Start {
    pub joints: JointVector,
    /// The object; unused by the drawer tasks.
    pub thing: Isometry3<f64>,
    /// Tray, push target or cabinet.
    pub place: Isometry3<f64>,
    /// Drawer opening, metres.
    pub drawer: f64,
}

fn within(region: &Region, spread: f64, rng: &mut ChaCha8Rng) -> [f64; 2] {
    std::array::from_fn(|i| region.centre[i] + spread * region.half[i] * rng.random_range(-1.0..=1.0))
}

/// A point of the wider region outside the training one.
fn outside(region: &Region, spread: f64, rng: &mut ChaCha8Rng) -> [f64; 2] {
    loop {
        let point = within(region, WIDER, rng);
        if (0..2).any(|i| (point[i] - region.centre[i]).abs() > spread.min(WIDER - 0.1) * region.half[i]) {
            return point;
        }
    }
}

fn flat(x: f64, y: f64, z: f64, yaw: f64) -> Isometry3<f64> {
    Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw))
}

/// Where the hand waits: above the work area, so that the camera sees all of it.
fn waiting(task: TaskKind) -> JointVector {
    let position = match task {
        TaskKind::PickPlace => Translation3::new(-0.13, -0.05, 0.25),
        TaskKind::PushCube => Translation3::new(-0.25, 0.0, 0.20),
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => Translation3::new(-0.16, 0.0, 0.25),
    };
    inverse(&JointVector::from(REST), &Isometry3::from_parts(position, pointing_down()))
}

/// Draws a start state. Deterministic in the generator's state.
pub fn draw(task: TaskKind, variant: Variant, spread: f64, object: &Object, rng: &mut ChaCha8Rng) -> Start {
    let unseen = variant == Variant::OodStart;
    let (first, second) = regions(task);
    let mut joints = waiting(task);
    for i in 0..JOINTS {
        joints[i] += JOINT_NOISE * normal(rng);
    }
    if unseen {
        // The arm waits 6 to 12 cm away from where training starts, at any side.
        let angle = rng.random_range(0.0..std::f64::consts::TAU);
        let radius = rng.random_range(0.06..0.12);
        let lift = rng.random_range(0.0..0.1);
        let mut pose = forward(&joints);
        pose.translation.vector += Vector3::new(radius * f64::cos(angle), radius * f64::sin(angle), lift);
        joints = inverse(&joints, &pose);
    }
    let height = object.half[2] + 0.0005;
    let yaw_range = if unseen { OOD_YAW } else { YAW * spread.min(1.0) };
    let sample = |rng: &mut ChaCha8Rng| if unseen { outside(&first, spread, rng) } else { within(&first, spread, rng) };
    match task {
        TaskKind::PickPlace => loop {
            let [x, y] = sample(rng);
            let [tx, ty] = within(&second, spread, rng);
            let gap = f64::max((x - tx).abs(), (y - ty).abs()) - TRAY_HALF;
            if gap >= CLEARANCE {
                let yaw = if yaw_range > 0.0 { rng.random_range(-yaw_range..yaw_range) } else { 0.0 };
                return Start { joints, thing: flat(x, y, height, yaw), place: flat(tx, ty, 0.0, 0.0), drawer: 0.0 };
            }
        },
        TaskKind::PushCube => {
            let [x, y] = sample(rng);
            Start { joints, thing: flat(x, y, height, 0.0), place: flat(x + PUSH_DISTANCE, y, 0.0, 0.0), drawer: 0.0 }
        }
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => {
            let [x, y] = sample(rng);
            let share = if task == TaskKind::OpenDrawer { 0.0 } else { rng.random_range(0.75..1.0) };
            Start { joints, thing: Isometry3::identity(), place: flat(x, y, 0.0, 0.0), drawer: share * DRAWER_TRAVEL }
        }
    }
}
