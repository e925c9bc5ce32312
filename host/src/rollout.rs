//! The actor loop: observation -> policy -> monitors -> environment -> rewards, for training and for evaluation.
//!
//! Every random draw is a pure function of a seed and a counter, so a rollout can be repeated bit for bit.

mod collect;
mod evaluate;
mod pool;
mod scoring;
mod watched;

pub use collect::{Rollout, RolloutPlan, RolloutStatistics, collect};
pub use evaluate::{EpisodeOutcome, Evaluation, EvaluationPlan, Film, evaluate};
pub use pool::RewardPool;
pub use scoring::{Scoring, WeightedReward};
pub use watched::{Interventions, WatchedEnv};

use std::time::{Duration, Instant};
use twinhost_plugin_api::{Batch, Result, names};

/// Adds the time of a call to a total.
fn timed<T>(total: &mut Duration, call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = call();
    *total += start.elapsed();
    out
}

/// What one chunk was for one environment.
struct ChunkOutcome {
    reward: f64,
    /// Control steps executed.
    length: usize,
    /// The episode ended in this chunk.
    ended: bool,
    /// The episode has succeeded so far.
    success: bool,
}

/// Reads the `next.*` features of a step, one outcome per environment.
fn chunk_outcomes(step: &Batch) -> Result<Vec<ChunkOutcome>> {
    let reward = step.get(names::REWARD)?;
    let chunk = reward.dim(1);
    let (reward, terminated, truncated, success) = (
        reward.as_slice::<f32>()?,
        step.slice::<bool>(names::TERMINATED)?,
        step.slice::<bool>(names::TRUNCATED)?,
        step.slice::<bool>(names::SUCCESS)?,
    );
    let outcome = |(env, &success): (usize, &bool)| {
        let steps = env * chunk..(env + 1) * chunk;
        let end = steps.clone().position(|i| terminated[i] || truncated[i]);
        ChunkOutcome {
            reward: steps.map(|i| f64::from(reward[i])).sum(),
            length: end.map_or(chunk, |at| at + 1),
            ended: end.is_some(),
            success,
        }
    };
    Ok(success.iter().enumerate().map(outcome).collect())
}

/// Derives an independent seed for a purpose and a counter (SplitMix64 finaliser over both).
pub fn derive_seed(seed: u64, purpose: &str, counter: u64) -> u64 {
    let mut z = purpose.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    z = z.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::derive_seed;

    #[test]
    fn seeds_differ_by_purpose_and_counter() {
        let mut all: Vec<u64> = ["act", "env", "sft"].iter().flat_map(|p| (0..1000).map(|i| derive_seed(7, p, i))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3000);
    }
}
