//! On-policy rollouts: T chunks in B auto-resetting environments, laid out time-major for the learner.

use std::time::Duration;
use twinhost_plugin_api::{ActMode, ActRequest, Batch, Env, Error, Policy, ResetRequest, Result, Tensor, names};

use super::scoring::Scoring;
use super::{chunk_outcomes, derive_seed, timed};

/// What to collect.
#[derive(Clone, Debug)]
pub struct RolloutPlan {
    /// Policy calls per environment (T).
    pub chunks: usize,
    pub temperature: f32,
    /// Seed of this rollout: equal weights and seed give an equal rollout.
    pub seed: u64,
    pub variant: String,
}

#[derive(Clone, Debug, Default)]
pub struct RolloutStatistics {
    /// The first episode of every environment (later ones that end within the rollout are the quick ones, and would flatter the rate), how
    /// many of them had success, and the sum of their returns and lengths. One that does not end within the rollout counts as it stands.
    pub episodes: usize,
    pub successes: usize,
    pub return_sum: f64,
    pub length_sum: usize,
    pub env_steps: usize,
    pub simulation: Duration,
    pub inference: Duration,
    /// Time in reward components.
    pub scoring: Duration,
}

/// Training data (see [`collect`]) and what to report about it.
#[derive(Debug)]
pub struct Rollout {
    pub data: Batch,
    pub statistics: RolloutStatistics,
}

/// The first episode of every environment, as far as it has got.
struct Running {
    returns: Vec<f64>,
    lengths: Vec<usize>,
    over: Vec<bool>,
}

/// Collects `plan.chunks` policy calls from fresh episodes in every environment.
///
/// The batch is time-major: observations, `action` (what was actually sent), `action.log_prob`, `action.tokens` `[T, B, ...]`; `value` `[T+1, B, 1]`;
/// `next.reward`, `next.terminated`, `next.truncated` `[T, B, C]`; `final.value` `[T, B, 1]`, the value of the last observation of
/// an episode that ended in that chunk, else 0; `task` with T*B texts.
///
/// # Errors
/// Whatever the components report, with their names.
pub fn collect(env: &mut dyn Env, policy: &mut dyn Policy, scoring: &mut Scoring, plan: &RolloutPlan) -> Result<Rollout> {
    let spec = env.spec();
    let envs = spec.num_envs;
    let mut statistics = RolloutStatistics::default();
    let mut running = Running { returns: vec![0.0; envs], lengths: vec![0; envs], over: vec![false; envs] };
    let seeds = (0..envs as u64).map(|i| derive_seed(plan.seed, "env", i)).collect();
    let mut observation = timed(&mut statistics.simulation, || env.reset(&ResetRequest::new(seeds).auto_reset().variant(&plan.variant)))?;
    let all: Vec<usize> = (0..envs).collect();
    scoring.reset(&all)?;
    policy.reset(&all, &vec![plan.seed; envs])?;

    let mut rows: Vec<Batch> = Vec::with_capacity(plan.chunks);
    let mut values: Vec<Tensor> = Vec::with_capacity(plan.chunks + 1);
    for t in 0..plan.chunks {
        let request = ActRequest {
            mode: ActMode::Sample,
            temperature: plan.temperature,
            seed: derive_seed(plan.seed, "act", t as u64),
            training: true,
        };
        let mut decision = timed(&mut statistics.inference, || policy.act(&observation, &request))?;
        let mut step = timed(&mut statistics.simulation, || env.step(decision.get(names::ACTION)?))?;
        if let Some(sent) = step.remove(names::ACTION) {
            replace_action(&mut decision, sent)?;
        }
        // A reward component may end an episode for the learner that the environment itself goes on with.
        let over: Vec<usize> = chunk_outcomes(&step)?.iter().enumerate().filter(|(_, chunk)| chunk.ended).map(|(env, _)| env).collect();
        timed(&mut statistics.scoring, || scoring.score(&mut step, decision.get(names::ACTION)?))?;
        let ended = running.account(&step, &mut statistics)?;
        if !ended.is_empty() {
            scoring.reset(&ended)?;
        }
        let final_value = final_values(policy, &step, &over, envs, plan, t, &mut statistics)?;

        values
            .push(decision.remove(names::VALUE).ok_or_else(|| Error::unsupported("on-policy training needs a policy with a value head"))?);
        let mut row = observation;
        for name in [names::ACTION, names::LOG_PROB, names::ACTION_TOKENS] {
            if let Some(tensor) = decision.remove(name) {
                row.insert(name, tensor);
            }
        }
        let mut next = Batch::new();
        let mut left = step;
        for name in [names::REWARD, names::TERMINATED, names::TRUNCATED] {
            row.insert(name, left.remove(name).ok_or_else(|| Error::input(format!("the environment's step returned no `{name}`")))?);
        }
        row.insert("final.value", final_value);
        let features: Vec<String> = spec.observation.iter().map(|f| f.name.clone()).collect();
        for name in features {
            let tensor = left.remove(&name).ok_or_else(|| Error::input(format!("the environment's step returned no `{name}`")))?;
            next.insert(name, tensor);
        }
        next.insert_text(names::TASK, left.texts(names::TASK)?.iter().map(ToString::to_string).collect());
        rows.push(row);
        observation = next;
    }
    let request = ActRequest { mode: ActMode::Greedy, temperature: plan.temperature, seed: 0, training: true };
    let mut last = timed(&mut statistics.inference, || policy.act(&observation, &request))?;
    values.push(last.remove(names::VALUE).ok_or_else(|| Error::unsupported("on-policy training needs a policy with a value head"))?);
    statistics.episodes = envs;
    statistics.return_sum = running.returns.iter().sum();
    statistics.length_sum = running.lengths.iter().sum();
    statistics.env_steps = plan.chunks * envs * rows.first().map_or(0, |r| r.find(names::REWARD).map_or(0, |t| t.dim(1)));
    Ok(Rollout { data: time_major(&rows, &values)?, statistics })
}

