//! `Policy`: observations to action chunks; optionally with a differentiable side that algorithms train.

use abi_stable::std_types::{RBox, ROption, RResult, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};
use std::path::Path;

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{from_json, guard, to_json};
use super::spec::{DatasetStatistics, PolicySpec};

#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActMode {
    /// Draw from the policy's distribution.
    Sample,
    /// The most likely action.
    Greedy,
}

#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct ActRequest {
    pub mode: ActMode,
    /// Softmax temperature where the policy has one.
    pub temperature: f32,
    /// Seed of this call's draws: equal weights, observations and seed give equal actions.
    pub seed: u64,
    /// Also return `action.log_prob`, `value` and what `evaluate` needs to recompute them (`action.tokens`, ...).
    pub training: bool,
}

/// Maps observations to action chunks.
pub trait Policy: Send {
    fn spec(&self) -> PolicySpec;

    /// New episodes begin in the given rows; only policies with memory care.
    ///
    /// # Errors
    /// If a row is out of range.
    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        let _ = (rows, seeds);
        Ok(())
    }

    /// `action` f32 `[B, C, A]` in the environment's units, `weights_version` i64 `[B]`; see [`ActRequest::training`].
    ///
    /// # Errors
    /// If an observation is missing or has a wrong shape.
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch>;

    /// Data statistics for normalisation; called once before training, saved with the weights.
    ///
    /// # Errors
    /// If the dimensions do not fit.
    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        let _ = statistics;
        Ok(())
    }

    /// Writes the weights and everything needed to use them into an existing folder.
    ///
    /// # Errors
    /// If writing fails.
    fn save(&mut self, folder: &Path) -> Result<()> {
        let _ = folder;
        Ok(())
    }

    /// # Errors
    /// If a file is missing, truncated or does not fit this policy.
    fn load(&mut self, folder: &Path) -> Result<()> {
        let _ = folder;
        Ok(())
    }

    /// SHA-256 (hex) over all parameters in name order.
    ///
    /// # Errors
    /// If the policy has no parameters.
    fn digest(&mut self) -> Result<String> {
        Err(Error::unsupported("this policy has no parameters"))
    }

    /// The side that algorithms train.
    fn differentiable(&mut self) -> Option<DifferentiableBox> {
        None
    }
}

/// An `at::Tensor*` that crosses between plugins together with its autograd graph.
/// Whoever receives one owns it. Both sides must be linked against the same libtorch, which the loader checks.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct TorchHandle(pub *mut std::ffi::c_void);

// SAFETY: at::Tensor is an atomically reference-counted handle; the handle is moved, never shared.
unsafe impl Send for TorchHandle {}

#[repr(C)]
#[derive(StableAbi)]
pub struct NamedHandle {
    pub name: RString,
    /// Optimiser group, e.g. `policy` or `value`.
    pub group: RString,
    pub tensor: TorchHandle,
}

/// The frozen interface of the differentiable side (typed wrappers live in `crate::torch`).
#[sabi_trait]
pub trait DifferentiableAbi: Send {
    /// Named results of a differentiable computation over `batch`:
    /// `evaluate` -> `log_prob` `[N, C, A]`, `entropy` `[N, C, A]`, `value` `[N, 1]`; `sft_loss` -> `loss` `[]`.
    fn compute(&mut self, what: RStr<'_>, batch: &Batch) -> RResult<RVec<NamedHandle>, Error>;
    fn parameters(&mut self) -> RResult<RVec<NamedHandle>, Error>;
    /// The parameters were changed in place; returns the new weights version.
    #[sabi(last_prefix_field)]
    fn weights_changed(&mut self) -> RResult<u64, Error>;
}

pub type DifferentiableBox = DifferentiableAbi_TO<'static, RBox<()>>;

/// The frozen interface behind [`Policy`].
#[sabi_trait]
pub trait PolicyAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn reset(&mut self, rows: &RVec<usize>, seeds: &RVec<u64>) -> RResult<(), Error>;
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> RResult<Batch, Error>;
    fn set_statistics(&mut self, json: RStr<'_>) -> RResult<(), Error>;
    fn save(&mut self, folder: RStr<'_>) -> RResult<(), Error>;
    fn load(&mut self, folder: RStr<'_>) -> RResult<(), Error>;
    fn digest(&mut self) -> RResult<RString, Error>;
    #[sabi(last_prefix_field)]
    fn differentiable(&mut self) -> RResult<ROption<DifferentiableBox>, Error>;
}

pub type PolicyBox = PolicyAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Policy> PolicyAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn reset(&mut self, rows: &RVec<usize>, seeds: &RVec<u64>) -> RResult<(), Error> {
        guard(|| self.0.reset(rows, seeds))
    }
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> RResult<Batch, Error> {
        guard(|| self.0.act(observation, request))
    }
    fn set_statistics(&mut self, json: RStr<'_>) -> RResult<(), Error> {
        guard(|| self.0.set_statistics(&from_json(json.as_str())?))
    }
    fn save(&mut self, folder: RStr<'_>) -> RResult<(), Error> {
        guard(|| self.0.save(Path::new(folder.as_str())))
    }
    fn load(&mut self, folder: RStr<'_>) -> RResult<(), Error> {
        guard(|| self.0.load(Path::new(folder.as_str())))
    }
    fn digest(&mut self) -> RResult<RString, Error> {
        guard(|| self.0.digest().map(Into::into))
    }
    fn differentiable(&mut self) -> RResult<ROption<DifferentiableBox>, Error> {
        guard(|| Ok(self.0.differentiable().into()))
    }
}

/// Wraps an author's policy for export.
pub fn boxed<T: Policy + 'static>(policy: T) -> PolicyBox {
    PolicyAbi_TO::from_value(Adapter(policy), sabi_trait::TD_Opaque)
}
