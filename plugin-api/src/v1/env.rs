//! `Env`: a vectorised environment, simulated or real.

use abi_stable::std_types::{RBox, RResult, RSlice, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{guard, to_json};
use super::spec::EnvSpec;
use super::tensor::Tensor;

/// How to begin new episodes.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct ResetRequest {
    /// One seed per environment, all environments are reset. Equal seeds give equal episodes.
    pub seeds: RVec<u64>,
    /// Start the next episode in the step that ends one (its seed follows from the first seed and the episode's number);
    /// otherwise an environment that is done stays as it is, with reward 0, until the next reset.
    pub auto_reset: bool,
    /// A name from `EnvSpec::variants`; empty means the first.
    pub variant: RString,
    /// Add the `privileged.*` features to every observation.
    pub privileged: bool,
}

impl ResetRequest {
    pub fn new(seeds: Vec<u64>) -> Self {
        Self { seeds: seeds.into(), auto_reset: false, variant: RString::new(), privileged: false }
    }
    #[must_use]
    pub fn auto_reset(mut self) -> Self {
        self.auto_reset = true;
        self
    }
    #[must_use]
    pub fn variant(mut self, variant: &str) -> Self {
        self.variant = variant.into();
        self
    }
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }
}

/// A vectorised environment of B instances.
///
/// Observations: the features of the spec with a leading axis B, and the text feature `task`.
pub trait Env: Send {
    fn spec(&self) -> EnvSpec;

    /// Starts an episode in every environment and returns the first observations `[B, ...]`.
    ///
    /// # Errors
    /// If the number of seeds is not B, or the variant is unknown.
    fn reset(&mut self, request: &ResetRequest) -> Result<Batch>;

    /// Executes a chunk of C control steps, `actions` f32 `[B, C, A]`.
    ///
    /// Returns `next.reward` f32, `next.terminated` and `next.truncated` bool, all `[B, C]`; `next.success` bool `[B]`, true if
    /// the episode this chunk belongs to has succeeded so far; the observation after the chunk (of the new episode where
    /// auto-reset began one); and, when some environment's episode ended, the last observation of the ended episode as
    /// `final.<feature>` `[B, ...]` (rows of environments that did not end repeat the current observation).
    /// Steps of a chunk after the episode's end are not executed and have reward 0.
    ///
    /// # Errors
    /// If the shape is wrong or an action is not finite.
    fn step(&mut self, actions: &Tensor) -> Result<Batch>;

    /// An image of one environment for people to look at, u8 `[height, width, 3]`.
    ///
    /// # Errors
    /// If the environment cannot render or the camera is unknown (empty = the default camera).
    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        let _ = (env, camera, width, height);
        Err(Error::unsupported("this environment does not render"))
    }

    /// Everything needed to continue from here bit for bit.
    ///
    /// # Errors
    /// If the environment cannot be saved (hardware).
    fn save_state(&mut self) -> Result<Vec<u8>> {
        Err(Error::unsupported("this environment cannot save its state"))
    }

    /// # Errors
    /// If the bytes are not from `save_state` of an equally configured environment.
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Err(Error::unsupported("this environment cannot load a state"))
    }
}

/// The frozen interface behind [`Env`].
#[sabi_trait]
pub trait EnvAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn reset(&mut self, request: &ResetRequest) -> RResult<Batch, Error>;
    fn step(&mut self, actions: &Tensor) -> RResult<Batch, Error>;
    fn render(&mut self, env: usize, camera: RStr<'_>, width: usize, height: usize) -> RResult<Tensor, Error>;
    fn save_state(&mut self) -> RResult<RVec<u8>, Error>;
    #[sabi(last_prefix_field)]
    fn load_state(&mut self, state: RSlice<'_, u8>) -> RResult<(), Error>;
}

pub type EnvBox = EnvAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Env> EnvAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn reset(&mut self, request: &ResetRequest) -> RResult<Batch, Error> {
        guard(|| self.0.reset(request))
    }
    fn step(&mut self, actions: &Tensor) -> RResult<Batch, Error> {
        guard(|| self.0.step(actions))
    }
    fn render(&mut self, env: usize, camera: RStr<'_>, width: usize, height: usize) -> RResult<Tensor, Error> {
        guard(|| self.0.render(env, camera.as_str(), width, height))
    }
    fn save_state(&mut self) -> RResult<RVec<u8>, Error> {
        guard(|| self.0.save_state().map(Into::into))
    }
    fn load_state(&mut self, state: RSlice<'_, u8>) -> RResult<(), Error> {
        guard(|| self.0.load_state(state.as_slice()))
    }
}

/// Wraps an author's environment for export.
pub fn boxed<T: Env + 'static>(env: T) -> EnvBox {
    EnvAbi_TO::from_value(Adapter(env), sabi_trait::TD_Opaque)
}
