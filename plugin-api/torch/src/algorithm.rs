//! What the author of an algorithm writes; [`Learner`](super::Learner) does the rest.

use tch::Tensor;

use super::Differentiable;
use twinhost_plugin_api::v1::{AlgorithmSpec, Batch, Result, UpdateRequest};

/// One kind of optimiser step. Every optimiser batch runs all phases in order, e.g. critic, then actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    pub name: &'static str,
    /// The phase trains the acting weights, so the anchor is added to it.
    pub updates_policy: bool,
    /// Optimiser groups ([`Parameter::group`](super::Parameter)) this phase steps; the others stay untouched.
    pub groups: Vec<&'static str>,
}

/// How the prepared rows are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// Passes over the rows.
    pub epochs: usize,
    /// Rows per optimiser step. The rows are split evenly into `round(rows / global_batch)` steps, at least one.
    pub global_batch: usize,
    /// Most rows per forward pass; gradients of the micro-batches of a step are accumulated.
    pub micro_batch: usize,
}

/// The loss of one micro-batch.
pub struct Loss {
    /// Scalar with its graph.
    pub total: Tensor,
    /// Scalars to report under RLinf's names, e.g. `train/approx_kl`.
    pub metrics: Vec<(&'static str, Tensor)>,
}

/// An algorithm as a sequence of losses.
pub trait TorchAlgorithm: Send {
    fn spec(&self) -> AlgorithmSpec;

    /// Metric name of the total loss, e.g. `train/ppo_loss`.
    fn loss_name(&self) -> &'static str;

    fn batch_plan(&self) -> BatchPlan;

    /// The phases of this update.
    fn phases(&self, request: &UpdateRequest) -> Vec<Phase>;

    /// Turns the host's data into N training rows (every feature `[N, ...]`), e.g. by computing advantages.
    ///
    /// # Errors
    /// If a feature is missing or has a wrong shape.
    fn prepare(&mut self, data: &Batch, policy: &mut Differentiable) -> Result<Batch>;

    /// How much a micro-batch counts within its optimiser step. Micro-batch losses are means, so the step's loss is their mean
    /// weighted by this: their number of rows, or of valid entries where the loss is a masked mean.
    ///
    /// # Errors
    /// If a feature is missing.
    fn weight(&self, micro: &Batch) -> Result<f64> {
        Ok(micro.rows() as f64)
    }

    /// # Errors
    /// If a feature is missing or the policy cannot evaluate it.
    fn loss(&mut self, phase: &Phase, micro: &Batch, policy: &mut Differentiable) -> Result<Loss>;

    /// Ends the update before a step whose metrics (means over its micro-batches) say so, e.g. at a target KL.
    fn stop_before(&self, metrics: &[(&'static str, f64)]) -> bool {
        let _ = metrics;
        false
    }
}
