//! Behaviour cloning with the policy's own imitation loss: an algorithm to begin with. The learner adaptor of `twinhost-plugin-torch` does the
//! rest: micro-batches, the anchor, clipping, the optimiser, checkpoints.

use serde::Deserialize;
use twinhost_plugin_api::policy::DifferentiableBox;
use twinhost_plugin_api::{AlgorithmSpec, Batch, ComponentConfig, Error, HostServices, Paradigm, Result, UpdateRequest, names};
use twinhost_plugin_torch::{BatchPlan, Differentiable, Learner, Loss, OptimizerConfig, Phase, TorchAlgorithm};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Most rows per forward pass.
    micro_batch: usize,
    optimizer: OptimizerConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self { micro_batch: 64, optimizer: OptimizerConfig::default() }
    }
}

pub struct {{Type}} {
    micro_batch: usize,
}

impl {{Type}} {
    /// # Errors
    /// `InvalidConfig` naming the field, or if the policy cannot be trained.
    pub fn create(config: ComponentConfig<'_>, services: HostServices, policy: DifferentiableBox) -> Result<Learner<Self>> {
        let config: Config = config.parse()?;
        if config.micro_batch == 0 {
            return Err(Error::config("micro_batch", "must be at least 1"));
        }
        config.optimizer.check("optimizer")?;
        Learner::new(Self { micro_batch: config.micro_batch }, config.optimizer, policy, services)
    }
}

impl TorchAlgorithm for {{Type}} {
    fn spec(&self) -> AlgorithmSpec {
        AlgorithmSpec { paradigm: Paradigm::Supervised, needs: vec![names::ACTION.into()] }
    }

    fn loss_name(&self) -> &'static str {
        "train/{{crate}}_loss"
    }

    fn batch_plan(&self) -> BatchPlan {
        BatchPlan { epochs: 1, global_batch: usize::MAX, micro_batch: self.micro_batch }
    }

    fn phases(&self, _: &UpdateRequest) -> Vec<Phase> {
        vec![Phase { name: "cloning", updates_policy: true, groups: vec!["policy"] }]
    }

    fn prepare(&mut self, data: &Batch, _: &mut Differentiable) -> Result<Batch> {
        data.try_clone()
    }

    fn loss(&mut self, _: &Phase, micro: &Batch, policy: &mut Differentiable) -> Result<Loss> {
        Ok(Loss { total: policy.sft_loss(micro)?, metrics: Vec::new() })
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    algorithms: { "{{name}}" => {{Type}}::create },
}
