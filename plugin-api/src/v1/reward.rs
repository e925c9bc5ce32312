//! `Reward`: scores transitions that an environment or a robot produced.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RResult, RString, RVec};

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{guard, to_json};
use super::spec::RewardSpec;

pub trait Reward: Send {
    fn spec(&self) -> RewardSpec;

    /// New episodes begin in the given rows; rewards with memory forget theirs.
    ///
    /// # Errors
    /// If a row is out of range.
    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        let _ = rows;
        Ok(())
    }

    /// Scores one chunk of B environments. `transition` has the observation after the chunk, `action` `[B, C, A]` and the
    /// environment's own `next.*` features. Returns `next.reward` f32 `[B, C]` and, if the spec says so, `next.success` bool `[B]`.
    /// It may add `next.done` bool `[B, C]`, true where it ends the episode, and numbers to show, `metrics.<name>` f32 `[1]`.
    ///
    /// # Errors
    /// If a feature is missing or a score is not finite.
    fn score(&mut self, transition: &Batch) -> Result<Batch>;
}

/// The frozen interface behind [`Reward`].
#[sabi_trait]
pub trait RewardAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn reset(&mut self, rows: &RVec<usize>) -> RResult<(), Error>;
    #[sabi(last_prefix_field)]
    fn score(&mut self, transition: &Batch) -> RResult<Batch, Error>;
}

pub type RewardBox = RewardAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Reward> RewardAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn reset(&mut self, rows: &RVec<usize>) -> RResult<(), Error> {
        guard(|| self.0.reset(rows))
    }
    fn score(&mut self, transition: &Batch) -> RResult<Batch, Error> {
        guard(|| self.0.score(transition))
    }
}

/// Wraps an author's reward for export.
pub fn boxed<T: Reward + 'static>(reward: T) -> RewardBox {
    RewardAbi_TO::from_value(Adapter(reward), sabi_trait::TD_Opaque)
}