/// Records what a monitor let through instead of what the policy chose.
///
/// A policy that keeps its own choice apart (`action.tokens`) is trained on that choice, and the monitor is part of the world it acts in. One that
/// does not would be asked for the probability of an action it never chose.
fn replace_action(decision: &mut Batch, sent: Tensor) -> Result<()> {
    let same = decision.slice::<f32>(names::ACTION)? == sent.as_slice::<f32>()?;
    if !same && decision.find(names::LOG_PROB).is_some() && decision.find(names::ACTION_TOKENS).is_none() {
        return Err(Error::unsupported(
            "a filter changed an action, and this policy cannot be trained on that: it does not keep its own choice apart as `action.tokens`",
        ));
    }
    decision.insert(names::ACTION, sent);
    Ok(())
}

impl Running {
    /// Adds a chunk to the running episodes; returns the environments whose episode ended.
    fn account(&mut self, step: &Batch, statistics: &mut RolloutStatistics) -> Result<Vec<usize>> {
        let mut ended = Vec::new();
        for (env, chunk) in chunk_outcomes(step)?.into_iter().enumerate() {
            if !self.over[env] {
                self.returns[env] += chunk.reward;
                self.lengths[env] += chunk.length;
                statistics.successes += usize::from(chunk.ended && chunk.success);
            }
            if chunk.ended {
                self.over[env] = true;
                ended.push(env);
            }
        }
        Ok(ended)
    }
}

/// Values of the last observations of the episodes that ended, for the truncation bootstrap.
fn final_values(
    policy: &mut dyn Policy,
    step: &Batch,
    ended: &[usize],
    envs: usize,
    plan: &RolloutPlan,
    t: usize,
    statistics: &mut RolloutStatistics,
) -> Result<Tensor> {
    let mut values = vec![0f32; envs];
    if !ended.is_empty() {
        let mut last = Batch::new();
        for (name, tensor) in step.iter() {
            if let Some(name) = name.strip_prefix(names::FINAL) {
                last.insert(name, tensor.gather_rows(ended)?);
            }
        }
        let task = format!("{}{}", names::FINAL, names::TASK);
        let texts = step.texts(&task)?;
        last.insert_text(names::TASK, ended.iter().map(|&i| texts[i].to_string()).collect());
        let request = ActRequest {
            mode: ActMode::Greedy,
            temperature: plan.temperature,
            seed: derive_seed(plan.seed, "final", t as u64),
            training: true,
        };
        let out = timed(&mut statistics.inference, || policy.act(&last, &request))?;
        for (&env, value) in ended.iter().zip(out.slice::<f32>(names::VALUE)?) {
            values[env] = *value;
        }
    }
    Ok(Tensor::from_vec(values, &[envs, 1]))
}

/// Stacks T rows of `[B, ...]` into `[T, B, ...]`.
fn time_major(rows: &[Batch], values: &[Tensor]) -> Result<Batch> {
    let parts: Vec<&Batch> = rows.iter().collect();
    let joined = Batch::concat_rows(&parts)?;
    let mut out = Batch::new();
    let mut stack = |name: &str, tensor: Tensor, steps: usize| -> Result<()> {
        let mut shape = tensor.shape();
        shape[0] /= steps;
        shape.insert(0, steps);
        out.insert(name, tensor.reshape(&shape)?);
        Ok(())
    };
    let names: Vec<String> = joined.iter().map(|(n, _)| n.to_string()).collect();
    let texts: Vec<String> = joined.texts(names::TASK)?.iter().map(ToString::to_string).collect();
    let mut joined = joined;
    for name in names {
        let tensor = joined.remove(&name).ok_or_else(|| Error::internal("a feature vanished while stacking"))?;
        stack(&name, tensor, rows.len())?;
    }
    let values_joined = Tensor::concat_rows(&values.iter().collect::<Vec<_>>())?;
    stack(names::VALUE, values_joined, values.len())?;
    out.insert_text(names::TASK, texts);
    Ok(out)
}
