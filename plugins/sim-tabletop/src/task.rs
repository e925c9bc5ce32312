//! The four tasks: where episodes start, what success means, what is rewarded, and the subtasks for data generation.
//!
//! Sources: the digital-twin pick-and-place task of RL-Co, ManiSkill 3's PushCube and OpenCabinetDrawer; where those are silent
//! (closing, letting go) the rule is stated at the function.

mod drawer;
mod pick_place;
mod push;
pub mod start;

use twinhost_plugin_api::SubtaskSpec;

use crate::config::{RewardMode, TaskKind};
use crate::measure::Measured;
use crate::objects::Object;

/// What an episode remembers for its reward and its subtasks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    pub grasped_once: bool,
    pub succeeded_once: bool,
    pub lost_once: bool,
    /// The first subtask is done.
    pub first_done: bool,
    /// Normalised dense reward of the last control step; `None` before the first.
    pub potential: Option<f64>,
}

/// One control step judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub reward: f64,
    /// The task predicate holds now.
    pub success: bool,
}

/// Success predicate, dense reward in the task's units, and whether the first subtask ends now.
struct Judgement {
    success: bool,
    dense: f64,
    first_done: bool,
}

/// Dense reward on success.
fn full_reward(task: TaskKind) -> f64 {
    match task {
        TaskKind::PushCube => push::FULL_REWARD,
        TaskKind::PickPlace => pick_place::FULL_REWARD,
        TaskKind::OpenDrawer | TaskKind::CloseDrawer => drawer::FULL_REWARD,
    }
}

/// Judges the state after a control step and updates the episode's memory.
pub fn judge(task: TaskKind, mode: RewardMode, measured: &Measured, object: &Object, progress: &mut Progress) -> Verdict {
    let judged = match task {
        TaskKind::PickPlace => pick_place::judge(measured, object),
        TaskKind::PushCube => push::judge(measured, object),
        TaskKind::OpenDrawer => drawer::judge(measured, true),
        TaskKind::CloseDrawer => drawer::judge(measured, false),
    };
    let sparse = match task {
        TaskKind::PickPlace => pick_place::sparse(judged.success, measured.grasped, progress),
        // ManiSkill's sparse mode: the success predicate as a number.
        _ => f64::from(u8::from(judged.success)),
    };
    progress.grasped_once |= measured.grasped;
    progress.lost_once |= progress.succeeded_once && !judged.success;
    progress.succeeded_once |= judged.success;
    progress.first_done |= judged.first_done;
    let dense = if judged.success { full_reward(task) } else { judged.dense };
    let normalized = dense / full_reward(task);
    let gained = normalized - progress.potential.replace(normalized).unwrap_or(normalized);
    let reward = match mode {
        RewardMode::Sparse => sparse,
        RewardMode::Dense => dense,
        RewardMode::NormalizedDense => normalized,
        RewardMode::Shaped => sparse + gained,
    };
    Verdict { reward, success: judged.success }
}

/// Object-centric subtasks: reach the thing (object 0), then bring it where it belongs (object 1).
pub fn subtasks(task: TaskKind) -> Vec<SubtaskSpec> {
    let (first, second) = match task {
        TaskKind::PickPlace => ("grasp", "place"),
        TaskKind::PushCube => ("reach", "push"),
        TaskKind::OpenDrawer => ("grasp_handle", "pull"),
        TaskKind::CloseDrawer => ("reach_handle", "push"),
    };
    vec![
        SubtaskSpec { name: first.into(), object: Some(0), termination_signal: Some(0) },
        SubtaskSpec { name: second.into(), object: Some(1), termination_signal: None },
    ]
}

/// The task's own instruction templates.
pub fn templates(task: TaskKind) -> &'static [&'static str] {
    match task {
        TaskKind::PickPlace => &[
            "pick up the {object} and place it into the white tray",
            "put the {object} into the tray",
            "move the {object} to the white tray",
        ],
        TaskKind::PushCube => &["push the {object} onto the target", "slide the {object} to the target disc"],
        TaskKind::OpenDrawer => &["open the {colour} drawer", "pull the {colour} drawer open"],
        TaskKind::CloseDrawer => &["close the {colour} drawer", "push the {colour} drawer shut"],
    }
}

/// `1 - tanh(k d)`: 1 at the goal, falling with distance.
fn nearness(k: f64, distance: f64) -> f64 {
    1.0 - (k * distance).tanh()
}
