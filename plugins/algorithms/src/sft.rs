//! Supervised fine-tuning: every update is one AdamW step on the policy's own imitation loss.
//!
//! Stage I of RL-Co (arXiv 2602.12628) is this on a mix of simulated and real demonstrations; the host draws the mix.

use serde::{Deserialize, Serialize};
use twinhost_plugin_api::policy::DifferentiableBox;
use twinhost_plugin_api::{AlgorithmSpec, Batch, ComponentConfig, Error, HostServices, Paradigm, Result, UpdateRequest, names};
use twinhost_plugin_torch::{BatchPlan, Differentiable, Learner, Loss, OptimizerConfig, Phase, TorchAlgorithm};

/// Configuration of `sft`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// Most rows per forward pass; the gradient is that of the whole batch either way.
    pub micro_batch: usize,
    pub optimizer: OptimizerConfig,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self { micro_batch: 64, optimizer: OptimizerConfig { policy_lr: 1e-3, ..OptimizerConfig::default() } }
    }
}

/// The algorithm `sft`.
pub struct Sft {
    config: SftConfig,
}

impl Sft {
    /// # Errors
    /// `InvalidConfig` naming the field, or if the policy cannot be trained.
    pub fn create(config: ComponentConfig<'_>, services: HostServices, policy: DifferentiableBox) -> Result<Learner<Self>> {
        let config: SftConfig = config.parse()?;
        if config.micro_batch == 0 {
            return Err(Error::config("micro_batch", "must be at least 1"));
        }
        config.optimizer.check("optimizer")?;
        let optimizer = config.optimizer.clone();
        Learner::new(Self { config }, optimizer, policy, services)
    }
}

impl TorchAlgorithm for Sft {
    fn spec(&self) -> AlgorithmSpec {
        AlgorithmSpec { paradigm: Paradigm::Supervised, needs: vec![names::ACTION.into()] }
    }

    fn loss_name(&self) -> &'static str {
        "train/sft_loss"
    }

    fn batch_plan(&self) -> BatchPlan {
        BatchPlan { epochs: 1, global_batch: usize::MAX, micro_batch: self.config.micro_batch }
    }

    fn phases(&self, _request: &UpdateRequest) -> Vec<Phase> {
        vec![Phase { name: "sft", updates_policy: true, groups: vec!["policy"] }]
    }

    fn prepare(&mut self, data: &Batch, _policy: &mut Differentiable) -> Result<Batch> {
        data.try_clone()
    }

    fn loss(&mut self, _phase: &Phase, micro: &Batch, policy: &mut Differentiable) -> Result<Loss> {
        Ok(Loss { total: policy.sft_loss(micro)?, metrics: Vec::new() })
    }
}
