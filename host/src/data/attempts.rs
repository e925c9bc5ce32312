//! Recording episodes in waves: all environments begin an attempt together, each wave lasts until its longest attempt is over.
//!
//! Attempts are numbered, attempt n always gets the same seed, and successes are kept in the order of their numbers. Which episodes come out
//! therefore does not depend on how many environments there are.

use rand::RngCore;
use std::collections::BTreeMap;
use std::path::Path;
use twinhost_plugin_api::{Batch, Env, ResetRequest, Tensor, names};

use super::draws::{self, Purpose};
use super::episode::Episode;
use super::error::{Error, Result};
use super::schema::Info;
use super::writer::DatasetWriter;

/// Chooses the actions of a wave of attempts.
pub trait Actor {
    /// Attempt `attempts[row]` begins in environment `row`.
    ///
    /// # Errors
    /// If the actor's component fails.
    fn begin(&mut self, attempts: &[u64]) -> Result<()>;

    /// Actions for one control step; rows that are not active are ignored.
    ///
    /// # Errors
    /// If the observation lacks what the actor needs, or its component fails.
    fn act(&mut self, observation: &Batch, active: &[bool]) -> Result<Decision>;
}

pub struct Decision {
    /// What is executed and recorded, f32 `[B, 1, A]`.
    pub action: Tensor,
    /// What is executed instead while `action` is recorded.
    pub disturbed: Option<Tensor>,
    /// Rows in which the actor has nothing more to do: the attempt ends here.
    pub over: Vec<bool>,
    /// Further features `[B, ...]` to store with this step.
    pub notes: Batch,
}

/// What to collect.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The features to store.
    pub info: Info,
    /// Successes wanted.
    pub episodes: usize,
    pub max_attempts: u64,
    pub seed: u64,
    /// One of the environment's variants; empty for the first.
    pub variant: String,
    pub keep_failures: bool,
}

/// A finished attempt that is to be kept.
#[derive(Debug)]
pub struct Outcome {
    pub attempt: u64,
    pub success: bool,
    pub episode: Episode,
}

/// How far a collection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub wanted: usize,
    pub successes: usize,
    pub attempts: u64,
    /// In the successful episodes.
    pub frames: usize,
}

impl Progress {
    /// Share of attempts that succeeded.
    pub fn success_rate(&self) -> f64 {
        if self.attempts == 0 { 0.0 } else { self.successes as f64 / self.attempts as f64 }
    }
}

/// Seed of the environment for an attempt.
pub fn env_seed(seed: u64, attempt: u64) -> u64 {
    draws::at(seed, Purpose::Environment, attempt, 0).next_u64()
}

