//! Source demonstrations: recorded episodes with ground truth, cut into object-centric subtasks.

use rand::RngCore;
use twinhost_plugin_api::{EnvSpec, SubtaskSpec, names};

use super::pose::{self, Pose};
use crate::data::draws;
use crate::data::episode::Episode;
use crate::data::error::{Error, Result};

pub const EEF_POSE: &str = "privileged.eef_pose";
/// The pose that the next action's delta is added to: the goal in force for controllers whose deltas accumulate, else the measured pose.
pub const TARGET_POSE: &str = "privileged.target_pose";
pub const OBJECT_POSES: &str = "privileged.object_poses";
pub const SUBTASK_DONE: &str = "privileged.subtask_done";

/// One demonstration, T steps.
#[derive(Debug)]
pub struct SourceDemo {
    /// Its episode in the source dataset.
    pub episode: usize,
    /// Measured end-effector pose before each step.
    pub eef: Vec<Pose>,
    /// Controller goal that each step's action commanded.
    pub goals: Vec<Pose>,
    /// The action entries after the first six.
    pub grippers: Vec<Vec<f64>>,
    /// `[T][K]`
    pub objects: Vec<Vec<Pose>>,
    /// Where each subtask ends (exclusive), before any random offset; the last is T.
    pub ends: Vec<usize>,
    /// Least and most offset of each end: what was asked for, as far as it leaves at least one step to the next subtask. 0 for the last.
    pub offsets: Vec<(usize, usize)>,
}

impl SourceDemo {
    /// Reads and segments an episode.
    ///
    /// # Errors
    /// Why this episode cannot serve as a source.
    pub fn new(index: usize, episode: &Episode, spec: &EnvSpec, offsets: (usize, usize)) -> Result<Self> {
        let steps = episode.len();
        let refuse = |why: String| Error::refused(format!("demonstration {index}: {why}"));
        let poses = |name: &str| -> Result<Vec<Pose>> {
            let numbers = episode.floats(name)?;
            let pose = |(i, m)| pose::from_matrix(m).ok_or_else(|| refuse(format!("entry {i} of `{name}` is not a rigid pose")));
            numbers.chunks(16).enumerate().map(pose).collect()
        };
        let scale = spec.pose_delta_scale.ok_or_else(|| Error::refused("the environment has no pose-delta actions"))?;
        let eef = poses(EEF_POSE)?;
        let bases = poses(TARGET_POSE)?;
        let all_objects = poses(OBJECT_POSES)?;
        let objects: Vec<Vec<Pose>> = all_objects.chunks((all_objects.len() / steps).max(1)).map(<[Pose]>::to_vec).collect();
        let actions = episode.floats(names::ACTION)?;
        let dim = actions.len() / steps;
        if dim < 6 || dim != spec.action.dim() {
            return Err(refuse(format!("its actions have {dim} dimensions, but the environment's have {}", spec.action.dim())));
        }
        let rows: Vec<&[f64]> = actions.chunks_exact(dim).collect();
        let goals = bases.iter().zip(&rows).map(|(base, a)| pose::goal_of_action(base, a, scale)).collect();
        let signals = signals(episode)?;
        let ends = segment_ends(&spec.subtasks, &signals, steps).map_err(refuse)?;
        if let Some(missing) = spec.subtasks.iter().filter_map(|s| s.object).find(|&k| k >= objects[0].len()) {
            return Err(refuse(format!("it has {} object poses, but a subtask refers to object {missing}", objects[0].len())));
        }
        let (grippers, offsets) = (rows.iter().map(|a| a[6..].to_vec()).collect(), allowed_offsets(&ends, offsets));
        Ok(Self { episode: index, eef, goals, grippers, objects, ends, offsets })
    }

    /// `[start, end)` of every subtask, the inner boundaries moved by random offsets, both ends of their ranges included.
    pub fn cut(&self, random: &mut impl RngCore) -> Vec<(usize, usize)> {
        let mut start = 0;
        let mut segments = Vec::with_capacity(self.ends.len());
        for (&end, &(least, most)) in self.ends.iter().zip(&self.offsets) {
            let end = end + least + draws::below(random.next_u64(), most - least + 1);
            segments.push((start, end));
            start = end;
        }
        segments
    }
}

