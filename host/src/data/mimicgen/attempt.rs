//! Carrying out attempts, one per environment: plan a subtask when the last is over, steer, add noise.

use rand::RngCore as _;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use twinhost_plugin_api::{Batch, DType, EnvSpec, SubtaskSpec, Tensor};

use super::SOURCE_EPISODE;
use super::pose::{self, DeltaScale, Pose};
use super::selection::{Situation, select};
use super::source::{EEF_POSE, OBJECT_POSES, SourceDemo, TARGET_POSE};
use super::waypoints::{Joining, Waypoint, join, segment};
use crate::data::attempts::{Actor, Decision};
use crate::data::draws::{self, Purpose};
use crate::data::error::{Error, Result};
use crate::recipe::SimDemos;

/// Steps for which the last goal is held when the plan is over but the task is not yet done: the gripper's last command is still to come,
/// because it lags behind the poses, and a released object has to land. The public implementation gives up at once.
const HOLD_STEPS: usize = 5;

pub struct Generator<'a> {
    settings: &'a SimDemos,
    subtasks: Vec<SubtaskSpec>,
    demos: &'a [SourceDemo],
    scale: DeltaScale,
    action_dim: usize,
    seed: u64,
    attempts: Vec<Attempt>,
}

/// One environment's attempt.
struct Attempt {
    planning: ChaCha8Rng,
    noise: ChaCha8Rng,
    disturbance: ChaCha8Rng,
    /// `[demo][subtask] -> [start, end)` with this attempt's offsets.
    cuts: Vec<Vec<(usize, usize)>>,
    next_subtask: usize,
    demo: usize,
    ahead: VecDeque<Waypoint>,
    last: Option<Waypoint>,
    /// The gripper command with which the segment ended in the demonstration.
    last_gripper: Vec<f64>,
    held: usize,
}

/// What one environment reports.
struct Now {
    eef: Pose,
    base: Pose,
    objects: Vec<Pose>,
}

impl<'a> Generator<'a> {
    pub fn new(spec: &EnvSpec, settings: &'a SimDemos, demos: &'a [SourceDemo], seed: u64) -> Self {
        Self {
            settings,
            subtasks: spec.subtasks.clone(),
            demos,
            scale: spec.pose_delta_scale.unwrap_or((1.0, 1.0)),
            action_dim: spec.action.dim(),
            seed,
            attempts: Vec::new(),
        }
    }

    /// The next waypoint of an attempt, `None` when it is over.
    fn next(&mut self, row: usize, now: &Now) -> Option<Waypoint> {
        if self.attempts[row].ahead.is_empty() && self.attempts[row].next_subtask < self.subtasks.len() {
            self.plan(row, now);
        }
        let attempt = &mut self.attempts[row];
        match attempt.ahead.pop_front() {
            Some(waypoint) => {
                attempt.last = Some(waypoint.clone());
                Some(waypoint)
            }
            None if attempt.held < HOLD_STEPS => {
                attempt.held += 1;
                let gripper = attempt.last_gripper.clone();
                attempt.last.as_ref().map(|w| Waypoint { pose: w.pose, gripper, noise: 0.0 })
            }
            None => None,
        }
    }

    fn plan(&mut self, row: usize, now: &Now) {
        let attempt = &mut self.attempts[row];
        let subtask = attempt.next_subtask;
        let settings = self.settings;
        let object = self.subtasks[subtask].object.map(|k| (k, &now.objects[k]));
        let from_eef = subtask == 0;
        if subtask == 0 || settings.select_per_subtask {
            let starts: Vec<usize> = attempt.cuts.iter().map(|cut| cut[subtask].0).collect();
            let situation = Situation { eef: &now.eef, object, starts: &starts, from_eef };
            attempt.demo = select(self.demos, &settings.selection, &situation, &mut attempt.planning);
        }
        let demo = &self.demos[attempt.demo];
        let (start, end) = attempt.cuts[attempt.demo][subtask];
        let (poses, grippers) = segment(&demo.eef[start], &demo.goals[start..end], &demo.grippers[start..end], from_eef);
        let moved = match object {
            Some((k, object)) => pose::transfer(&poses, &demo.objects[start][k], object),
            None => poses,
        };
        // Where the last segment meant to end, rather than where the arm has got to.
        let from = attempt.last.as_ref().map_or(now.eef, |last| last.pose);
        let joining = Joining {
            interpolation_steps: settings.interpolation_steps,
            fixed_steps: settings.fixed_steps,
            noise: settings.action_noise,
            noise_during_interpolation: settings.noise_during_interpolation,
        };
        attempt.ahead = join(&from, &moved, &grippers, &joining).into();
        attempt.last_gripper.clone_from(&demo.grippers[end - 1]);
        attempt.next_subtask += 1;
    }
}

