//! Recording demonstrations: an expert acts on ground truth, successful episodes are kept together with what MimicGen needs to know of them.

use rand::RngCore;
use std::path::Path;
use twinhost_plugin_api::{ActMode, ActRequest, Batch, Env, Policy, Tensor, names};

use super::attempts::{self, Actor, Collection, Decision, Progress, env_seed};
use super::draws::{self, Purpose};
use super::error::{Error, Result};
use super::schema::Info;

/// What to record.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    /// Successes wanted.
    pub episodes: usize,
    /// Give up when this many attempts per wanted episode were made.
    pub attempts_per_episode: usize,
    pub seed: u64,
    /// One of the environment's variants; empty for the first.
    pub variant: &'a str,
    pub robot_type: &'a str,
}

/// Records an expert's successes into the empty `folder`: what the environment showed, its ground truth, and what was done.
///
/// # Errors
/// If too many attempts fail, a component fails, writing fails, or `progress` returns an error.
pub fn record(
    folder: &Path,
    env: &mut dyn Env,
    expert: &mut dyn Policy,
    request: &Recording<'_>,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Progress> {
    let spec = env.spec();
    let collection = Collection {
        info: Info::of_env(&spec, request.robot_type, true)?,
        episodes: request.episodes,
        max_attempts: (request.attempts_per_episode as u64).saturating_mul(request.episodes as u64),
        seed: request.seed,
        variant: request.variant.into(),
        keep_failures: false,
    };
    let mut actor = Expert { dim: spec.action.dim(), policy: expert, seed: request.seed, wave: 0, step: 0, chunk: None };
    attempts::collect_into(folder, env, &mut actor, &collection, progress).map_err(|e| match e {
        Error::TooFewSuccesses(message) => Error::TooFewSuccesses(format!(
            "recording: {message}; check that the expert is made for this task, or raise attempts_per_episode"
        )),
        other => other,
    })
}

/// A policy as the actor of a wave; its chunks are executed one step at a time, so that every observation is recorded.
struct Expert<'a> {
    dim: usize,
    policy: &'a mut dyn Policy,
    seed: u64,
    /// First attempt of the wave, which with the step makes every call's seed its own.
    wave: u64,
    step: u64,
    /// Actions `[B, C, A]` under way and how many were executed.
    chunk: Option<(Tensor, usize)>,
}

impl Actor for Expert<'_> {
    fn begin(&mut self, attempts: &[u64]) -> Result<()> {
        (self.wave, self.step, self.chunk) = (attempts[0], 0, None);
        let rows: Vec<usize> = (0..attempts.len()).collect();
        let seeds: Vec<u64> = attempts.iter().map(|&n| env_seed(self.seed, n)).collect();
        Ok(self.policy.reset(&rows, &seeds)?)
    }

    fn act(&mut self, observation: &Batch, active: &[bool]) -> Result<Decision> {
        let under_way = self.chunk.take().filter(|(actions, done)| *done < actions.dim(1));
        let (actions, done) = match under_way {
            Some(chunk) => chunk,
            None => {
                let seed = draws::at(self.seed, Purpose::Expert, self.wave, self.step).next_u64();
                let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed, training: false };
                let mut decision = self.policy.act(observation, &request)?;
                let actions = decision.remove(names::ACTION).ok_or_else(|| Error::refused("the expert returned no `action`"))?;
                let shape = actions.shape();
                if shape.len() != 3 || shape[0] != active.len() || shape[1] == 0 || shape[2] != self.dim {
                    return Err(Error::refused(format!(
                        "the expert returned actions of shape {shape:?}, but [{}, C, {}] were expected",
                        active.len(),
                        self.dim
                    )));
                }
                (actions, 0)
            }
        };
        let chunk = actions.dim(1);
        let values = actions.as_slice::<f32>()?;
        let now: Vec<f32> = (0..active.len())
            .flat_map(|row| {
                let at = (row * chunk + done) * self.dim;
                values[at..at + self.dim].iter().copied()
            })
            .collect();
        self.step += 1;
        self.chunk = Some((actions, done + 1));
        let action = Tensor::from_vec(now, &[active.len(), 1, self.dim]);
        Ok(Decision { action, disturbed: None, over: vec![false; active.len()], notes: Batch::new() })
    }
}
