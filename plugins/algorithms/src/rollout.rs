//! From the host's time-major rollout to PPO's training rows.
//!
//! Input, with T policy calls in B environments, chunks of C steps and A action dimensions:
//!
//! | feature | shape | |
//! |---|---|---|
//! | `observation.*`, `action`, `action.log_prob`, `action.tokens`, any other | `[T, B, ...]` | what the policy's `evaluate` needs; `action.log_prob` is f32 `[T, B, C, A]` |
//! | `task` and other texts | T*B entries | time-major |
//! | `next.reward` f32, `next.terminated` bool, `next.truncated` bool | `[T, B, C]` | |
//! | `value` | f32 `[T+1, B, V]` | V = 1, or C at action level; absent for a policy without a value head |
//! | `final.value` | f32 `[T, B, 1]` | value of the last observation of an episode that ended in the chunk, else 0 |
//! | `loss_mask` (optional) | bool `[T, B, C]` | steps that count, for environments without auto-reset |
//!
//! Output: N = T*B rows of the first two kinds, plus the features named by the constants below.

use twinhost_plugin_api::{Batch, Error, Result, Tensor, names};

use crate::gae::{Bootstrap, Trajectory, bootstrap, gae, normalize};

/// f32 `[N, V]`; V = 1 at chunk level, C at action level.
pub const ADVANTAGE: &str = "ppo.advantage";
/// f32 `[N, V]`, only with values.
pub const RETURN: &str = "ppo.return";
/// Value at rollout time, f32 `[N, V]`, only with values.
pub const OLD_VALUE: &str = "ppo.old_value";
/// 1 where the step counts, f32 `[N, V]`.
pub const MASK: &str = "ppo.mask";
/// Environment steps that count in the row's environment, f32 `[N, V]`.
pub const MASK_SUM: &str = "ppo.mask_sum";

const LOSS_MASK: &str = "loss_mask";
const FINAL_VALUE: &str = "final.value";

/// The time step of the decision process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardType {
    /// One step per policy call: rewards of the chunk are summed, gamma applies per chunk.
    ChunkLevel,
    /// One step per executed action.
    ActionLevel,
}

#[derive(Clone, Copy, Debug)]
pub struct AdvantageConfig {
    pub gamma: f32,
    pub lambda: f32,
    pub reward_type: RewardType,
    pub bootstrap: Bootstrap,
    pub normalize: bool,
}

struct Shape {
    time: usize,
    envs: usize,
    chunk: usize,
}

impl Shape {
    fn expect<'a>(&self, data: &'a Batch, name: &str, tail: &[usize]) -> Result<&'a Tensor> {
        let tensor = data.get(name)?;
        let wanted: Vec<usize> = [self.time, self.envs].iter().chain(tail).copied().collect();
        if tensor.shape() != wanted {
            return Err(Error::input(format!("rollout feature `{name}` has shape {:?}, expected {wanted:?}", tensor.shape())));
        }
        Ok(tensor)
    }
}

/// Computes advantages and lays everything out as rows.
///
/// # Errors
/// If a feature is missing, has another shape, or holds a value that is not finite.
pub fn training_rows(data: &Batch, config: &AdvantageConfig) -> Result<Batch> {
    let log_prob = data.get(names::LOG_PROB)?.shape();
    let &[time, envs, chunk, _] = log_prob.as_slice() else {
        return Err(Error::input(format!("rollout feature `{}` has shape {log_prob:?}, expected [T, B, C, A]", names::LOG_PROB)));
    };
    let shape = Shape { time, envs, chunk };
    let mut rows = observation_rows(data, &shape)?;
    advantages(data, &shape, config, &mut rows)?;
    Ok(rows)
}

/// Every feature that belongs to a policy call, `[T, B, ...]` -> `[T*B, ...]`.
fn observation_rows(data: &Batch, shape: &Shape) -> Result<Batch> {
    let mut rows = Batch::new();
    for (name, tensor) in data.iter() {
        let consumed =
            name == names::VALUE || name == LOSS_MASK || [names::FINAL, names::PRIVILEGED, "next."].iter().any(|p| name.starts_with(p));
        if consumed {
            continue;
        }
        let mut target = tensor.shape();
        if target.len() < 2 || target[..2] != [shape.time, shape.envs] {
            return Err(Error::input(format!(
                "rollout feature `{name}` has shape {target:?}, expected [{}, {}, ...]",
                shape.time, shape.envs
            )));
        }
        target.splice(..2, [shape.time * shape.envs]);
        rows.insert(name, tensor.try_clone()?.reshape(&target)?);
    }
    for (name, texts) in data.iter_texts().filter(|(name, _)| !name.starts_with(names::FINAL)) {
        if texts.len() != shape.time * shape.envs {
            return Err(Error::input(format!("rollout text `{name}` has {} entries, expected {}", texts.len(), shape.time * shape.envs)));
        }
        rows.insert_text(name, texts.iter().map(ToString::to_string).collect());
    }
    Ok(rows)
}

/// The parts of a rollout that advantages are made of, row-major.
struct Steps<'a> {
    shape: &'a Shape,
    /// V: value columns, and steps of the decision process, per policy call.
    columns: usize,
    reward: &'a [f32],
    terminated: &'a [bool],
    truncated: &'a [bool],
    mask: Option<&'a [bool]>,
    values: Option<&'a [f32]>,
    final_value: Option<&'a [f32]>,
}

