//! `Algorithm`: turns data into weight updates of a policy.

use abi_stable::std_types::{RBox, ROption, RResult, RStr, RString, RVec, Tuple2};
use abi_stable::{StableAbi, sabi_trait};
use std::path::Path;

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{guard, to_json};
use super::spec::AlgorithmSpec;

/// One call of [`Algorithm::update`].
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct UpdateRequest {
    /// Seed of this update's shuffling and draws.
    pub seed: u64,
    /// How many updates came before (0 for the first); schedules depend on it.
    pub iteration: u64,
    /// How many updates the stage has in all.
    pub total_iterations: u64,
}

/// Weight and source of the anchor term: `loss + weight * SFT(real)` on every phase that updates the policy.
#[repr(C)]
#[derive(StableAbi)]
pub struct Anchor {
    pub weight: f64,
    /// Demonstration rows per optimiser step and micro-batch, as the host's recipe says.
    pub batch_size: usize,
    pub source: BatchSourceBox,
}

/// A supply of demonstration rows, implemented by the host.
#[sabi_trait]
pub trait BatchSource: Send {
    #[sabi(last_prefix_field)]
    fn draw(&mut self, rows: usize) -> RResult<Batch, Error>;
}

pub type BatchSourceBox = BatchSource_TO<'static, RBox<()>>;

struct Drawing<F>(F);

impl<F: FnMut(usize) -> Result<Batch> + Send> BatchSource for Drawing<F> {
    fn draw(&mut self, rows: usize) -> RResult<Batch, Error> {
        guard(|| (self.0)(rows))
    }
}

impl Anchor {
    /// An anchor that takes its rows from `draw`.
    pub fn new(weight: f64, batch_size: usize, draw: impl FnMut(usize) -> Result<Batch> + Send + 'static) -> Self {
        Self { weight, batch_size, source: BatchSource_TO::from_value(Drawing(draw), sabi_trait::TD_Opaque) }
    }
}

/// Named numbers of one update, e.g. `train/ppo_loss`.
pub type Metrics = Vec<(String, f64)>;

pub trait Algorithm: Send {
    fn spec(&self) -> AlgorithmSpec;

    /// Learns from `data` (see [`super::spec::Paradigm`]).
    ///
    /// # Errors
    /// If a feature is missing, a loss is not finite, or the anchor has no gradient.
    fn update(&mut self, data: &Batch, anchor: Option<&mut Anchor>, request: &UpdateRequest) -> Result<Metrics>;

    /// Writes optimiser and schedule state into an existing folder.
    ///
    /// # Errors
    /// If writing fails.
    fn save(&mut self, folder: &Path) -> Result<()>;

    /// # Errors
    /// If a file is missing, truncated or does not fit.
    fn load(&mut self, folder: &Path) -> Result<()>;
}

/// The frozen interface behind [`Algorithm`].
#[sabi_trait]
pub trait AlgorithmAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn update(&mut self, data: &Batch, anchor: ROption<&mut Anchor>, request: &UpdateRequest)
    -> RResult<RVec<Tuple2<RString, f64>>, Error>;
    fn save(&mut self, folder: RStr<'_>) -> RResult<(), Error>;
    #[sabi(last_prefix_field)]
    fn load(&mut self, folder: RStr<'_>) -> RResult<(), Error>;
}

pub type AlgorithmBox = AlgorithmAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Algorithm> AlgorithmAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn update(
        &mut self,
        data: &Batch,
        anchor: ROption<&mut Anchor>,
        request: &UpdateRequest,
    ) -> RResult<RVec<Tuple2<RString, f64>>, Error> {
        guard(|| {
            let metrics = self.0.update(data, anchor.into_option(), request)?;
            Ok(metrics.into_iter().map(|(name, value)| Tuple2(name.into(), value)).collect())
        })
    }
    fn save(&mut self, folder: RStr<'_>) -> RResult<(), Error> {
        guard(|| self.0.save(Path::new(folder.as_str())))
    }
    fn load(&mut self, folder: RStr<'_>) -> RResult<(), Error> {
        guard(|| self.0.load(Path::new(folder.as_str())))
    }
}

/// Wraps an author's algorithm for export.
pub fn boxed<T: Algorithm + 'static>(algorithm: T) -> AlgorithmBox {
    AlgorithmAbi_TO::from_value(Adapter(algorithm), sabi_trait::TD_Opaque)
}