/// Runs attempts until enough have succeeded. `sink` gets the kept attempts of each wave, in order; `progress` is called after each wave
/// and may stop the collection by returning an error.
///
/// # Errors
/// If `max_attempts` is reached first, a component fails, or `sink` or `progress` returns an error.
pub fn collect(
    env: &mut dyn Env,
    actor: &mut dyn Actor,
    collection: &Collection,
    sink: &mut dyn FnMut(Vec<Outcome>) -> Result<()>,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Progress> {
    let spec = env.spec();
    let rows = spec.num_envs as u64;
    if rows == 0 {
        return Err(Error::refused("the environment has no instances (num_envs is 0)"));
    }
    let mut so_far = Progress { wanted: collection.episodes, ..Progress::default() };
    progress(&so_far)?;
    while so_far.successes < collection.episodes {
        if so_far.attempts >= collection.max_attempts {
            return Err(Error::TooFewSuccesses(format!(
                "only {} of {} wanted episodes succeeded in {} attempts (success rate {:.1} %)",
                so_far.successes,
                collection.episodes,
                so_far.attempts,
                100.0 * so_far.success_rate()
            )));
        }
        let numbers: Vec<u64> = (so_far.attempts..so_far.attempts + rows).collect();
        let mut kept = Vec::new();
        for outcome in wave(env, actor, collection, &numbers, spec.max_episode_steps)? {
            // What lies beyond the last wanted success depends on the size of the wave, so it does not count.
            if so_far.successes == collection.episodes || so_far.attempts == collection.max_attempts {
                break;
            }
            so_far.attempts += 1;
            if outcome.success {
                so_far.successes += 1;
                so_far.frames += outcome.episode.len();
            }
            if (outcome.success || collection.keep_failures) && !outcome.episode.is_empty() {
                kept.push(outcome);
            }
        }
        sink(kept)?;
        progress(&so_far)?;
    }
    Ok(so_far)
}

/// As [`collect`], into a new dataset in the empty `folder`, each wave's successes in one durable append; failures, where they are kept,
/// go to a dataset in its subfolder `failures`.
///
/// # Errors
/// As [`collect`], or if writing fails.
pub fn collect_into(
    folder: &Path,
    env: &mut dyn Env,
    actor: &mut dyn Actor,
    collection: &Collection,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Progress> {
    let mut successes = DatasetWriter::create(folder, collection.info.clone())?;
    let mut failures = None;
    let mut sink = |outcomes: Vec<Outcome>| {
        let (good, bad): (Vec<Outcome>, Vec<Outcome>) = outcomes.into_iter().partition(|o| o.success);
        let episodes = |outcomes: Vec<Outcome>| outcomes.into_iter().map(|o| o.episode).collect::<Vec<_>>();
        successes.append(&episodes(good))?;
        if bad.is_empty() {
            return Ok(());
        }
        let writer = match &mut failures {
            Some(writer) => writer,
            None => failures.insert(DatasetWriter::create(&folder.join("failures"), collection.info.clone())?),
        };
        writer.append(&episodes(bad))
    };
    collect(env, actor, collection, &mut sink, progress)
}

/// One attempt being recorded.
struct Recording {
    columns: BTreeMap<String, Vec<Tensor>>,
    success: bool,
    active: bool,
}

/// One attempt in every environment, to the end of the longest.
fn wave(env: &mut dyn Env, actor: &mut dyn Actor, collection: &Collection, attempts: &[u64], max_steps: usize) -> Result<Vec<Outcome>> {
    let seeds: Vec<u64> = attempts.iter().map(|&n| env_seed(collection.seed, n)).collect();
    let request = ResetRequest::new(seeds.clone()).variant(&collection.variant).privileged();
    let mut observation = env.reset(&request)?;
    actor.begin(attempts)?;
    let tasks: Vec<String> = observation.texts(names::TASK)?.iter().map(ToString::to_string).collect();
    let start = || Recording { columns: BTreeMap::new(), success: false, active: true };
    let mut recordings: Vec<Recording> = attempts.iter().map(|_| start()).collect();
    for _ in 0..max_steps {
        let active: Vec<bool> = recordings.iter().map(|r| r.active).collect();
        let decision = actor.act(&observation, &active)?;
        for (recording, over) in recordings.iter_mut().zip(&decision.over) {
            recording.active &= !over;
        }
        if recordings.iter().all(|r| !r.active) {
            break;
        }
        let step = env.step(decision.disturbed.as_ref().unwrap_or(&decision.action))?;
        for (row, recording) in recordings.iter_mut().enumerate().filter(|(_, r)| r.active) {
            recording.add(&collection.info, row, &observation, &decision, &step)?;
        }
        if recordings.iter().all(|r| !r.active) {
            break;
        }
        observation = step;
    }
    let finish = |((recording, task), (&attempt, &seed)): ((Recording, String), (&u64, &u64))| {
        let join = |(name, parts): (String, Vec<Tensor>)| Ok((name, Tensor::concat_rows(&parts.iter().collect::<Vec<_>>())?));
        let columns = recording.columns.into_iter().map(join).collect::<Result<_>>()?;
        Ok(Outcome { attempt, success: recording.success, episode: Episode { task, seed, columns } })
    };
    recordings.into_iter().zip(tasks).zip(attempts.iter().zip(&seeds)).map(finish).collect()
}

impl Recording {
    /// Adds the observation before a step, the action, and what came of it; the attempt ends with the episode.
    fn add(&mut self, info: &Info, row: usize, observation: &Batch, decision: &Decision, step: &Batch) -> Result<()> {
        let flag = |name: &str| -> Result<bool> { Ok(step.slice::<bool>(name)?[row]) };
        let reward = step.slice::<f32>(names::REWARD)?[row];
        let done = flag(names::TERMINATED)? || flag(names::TRUNCATED)?;
        self.success |= flag(names::SUCCESS)?;
        for (name, entry) in info.own_features() {
            let value = match name {
                names::REWARD => Tensor::from_vec(vec![reward], &[1, 1]),
                names::DONE => Tensor::from_vec(vec![done], &[1, 1]),
                names::SUCCESS => Tensor::from_vec(vec![self.success], &[1, 1]),
                names::ACTION => {
                    let dim = entry.frame_shape();
                    // What was actually sent, where the environment tells.
                    let sent = step.find(names::ACTION).unwrap_or(&decision.action);
                    sent.gather_rows(&[row])?.reshape(&[1, dim.iter().product()])?
                }
                _ => {
                    let source = decision.notes.find(name).map_or_else(|| observation.get(name), Ok)?;
                    let shape: Vec<usize> = std::iter::once(1).chain(entry.frame_shape()).collect();
                    source.gather_rows(&[row])?.reshape(&shape).map_err(|e| e.context(format!("feature `{name}`")))?
                }
            };
            self.columns.entry(name.into()).or_default().push(value);
        }
        self.active = !done;
        Ok(())
    }
}