/// One environment's sequence, as [`gae`] wants it.
#[derive(Default)]
struct Sequence {
    rewards: Vec<f32>,
    values: Vec<f32>,
    dones: Vec<bool>,
    valid: Vec<bool>,
    /// Environment steps that count.
    steps: usize,
}

impl<'a> Steps<'a> {
    fn read(data: &'a Batch, shape: &'a Shape, reward_type: RewardType) -> Result<Self> {
        let per_step = |name: &str| shape.expect(data, name, &[shape.chunk]);
        let columns = match reward_type {
            RewardType::ChunkLevel => 1,
            RewardType::ActionLevel => shape.chunk,
        };
        let values = data.find(names::VALUE).map(|v| values_of(v, shape, columns)).transpose()?;
        let steps = Self {
            shape,
            columns,
            reward: per_step(names::REWARD)?.as_slice()?,
            terminated: per_step(names::TERMINATED)?.as_slice()?,
            truncated: per_step(names::TRUNCATED)?.as_slice()?,
            mask: data.find(LOSS_MASK).map(|_| per_step(LOSS_MASK)?.as_slice()).transpose()?,
            values,
            final_value: values.map(|_| shape.expect(data, FINAL_VALUE, &[1])?.as_slice()).transpose()?,
        };
        for (name, numbers) in [(names::REWARD, Some(steps.reward)), (names::VALUE, values), (FINAL_VALUE, steps.final_value)] {
            if let Some(bad) = numbers.and_then(|n| n.iter().find(|v| !v.is_finite())) {
                return Err(Error::numerical(format!("rollout feature `{name}` contains {bad}")));
            }
        }
        Ok(steps)
    }

    fn sequence(&self, env: usize, rule: Bootstrap, gamma: f32) -> Sequence {
        let (chunk, columns) = (self.shape.chunk, self.columns);
        let mut out = Sequence::default();
        for t in 0..self.shape.time {
            let row = t * self.shape.envs + env;
            let final_value = self.final_value.map_or(0.0, |f| f[row]);
            let (mut sum, mut ended, mut counted) = (0.0, false, false);
            for i in row * chunk..(row + 1) * chunk {
                let reward = bootstrap(rule, self.reward[i], self.terminated[i], self.truncated[i], final_value, gamma);
                // The environment does not execute the rest of a chunk once the episode has ended.
                let valid = !ended && self.mask.is_none_or(|m| m[i]);
                let done = self.terminated[i] || self.truncated[i];
                out.steps += usize::from(valid);
                if columns == chunk {
                    out.rewards.push(reward);
                    out.dones.push(done);
                    out.valid.push(valid);
                }
                (sum, ended, counted) = (sum + reward, ended || done, counted || valid);
            }
            if columns != chunk {
                out.rewards.push(sum);
                out.dones.push(ended);
                out.valid.push(counted);
            }
            out.values.extend((0..columns).map(|c| self.values.map_or(0.0, |v| v[row * columns + c])));
        }
        out.values.push(self.values.map_or(0.0, |v| v[(self.shape.time * self.shape.envs + env) * columns]));
        out
    }
}

fn advantages(data: &Batch, shape: &Shape, config: &AdvantageConfig, rows: &mut Batch) -> Result<()> {
    let steps = Steps::read(data, shape, config.reward_type)?;
    // Without a critic the advantage is the plain reward-to-go.
    let (gamma, lambda) = if steps.values.is_some() { (config.gamma, config.lambda) } else { (1.0, 1.0) };
    let (envs, columns) = (shape.envs, steps.columns);
    let count = shape.time * envs * columns;
    let (mut advantage, mut returns, mut old_value, mut mask_sum) =
        (vec![0f32; count], vec![0f32; count], vec![0f32; count], vec![0f32; count]);
    let mut valid = vec![false; count];
    for env in 0..envs {
        let sequence = steps.sequence(env, config.bootstrap, gamma);
        let (a, r) = gae(&Trajectory { rewards: &sequence.rewards, values: &sequence.values, dones: &sequence.dones }, gamma, lambda);
        for from in 0..a.len() {
            let to = (from / columns * envs + env) * columns + from % columns;
            (advantage[to], returns[to], old_value[to]) = (a[from], r[from], sequence.values[from]);
            (valid[to], mask_sum[to]) = (sequence.valid[from], sequence.steps as f32);
        }
    }
    if config.normalize {
        normalize(&mut advantage, &valid);
    }
    let mut insert = |name: &str, numbers: Vec<f32>| rows.insert(name, Tensor::from_vec(numbers, &[shape.time * envs, columns]));
    insert(ADVANTAGE, advantage);
    insert(MASK, valid.iter().map(|&m| f32::from(u8::from(m))).collect());
    insert(MASK_SUM, mask_sum);
    if steps.values.is_some() {
        insert(RETURN, returns);
        insert(OLD_VALUE, old_value);
    }
    Ok(())
}

fn values_of<'a>(value: &'a Tensor, shape: &Shape, columns: usize) -> Result<&'a [f32]> {
    let wanted = [shape.time + 1, shape.envs, columns];
    if value.shape() != wanted {
        let hint = if columns > 1 { "; a policy with one value per chunk needs `reward_type: chunk_level`" } else { "" };
        return Err(Error::input(format!("rollout feature `{}` has shape {:?}, expected {wanted:?}{hint}", names::VALUE, value.shape())));
    }
    value.as_slice()
}
