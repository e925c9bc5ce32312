//! Waypoint plans: a sequence of phases per task, each with a hand pose, a gripper command and a rule for when it is over.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::Rng as _;

use crate::config::TaskKind;
use crate::controller::ACTION_DIM;
use crate::kinematics::{pointing_down, pose_error};
use crate::random::{Purpose, normal, rng};
use crate::scene::{DRAWER_TRAVEL, HANDLE_IN_DRAWER};

/// What the expert sees of one environment.
#[derive(Clone, Debug)]
pub struct Scene {
    pub task: TaskKind,
    pub eef: Isometry3<f64>,
    /// The controller's goal, which actions move.
    pub goal: Isometry3<f64>,
    pub thing: Isometry3<f64>,
    pub place: Isometry3<f64>,
    pub half: Vector3<f64>,
    /// Distance between the fingers, metres.
    pub gripper: f64,
    pub scale: (f64, f64),
}

impl Scene {
    /// What the next step of a chunk starts from: the arm follows its goal with the lag of its controllers, and a closed hand takes
    /// along what it is close to.
    pub fn predict(&mut self, action: &[f64; ACTION_DIM]) {
        const FOLLOW: f64 = 0.6;
        const HELD: f64 = 0.05;
        self.goal.translation.vector += Vector3::new(action[0], action[1], action[2]) * self.scale.0;
        let turn = UnitQuaternion::from_scaled_axis(Vector3::new(action[3], action[4], action[5]) * self.scale.1);
        self.goal.rotation = turn * self.goal.rotation;
        let moved = (self.goal.translation.vector - self.eef.translation.vector) * FOLLOW;
        let near = (self.thing.translation.vector - self.eef.translation.vector).norm() < HELD;
        self.eef.translation.vector += moved;
        self.eef.rotation = self.eef.rotation.slerp(&self.goal.rotation, FOLLOW);
        if action[6] < 0.0 && near {
            self.thing.translation.vector += moved;
        }
    }
}

/// One demonstrator's habits in one episode.
#[derive(Clone, Debug)]
struct Habits {
    /// Largest step, as a share of what the controller allows.
    speed: f64,
    /// Height over the object before going down, metres.
    approach: f64,
    /// Misjudgement of the object's and the place's position, metres.
    aim: Vector3<f64>,
    place: Vector3<f64>,
    /// Misjudgement of the object's yaw, radians.
    yaw: f64,
    /// Control steps to wait for the gripper.
    patience: u32,
    /// Phase before which the demonstrator hesitates, and for how many steps.
    hesitation: (usize, u32),
}

impl Habits {
    fn new(seed: u64, (slow, fast): (f64, f64), variation: f64) -> Self {
        let mut r = rng(seed, Purpose::Habits, 0);
        let mut blur = |deviation: f64| variation * deviation * normal(&mut r).clamp(-2.0, 2.0);
        let aim = Vector3::new(blur(0.003), blur(0.003), blur(0.002));
        let place = Vector3::new(blur(0.01), blur(0.01), 0.0);
        let (yaw, approach) = (blur(0.05), 0.085 + blur(0.010));
        Self {
            speed: if fast > slow { r.random_range(slow..fast) } else { slow },
            approach,
            aim,
            place,
            yaw,
            patience: 2 + u32::from(r.random_bool((0.4 * variation).min(1.0))),
            hesitation: (r.random_range(1..5), if r.random_bool((0.25 * variation).min(1.0)) { r.random_range(1..3) } else { 0 }),
        }
    }
}

/// Memory of one row.
#[derive(Clone, Debug)]
pub struct Mind {
    pub seed: u64,
    pub step: u64,
    habits: Habits,
    phase: usize,
    /// Control steps spent in this phase.
    spent: u32,
    /// Yaw of the hand that this attempt grasps with.
    grasp_yaw: f64,
}

/// Where the hand should be, and when the phase is over.
struct Leg {
    position: Vector3<f64>,
    yaw: f64,
    open: bool,
    /// Factor on the demonstrator's speed.
    pace: f64,
    /// Over when the hand is this close (m) ...
    tolerance: f64,
    /// ... and at least this many steps were spent.
    least: u32,
}

