//! Both ends of the crossing: handles of torch tensors, and the typed wrapper that an algorithm holds around a policy.

use super::TorchResult;
use tch::Tensor;

use super::{Evaluation, Parameter};
use twinhost_plugin_api::v1::policy::{DifferentiableBox, NamedHandle, TorchHandle};
use twinhost_plugin_api::v1::{Batch, Error, Result};

/// Names of the computations and of their results, shared by both ends.
pub(super) const EVALUATE: &str = "evaluate";
pub(super) const SFT_LOSS: &str = "sft_loss";
pub(super) const LOG_PROB: &str = "log_prob";
pub(super) const ENTROPY: &str = "entropy";
pub(super) const VALUE: &str = "value";
pub(super) const LOSS: &str = "loss";

/// Gives the tensor away; the receiver frees it.
pub(super) fn give(name: &str, group: &str, tensor: Tensor) -> NamedHandle {
    let mut tensor = std::mem::ManuallyDrop::new(tensor);
    NamedHandle { name: name.into(), group: group.into(), tensor: TorchHandle(tensor.as_mut_ptr().cast()) }
}

/// Takes ownership of every handle at once, so that none leaks when a later check fails.
fn take(handles: impl IntoIterator<Item = NamedHandle>) -> Result<Vec<Parameter>> {
    let mut null = None;
    let taken: Vec<Parameter> = handles
        .into_iter()
        .filter_map(|handle| {
            if handle.tensor.0.is_null() {
                null = Some(handle.name.to_string());
                return None;
            }
            // SAFETY: the pointer is a live `at::Tensor*` that the sender released with `give` (or the same contract in another plugin built
            // against the same libtorch, which the loader checks); ownership passes here exactly once because `NamedHandle` is moved.
            let tensor = unsafe { Tensor::from_ptr(handle.tensor.0.cast()) };
            Some(Parameter { name: handle.name.into(), group: handle.group.into(), tensor })
        })
        .collect();
    match null {
        None => Ok(taken),
        Some(name) => Err(Error::internal(format!("the policy returned a null tensor for `{name}`"))),
    }
}

/// The differentiable side of a policy, as an algorithm uses it.
pub struct Differentiable {
    inner: DifferentiableBox,
}

impl Differentiable {
    pub fn new(inner: DifferentiableBox) -> Self {
        Self { inner }
    }

    fn compute(&mut self, what: &str, batch: &Batch) -> Result<Vec<Parameter>> {
        take(self.inner.compute(what.into(), batch).into_result().map_err(|e| e.context(format!("policy `{what}`")))?)
    }

    /// See [`TorchPolicy::evaluate`](super::TorchPolicy::evaluate).
    ///
    /// # Errors
    /// The policy's own, or if it left out a result.
    pub fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation> {
        let mut results = self.compute(EVALUATE, batch)?;
        Ok(Evaluation {
            log_prob: pick(&mut results, EVALUATE, LOG_PROB)?,
            entropy: pick(&mut results, EVALUATE, ENTROPY)?,
            value: pick(&mut results, EVALUATE, VALUE).ok(),
        })
    }

    /// See [`TorchPolicy::sft_loss`](super::TorchPolicy::sft_loss).
    ///
    /// # Errors
    /// The policy's own, or if the loss is not a scalar.
    pub fn sft_loss(&mut self, batch: &Batch) -> Result<Tensor> {
        let loss = pick(&mut self.compute(SFT_LOSS, batch)?, SFT_LOSS, LOSS)?;
        if loss.numel() != 1 {
            return Err(Error::internal(format!("the policy's `sft_loss` must be a scalar, got shape {:?}", loss.size())));
        }
        loss.f_reshape(&[] as &[i64]).or_error()
    }

    /// Every weight; the tensors share storage with the policy.
    ///
    /// # Errors
    /// The policy's own, or if two weights have one name.
    pub fn parameters(&mut self) -> Result<Vec<Parameter>> {
        let parameters = take(self.inner.parameters().into_result()?)?;
        let mut names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::internal(format!("the policy lists the parameter `{}` twice", twice[0])));
        }
        Ok(parameters)
    }

    /// Tells the policy that its parameters were changed in place; returns the new weights version.
    ///
    /// # Errors
    /// The policy's own.
    pub fn weights_changed(&mut self) -> Result<u64> {
        self.inner.weights_changed().into_result()
    }
}

fn pick(results: &mut Vec<Parameter>, what: &str, name: &str) -> Result<Tensor> {
    match results.iter().position(|r| r.name == name) {
        Some(at) => Ok(results.swap_remove(at).tensor),
        None => Err(Error::internal(format!("the policy's `{what}` returned no `{name}`"))),
    }
}