impl Actor for Generator<'_> {
    fn begin(&mut self, attempts: &[u64]) -> Result<()> {
        let begin = |&number: &u64| {
            let mut planning = draws::at(self.seed, Purpose::Plan, number, 0);
            let cuts = self.demos.iter().map(|d| d.cut(&mut planning)).collect();
            Attempt {
                planning,
                noise: draws::at(self.seed, Purpose::Noise, number, 0),
                disturbance: draws::at(self.seed, Purpose::Disturbance, number, 0),
                cuts,
                next_subtask: 0,
                demo: 0,
                ahead: VecDeque::new(),
                last: None,
                last_gripper: Vec::new(),
                held: 0,
            }
        };
        self.attempts = attempts.iter().map(begin).collect();
        Ok(())
    }

    fn act(&mut self, observation: &Batch, active: &[bool]) -> Result<Decision> {
        let rows = active.len();
        let (eef, base, objects) = (poses(observation, EEF_POSE)?, poses(observation, TARGET_POSE)?, poses(observation, OBJECT_POSES)?);
        let per_row = objects.len() / rows.max(1);
        let mut action = vec![0f32; rows * self.action_dim];
        let mut disturbances = Vec::new();
        let mut over = vec![false; rows];
        let mut sources = vec![0i64; rows];
        for row in (0..rows).filter(|&r| active[r]) {
            let now = Now { eef: eef[row], base: base[row], objects: objects[row * per_row..(row + 1) * per_row].to_vec() };
            let Some(waypoint) = self.next(row, &now) else {
                over[row] = true;
                continue;
            };
            let attempt = &mut self.attempts[row];
            let steer = pose::action_to_goal(&now.base, &waypoint.pose, self.scale);
            let out = &mut action[row * self.action_dim..(row + 1) * self.action_dim];
            for (slot, value) in out.iter_mut().zip(steer) {
                let noise: f64 = if waypoint.noise > 0.0 { draws::normal(&mut attempt.noise) } else { 0.0 };
                *slot = (value + waypoint.noise * noise).clamp(-1.0, 1.0) as f32;
            }
            for (slot, value) in out[6..].iter_mut().zip(&waypoint.gripper) {
                *slot = *value as f32;
            }
            if draws::unit(attempt.disturbance.next_u64()) < self.settings.disturbance_probability {
                for entry in 0..6 {
                    let noise = self.settings.disturbance * draws::normal(&mut attempt.disturbance);
                    disturbances.push((row * self.action_dim + entry, noise as f32));
                }
            }
            sources[row] = self.demos[attempt.demo].episode as i64;
        }
        let shape = [rows, 1, self.action_dim];
        let disturbed = (!disturbances.is_empty()).then(|| {
            let mut executed = action.clone();
            for (at, noise) in disturbances {
                executed[at] = (executed[at] + noise).clamp(-1.0, 1.0);
            }
            Tensor::from_vec(executed, &shape)
        });
        Ok(Decision {
            action: Tensor::from_vec(action, &shape),
            disturbed,
            over,
            notes: Batch::new().with(SOURCE_EPISODE, Tensor::from_vec(sources, &[rows, 1])),
        })
    }
}

/// Poses of a `[..., 4, 4]` feature, in order.
fn poses(observation: &Batch, name: &str) -> Result<Vec<Pose>> {
    let tensor = observation.get(name)?;
    let numbers: Vec<f64> = match tensor.dtype() {
        DType::F64 => tensor.as_slice::<f64>()?.to_vec(),
        _ => observation.slice::<f32>(name)?.iter().map(|&v| f64::from(v)).collect(),
    };
    let pose = |m| pose::from_matrix(m).ok_or_else(|| Error::refused(format!("the environment's `{name}` is not a rigid pose: {m:?}")));
    numbers.chunks(16).map(pose).collect()
}
