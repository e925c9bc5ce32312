//! The knobs of PPO. Defaults follow RLinf's OpenVLA recipes, with batches sized for a small policy on a CPU.

use serde::{Deserialize, Serialize};
use twinhost_plugin_api::{Error, Result};
use twinhost_plugin_torch::OptimizerConfig;

use crate::gae::Bootstrap;
use crate::rollout::{AdvantageConfig, RewardType};

/// What one probability ratio (or entropy) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Each action dimension.
    #[serde(rename = "token_level")]
    Token,
    /// Each action of the chunk: sum over its dimensions.
    #[serde(rename = "action_level")]
    Action,
    /// The whole chunk.
    #[serde(rename = "chunk_level")]
    Chunk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    K1,
    K2,
    K3,
}

/// Configuration of `ppo`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    pub gamma: f64,
    /// The lambda of GAE.
    pub gae_lambda: f64,
    pub reward_type: RewardType,
    pub logprob_type: Level,
    pub entropy_type: Level,
    /// Which episode ends are worth the value of their last observation.
    pub bootstrap: Bootstrap,
    pub normalize_advantages: bool,
    /// Lower and upper distance of the clipped ratio from 1.
    pub clip_low: f64,
    pub clip_high: f64,
    /// The constant c > 1 of dual clip; `None` turns it off.
    pub dual_clip: Option<f64>,
    /// Bound of |log ratio| before the exponential; `None` leaves it unbounded.
    pub clip_log_ratio: Option<f64>,
    pub value_clip: f64,
    pub huber_delta: f64,
    pub value_coef: f64,
    pub entropy_coef: f64,
    /// Weight of the KL divergence from a reference policy (feature `reference.log_prob`).
    pub kl_coef: f64,
    pub kl_estimator: KlEstimator,
    /// Passes over a rollout.
    pub epochs: usize,
    /// Rows per optimiser step.
    pub global_batch: usize,
    /// Most rows per forward pass.
    pub micro_batch: usize,
    /// Updates at the beginning that train the value head alone, without the anchor.
    pub critic_warmup: u64,
    /// Ends an update before the step whose `train/approx_kl` exceeds this.
    pub target_kl: Option<f64>,
    /// If set, losses are reduced as `mean(l m / (valid steps of the trajectory / max_episode_steps))`.
    pub max_episode_steps: Option<u64>,
    pub optimizer: OptimizerConfig,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self {
            gamma: 0.99,
            gae_lambda: 0.95,
            reward_type: RewardType::ChunkLevel,
            logprob_type: Level::Token,
            entropy_type: Level::Token,
            bootstrap: Bootstrap::Standard,
            normalize_advantages: true,
            clip_low: 0.2,
            clip_high: 0.28,
            dual_clip: Some(3.0),
            clip_log_ratio: Some(20.0),
            value_clip: 0.2,
            huber_delta: 10.0,
            value_coef: 1.0,
            entropy_coef: 0.0,
            kl_coef: 0.0,
            kl_estimator: KlEstimator::K3,
            epochs: 2,
            global_batch: 256,
            micro_batch: 64,
            critic_warmup: 0,
            target_kl: None,
            max_episode_steps: None,
            optimizer: OptimizerConfig::default(),
        }
    }
}

impl PpoConfig {
    /// # Errors
    /// `InvalidConfig` naming the first field out of range. NaN is out of every range.
    pub fn check(&self) -> Result<()> {
        for (field, value) in [("gamma", self.gamma), ("gae_lambda", self.gae_lambda)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(field, format!("must lie in [0, 1], got {value}")));
            }
        }
        if !(self.clip_low > 0.0 && self.clip_low < 1.0) {
            return Err(Error::config("clip_low", format!("must lie in (0, 1), got {}", self.clip_low)));
        }
        let positive = [
            ("clip_high", Some(self.clip_high)),
            ("clip_log_ratio", self.clip_log_ratio),
            ("value_clip", Some(self.value_clip)),
            ("huber_delta", Some(self.huber_delta)),
            ("target_kl", self.target_kl),
        ];
        for (field, value) in positive {
            if let Some(value) = value
                && !(value > 0.0 && value.is_finite())
            {
                return Err(Error::config(field, format!("must be positive and finite, got {value}")));
            }
        }
        for (field, value) in [("value_coef", self.value_coef), ("entropy_coef", self.entropy_coef), ("kl_coef", self.kl_coef)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(field, format!("must be at least 0 and finite, got {value}")));
            }
        }
        if let Some(c) = self.dual_clip
            && !(c > 1.0 && c.is_finite())
        {
            return Err(Error::config("dual_clip", format!("must be greater than 1 and finite, or None, got {c}")));
        }
        for (field, value) in [("epochs", self.epochs), ("global_batch", self.global_batch), ("micro_batch", self.micro_batch)] {
            if value == 0 {
                return Err(Error::config(field, "must be at least 1"));
            }
        }
        if self.max_episode_steps == Some(0) {
            return Err(Error::config("max_episode_steps", "must be at least 1, or None"));
        }
        if self.reward_type == RewardType::ActionLevel && (self.logprob_type == Level::Chunk || self.entropy_type == Level::Chunk) {
            let field = if self.logprob_type == Level::Chunk { "logprob_type" } else { "entropy_type" };
            return Err(Error::config(field, "chunk_level has one entry per chunk, which needs reward_type: chunk_level"));
        }
        self.optimizer.check("optimizer")
    }

    pub(super) fn advantage(&self) -> AdvantageConfig {
        AdvantageConfig {
            gamma: self.gamma as f32,
            lambda: self.gae_lambda as f32,
            reward_type: self.reward_type,
            bootstrap: self.bootstrap,
            normalize: self.normalize_advantages,
        }
    }
}
