//! The differentiable side: what an author of a trainable policy or of an algorithm implements.
//!
//! A policy author implements [`TorchPolicy`] and exports a [`TorchPolicyAdapter`] of it. An algorithm holds a [`Differentiable`], the
//! typed end of the same policy, which may live in another plugin: both link one libtorch, so tensors cross with their autograd graph.
//!
//! Tensor operators of `tch` panic when shapes do not fit. Check shapes at the edge and return an [`Error`](twinhost_plugin_api::v1::Error) with a
//! sentence; a panic that slips through is caught at the plugin boundary and reported as this component's failure.

mod adapter;
mod algorithm;
mod checkpoint;
mod convert;
mod differentiable;
mod learner;
mod optimizer;

pub use adapter::TorchPolicyAdapter;
pub use algorithm::{BatchPlan, Loss, Phase, TorchAlgorithm};
pub use convert::{check_finite, from_torch, to_torch};
pub use differentiable::Differentiable;
pub use learner::Learner;
pub use optimizer::{Clip, OptimizerConfig, Schedule};

use std::path::Path;
use tch::Tensor;

use twinhost_plugin_api::v1::{ActRequest, Batch, DatasetStatistics, HostServices, PolicySpec, Result};

/// Turns a failure of libtorch into a plugin error.
pub trait TorchResult<T> {
    /// # Errors
    /// The first line of libtorch's message; a C++ stack trace follows it.
    fn or_error(self) -> Result<T>;
}

impl<T> TorchResult<T> for std::result::Result<T, tch::TchError> {
    fn or_error(self) -> Result<T> {
        self.map_err(|e| twinhost_plugin_api::Error::internal(format!("torch: {}", e.to_string().lines().next().unwrap_or_default())))
    }
}

/// What an algorithm needs to know about N recorded action chunks under the current weights. Every tensor carries its graph.
pub struct Evaluation {
    /// Log-probability of each action dimension, f32 `[N, C, A]` (nats).
    pub log_prob: Tensor,
    /// Entropy of the distribution each dimension was drawn from, f32 `[N, C, A]` (nats).
    pub entropy: Tensor,
    /// State value, f32 `[N, 1]`; `None` if the policy has no value head.
    pub value: Option<Tensor>,
}

/// One weight tensor of a policy.
pub struct Parameter {
    /// Name in the checkpoint.
    pub name: String,
    /// Optimiser group: `policy`, or `value` for the value head.
    pub group: String,
    /// Shares storage with the policy, so an in-place update changes the policy. Frozen weights have `requires_grad` off.
    pub tensor: Tensor,
}

/// A policy that can be trained. [`TorchPolicyAdapter`] turns it into a [`Policy`](twinhost_plugin_api::v1::Policy).
pub trait TorchPolicy: Send {
    fn spec(&self) -> PolicySpec;

    /// As [`Policy::act`](twinhost_plugin_api::v1::Policy::act); runs without gradients. The adaptor adds `weights_version`.
    ///
    /// # Errors
    /// If an observation is missing or has a wrong shape.
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch>;

    /// Scores recorded chunks: `batch` holds N rows of the observation and what `act` returned in training mode.
    /// With unchanged weights `log_prob` equals the recorded one exactly (a PPO ratio of 1).
    ///
    /// # Errors
    /// If a feature is missing or has a wrong shape.
    fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation>;

    /// Mean supervised loss over demonstration rows (observation and `action` `[N, C, A]`), a scalar with its graph.
    ///
    /// # Errors
    /// If a feature is missing or has a wrong shape.
    fn sft_loss(&mut self, batch: &Batch) -> Result<Tensor>;

    /// Every weight, each name once.
    fn parameters(&self) -> Vec<Parameter>;

    /// See [`Policy::set_statistics`](twinhost_plugin_api::v1::Policy::set_statistics).
    ///
    /// # Errors
    /// If the dimensions do not fit.
    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()>;

    /// Writes the weights and everything needed to use them into an existing folder.
    ///
    /// # Errors
    /// If writing fails.
    fn save(&mut self, folder: &Path) -> Result<()>;

    /// Loads in place: tensors handed out by [`TorchPolicy::parameters`] stay those of the policy.
    ///
    /// # Errors
    /// If a file is missing, truncated or does not fit.
    fn load(&mut self, folder: &Path) -> Result<()>;
}

/// Bounds torch's intra-op threads by the host's budget. OpenMP keeps the bound per calling thread, hence at the head of every call.
pub(crate) fn bound_threads(services: &HostServices) {
    let budget = i32::try_from(services.threads.max(1)).unwrap_or(i32::MAX);
    if tch::get_num_threads() != budget {
        tch::set_num_threads(budget);
    }
}