/// Subtask signals `[T][S]`.
fn signals(episode: &Episode) -> Result<Vec<Vec<bool>>> {
    let tensor = episode.get(SUBTASK_DONE)?;
    let width = tensor.row_len().max(1);
    let flags: Vec<bool> = match tensor.as_slice::<bool>() {
        Ok(flags) => flags.to_vec(),
        Err(_) => episode.floats(SUBTASK_DONE)?.iter().map(|&v| v > 0.5).collect(),
    };
    Ok(flags.chunks_exact(width).map(<[bool]>::to_vec).collect())
}

/// Subtask i ends one past the first sample at which its signal rises, at or after the end of subtask i - 1; the last ends the episode.
fn segment_ends(subtasks: &[SubtaskSpec], signals: &[Vec<bool>], steps: usize) -> Result<Vec<usize>, String> {
    let mut previous = 0;
    let mut ends = Vec::with_capacity(subtasks.len());
    for subtask in subtasks {
        let end = match subtask.termination_signal {
            None => steps,
            Some(column) => {
                let value = |t: usize| signals.get(t).and_then(|s: &Vec<bool>| s.get(column)).copied().unwrap_or(false);
                let rise = (previous.max(1)..steps).find(|&t| value(t) && !value(t - 1));
                1 + rise.ok_or_else(|| {
                    format!("subtask `{}` never ends: its signal {column} does not rise after step {previous}", subtask.name)
                })?
            }
        };
        ends.push(end);
        previous = end;
    }
    Ok(ends)
}

fn allowed_offsets(ends: &[usize], (least, most): (usize, usize)) -> Vec<(usize, usize)> {
    let room = ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0] + 1));
    room.chain([0]).map(|room| (least.min(room), most.min(room))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    fn subtasks(count: usize) -> Vec<SubtaskSpec> {
        (0..count).map(|i| SubtaskSpec { name: format!("s{i}"), object: None, termination_signal: (i + 1 < count).then_some(i) }).collect()
    }

    #[test]
    fn subtasks_end_one_past_the_rise_of_their_signal() {
        // s0 rises at 2; s1 is up early (0, before the end of s0), falls, and rises again at 5.
        let signals: Vec<Vec<bool>> =
            [[0, 1], [0, 1], [1, 0], [1, 0], [1, 0], [1, 1], [1, 1], [1, 1]].map(|r| r.map(|v| v == 1).to_vec()).to_vec();
        assert_eq!(segment_ends(&subtasks(3), &signals, 8).unwrap(), [3, 6, 8]);
        let e = segment_ends(&subtasks(3), &signals[..5], 5).unwrap_err();
        assert!(e.contains("`s1` never ends") && e.contains("after step 3"), "{e}");
    }

    #[test]
    fn offsets_leave_a_step_to_every_subtask() {
        assert_eq!(allowed_offsets(&[10, 30, 60], (5, 10)), [(5, 10), (5, 10), (0, 0)]);
        assert_eq!(allowed_offsets(&[10, 18, 22], (5, 10)), [(5, 7), (3, 3), (0, 0)]);
        assert_eq!(allowed_offsets(&[10, 11], (1, 2)), [(0, 0), (0, 0)]);
        assert_eq!(allowed_offsets(&[10], (5, 10)), [(0, 0)]);
    }

    #[test]
    fn a_cut_moves_inner_boundaries_within_the_range() {
        let (ends, offsets) = (vec![10, 30], vec![(2, 4), (0, 0)]);
        let demo = SourceDemo { episode: 0, eef: vec![], goals: vec![], grippers: vec![], objects: vec![], ends, offsets };
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let cuts: BTreeSet<Vec<(usize, usize)>> = (0..100).map(|_| demo.cut(&mut random)).collect();
        let expected = [12, 13, 14].map(|end| vec![(0, end), (end, 30)]);
        assert_eq!(cuts, BTreeSet::from(expected));
    }
}
