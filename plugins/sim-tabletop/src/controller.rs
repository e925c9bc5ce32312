//! End-effector delta-pose control (ManiSkill's `pd_ee_target_delta_pose`): actions move a goal pose, inverse kinematics turns
//! the goal into joint targets, position controllers with gravity compensation follow them.
//!
//! An action is `[dx, dy, dz, rx, ry, rz, gripper]`, each in [-1, 1]: translation in units of `max_delta.0` along the world's
//! axes; a rotation vector in units of `max_delta.1`, about the world's axes (a longer one than 1 is shortened to 1); and a
//! gripper command that closes below 0 and opens otherwise. Deltas accumulate on the goal, not on the measured pose, so errors
//! of the arm do not add up. A positive command turns the hand in the positive sense (public ManiSkill negates it).

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use std::collections::VecDeque;

use crate::kinematics::{JointVector, inverse, pointing_down};
use crate::scene::{FINGER_CLOSED, FINGER_OPEN};

pub const ACTION_DIM: usize = 7;
/// Seven joint targets (rad) and the finger target (m).
pub type Command = [f64; 8];

/// Box that the goal position stays in, metres.
pub const WORKSPACE_LOW: [f64; 3] = [-0.42, -0.40, 0.012];
pub const WORKSPACE_HIGH: [f64; 3] = [0.22, 0.40, 0.45];
/// Largest rotation of the goal away from pointing straight down, radians.
pub const MAX_TURN: f64 = 1.2;
/// The goal leads the measured position by at most this many largest steps: pushing against the table does not wind it up.
pub const LEASH: f64 = 3.0;

#[derive(Clone, Debug, PartialEq)]
pub struct Controller {
    pub goal: Isometry3<f64>,
    pub joints: JointVector,
    pub open: bool,
    /// Commands under way and the physics steps until each takes effect.
    pub pending: VecDeque<(u32, Command)>,
}

impl Controller {
    /// Holds still at the given posture.
    pub fn at(joints: JointVector, goal: Isometry3<f64>) -> Self {
        Self { goal, joints, open: true, pending: VecDeque::new() }
    }

    pub fn command(&self) -> Command {
        let mut command = [0.0; 8];
        command[..7].copy_from_slice(self.joints.as_slice());
        command[7] = if self.open { FINGER_OPEN } else { FINGER_CLOSED };
        command
    }

    /// Moves the goal by one action and sends the resulting command, which takes effect after `delay` physics steps.
    pub fn act(&mut self, action: &[f32], max_delta: (f64, f64), measured: &Isometry3<f64>, delay: u32) {
        let a: [f64; ACTION_DIM] = std::array::from_fn(|i| f64::from(action[i]).clamp(-1.0, 1.0));
        let mut turn = Vector3::new(a[3], a[4], a[5]);
        if turn.norm() > 1.0 {
            turn.normalize_mut();
        }
        let mut position = self.goal.translation.vector + Vector3::new(a[0], a[1], a[2]) * max_delta.0;
        let lead = position - measured.translation.vector;
        let leash = LEASH * max_delta.0;
        if lead.norm() > leash {
            position = measured.translation.vector + lead * (leash / lead.norm());
        }
        for i in 0..3 {
            position[i] = position[i].clamp(WORKSPACE_LOW[i], WORKSPACE_HIGH[i]);
        }
        let rotation = UnitQuaternion::from_scaled_axis(turn * max_delta.1) * self.goal.rotation;
        self.goal = Isometry3::from_parts(Translation3::from(position), limit_turn(rotation));
        self.joints = inverse(&self.joints, &self.goal);
        self.open = a[6] >= 0.0;
        self.pending.push_back((delay, self.command()));
    }

    /// The command that takes effect now, if any; call once per physics step.
    pub fn due(&mut self) -> Option<Command> {
        let mut due = None;
        while self.pending.front().is_some_and(|(wait, _)| *wait == 0) {
            due = self.pending.pop_front().map(|(_, command)| command);
        }
        for (wait, _) in &mut self.pending {
            *wait -= 1;
        }
        due
    }
}

fn limit_turn(rotation: UnitQuaternion<f64>) -> UnitQuaternion<f64> {
    let turn = (rotation * pointing_down().inverse()).scaled_axis();
    if turn.norm() <= MAX_TURN {
        return rotation;
    }
    UnitQuaternion::from_scaled_axis(turn * (MAX_TURN / turn.norm())) * pointing_down()
}