/// A phase that takes longer than this is started over: something went wrong.
const STUCK: u32 = 15;

impl Mind {
    pub fn new(seed: u64, speed: (f64, f64), variation: f64) -> Self {
        Self { seed, step: 0, habits: Habits::new(seed, speed, variation), phase: 0, spent: 0, grasp_yaw: 0.0 }
    }

    fn enter(&mut self, phase: usize) {
        self.phase = phase;
        self.spent = 0;
    }

    /// The action of the next control step.
    pub fn next(&mut self, scene: &Scene) -> [f64; ACTION_DIM] {
        self.step += 1;
        if self.failed(scene) {
            self.enter(0);
        }
        let mut leg = self.leg(scene);
        // The last phase holds until the episode ends.
        while self.spent >= leg.least
            && (leg.position - scene.eef.translation.vector).norm() <= leg.tolerance
            && self.phase < last_phase(scene.task)
        {
            self.enter(self.phase + 1);
            leg = self.leg(scene);
        }
        if self.spent >= STUCK {
            self.enter(0);
            leg = self.leg(scene);
        }
        self.spent += 1;
        let (slow_phase, steps) = self.habits.hesitation;
        let paused = self.phase == slow_phase && self.spent <= steps;
        let speed = if paused { 0.0 } else { self.habits.speed * leg.pace };
        steer(scene, &leg, speed)
    }

    /// True when what the hand should hold or push is no longer where it should be.
    fn failed(&self, scene: &Scene) -> bool {
        let lead = scene.thing.translation.vector - scene.eef.translation.vector;
        match scene.task {
            TaskKind::PickPlace => (3..5).contains(&self.phase) && self.spent > 0 && (lead.norm() > 0.05 || scene.gripper < 0.012),
            TaskKind::PushCube => self.phase == 2 && (lead.x < 0.0 || lead.y.abs() > scene.half.y + 0.01),
            TaskKind::OpenDrawer => self.phase == 3 && lead.norm() > 0.04,
            TaskKind::CloseDrawer => self.phase == 2 && lead.y.abs() > 0.04,
        }
    }

    fn leg(&mut self, scene: &Scene) -> Leg {
        match scene.task {
            TaskKind::PickPlace => self.pick_place(scene),
            TaskKind::PushCube => self.push(scene),
            TaskKind::OpenDrawer => self.open_drawer(scene),
            TaskKind::CloseDrawer => self.close_drawer(scene),
        }
    }

    fn pick_place(&mut self, scene: &Scene) -> Leg {
        let object = scene.thing.translation.vector;
        if self.phase == 0 {
            self.grasp_yaw = grasp_yaw(scene) + self.habits.yaw;
        }
        let yaw = self.grasp_yaw;
        // Tall things are held near their top so that the palm stays clear.
        let grip = object + Vector3::new(0.0, 0.0, (scene.half.z - 0.025).max(0.0)) + self.habits.aim;
        let travel = 0.075 + scene.half.z;
        let tray = scene.place.translation.vector + self.habits.place;
        let leg =
            |position: Vector3<f64>, open: bool, pace: f64, tolerance: f64, least: u32| Leg { position, yaw, open, pace, tolerance, least };
        let held = |z: f64| Vector3::new(tray.x, tray.y, z);
        match self.phase {
            0 => leg(grip + Vector3::z() * self.habits.approach, true, 1.0, 0.02, 0),
            1 => leg(grip, true, 0.9, 0.009, 0),
            2 => leg(scene.goal.translation.vector, false, 1.0, f64::INFINITY, self.habits.patience),
            3 => leg(Vector3::new(scene.goal.translation.x, scene.goal.translation.y, travel), false, 1.0, 0.03, 0),
            4 => leg(held(travel), false, 1.0, 0.02, 0),
            5 => leg(held(scene.half.z + 0.018 + (scene.eef.translation.z - object.z).clamp(0.0, 0.03)), false, 0.9, 0.014, 0),
            6 => leg(scene.goal.translation.vector, true, 1.0, f64::INFINITY, 2),
            _ => leg(held(travel + 0.05), true, 0.8, 0.0, 0),
        }
    }

    fn push(&mut self, scene: &Scene) -> Leg {
        let cube = scene.thing.translation.vector;
        let z = 0.022 + self.habits.aim.z;
        let behind = Vector3::new(cube.x - scene.half.x - 0.045, cube.y + self.habits.aim.y, z);
        let leg = |position: Vector3<f64>, pace: f64, tolerance: f64| Leg {
            position,
            yaw: self.habits.yaw,
            open: false,
            pace,
            tolerance,
            least: 0,
        };
        match self.phase {
            0 => leg(behind + Vector3::z() * self.habits.approach, 1.0, 0.02),
            1 => leg(behind, 0.9, 0.012),
            _ => leg(Vector3::new(scene.place.translation.x + self.habits.place.x, cube.y + self.habits.aim.y, z), 0.6, 0.0),
        }
    }

    fn open_drawer(&mut self, scene: &Scene) -> Leg {
        let handle = scene.thing.translation.vector + self.habits.aim;
        let closed = scene.place * Translation3::from(Vector3::from(HANDLE_IN_DRAWER));
        let end = Vector3::new(closed.translation.x - DRAWER_TRAVEL - 0.02, closed.translation.y, handle.z);
        let leg = |position: Vector3<f64>, open: bool, pace: f64, tolerance: f64, least: u32| Leg {
            position,
            yaw: 0.5 * self.habits.yaw,
            open,
            pace,
            tolerance,
            least,
        };
        match self.phase {
            0 => leg(handle + Vector3::z() * self.habits.approach, true, 1.0, 0.02, 0),
            1 => leg(handle, true, 0.9, 0.01, 0),
            2 => leg(scene.goal.translation.vector, false, 1.0, f64::INFINITY, self.habits.patience),
            _ => leg(end, false, 0.6, 0.0, 0),
        }
    }

    fn close_drawer(&mut self, scene: &Scene) -> Leg {
        let handle = scene.thing.translation.vector + self.habits.aim;
        let front = handle - Vector3::x() * 0.065;
        let closed = scene.place * Translation3::from(Vector3::from(HANDLE_IN_DRAWER));
        let leg = |position: Vector3<f64>, pace: f64, tolerance: f64| Leg {
            position,
            yaw: self.habits.yaw,
            open: false,
            pace,
            tolerance,
            least: 0,
        };
        match self.phase {
            0 => leg(front + Vector3::z() * self.habits.approach, 1.0, 0.02),
            1 => leg(front, 0.9, 0.015),
            _ => leg(Vector3::new(closed.translation.x + 0.01, handle.y, handle.z), 0.8, 0.0),
        }
    }
}

fn last_phase(task: TaskKind) -> usize {
    match task {
        TaskKind::PickPlace => 7,
        TaskKind::OpenDrawer => 3,
        TaskKind::PushCube | TaskKind::CloseDrawer => 2,
    }
}

/// Yaw of the hand for this object: along it if it is long or clearly turned, else straight.
fn grasp_yaw(scene: &Scene) -> f64 {
    let forward = scene.thing.rotation * Vector3::x();
    let yaw = forward.y.atan2(forward.x);
    let quarter = std::f64::consts::FRAC_PI_2;
    let long = scene.half.x > 1.2 * scene.half.y;
    let symmetric = if long { 2.0 * quarter } else { quarter };
    let folded = yaw - symmetric * (yaw / symmetric).round();
    if long || folded.abs() > 0.25 { folded } else { 0.0 }
}

/// The action that leads the goal towards the leg's pose, no faster than `speed`.
fn steer(scene: &Scene, leg: &Leg, speed: f64) -> [f64; ACTION_DIM] {
    let rotation = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), leg.yaw) * pointing_down();
    let target = Isometry3::from_parts(Translation3::from(leg.position), rotation);
    let error = pose_error(&scene.goal, &target);
    let mut linear = error.fixed_rows::<3>(0) / scene.scale.0;
    let mut angular = error.fixed_rows::<3>(3) / scene.scale.1;
    for part in [&mut linear, &mut angular] {
        let norm = part.norm();
        if norm > speed {
            *part *= speed / norm;
        }
    }
    [linear.x, linear.y, linear.z, angular.x, angular.y, angular.z, if leg.open { 1.0 } else { -1.0 }]
}
