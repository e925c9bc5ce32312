//! Which demonstration frame is sample k of step s: RL-Co's stage I draws every sample from the simulated set with probability alpha,
//! else from the real one, so that the expected loss is `alpha*SFT(sim) + (1-alpha)*SFT(real)`.

use rand::RngCore;
use std::sync::Arc;
use twinhost_plugin_api::Batch;

use super::buffer::{EpisodeBuffer, gather};
use super::draws::{self, Purpose};
use super::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Sim,
    Real,
}

/// Draws with replacement, uniform over frames within each set. Every draw is a pure function of seed, step and position in the batch, so a
/// resumed run continues with the very samples it would have seen.
#[derive(Clone, Debug)]
pub struct MixedSampler {
    alpha: f64,
    sim: Option<Arc<EpisodeBuffer>>,
    real: Option<Arc<EpisodeBuffer>>,
    seed: u64,
}

impl MixedSampler {
    /// # Errors
    /// If alpha is not in [0, 1], or a set that would be drawn from is missing or empty.
    pub fn new(alpha: f64, sim: Option<Arc<EpisodeBuffer>>, real: Option<Arc<EpisodeBuffer>>, seed: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&alpha) {
            return Err(Error::refused(format!("alpha, the share of simulated samples, must lie between 0 and 1, got {alpha}")));
        }
        let usable = |set: &Option<Arc<EpisodeBuffer>>| set.as_ref().is_some_and(|b| !b.is_empty());
        if alpha > 0.0 && !usable(&sim) {
            return Err(Error::refused(format!(
                "alpha is {alpha}, but there are no simulated demonstrations; generate some or set alpha to 0"
            )));
        }
        if alpha < 1.0 && !usable(&real) {
            return Err(Error::refused(format!("alpha is {alpha}, but there are no real demonstrations; record some or set alpha to 1")));
        }
        Ok(Self { alpha, sim, real, seed })
    }

    /// Only one set, e.g. the real one for the anchor of stage II.
    ///
    /// # Errors
    /// If the set is empty.
    pub fn real_only(real: Arc<EpisodeBuffer>, seed: u64) -> Result<Self> {
        Self::new(0.0, None, Some(real), seed)
    }

    /// Set and frame of sample `k` of step `step`.
    pub fn draw(&self, step: u64, k: u64) -> (Origin, usize) {
        let mut random = draws::at(self.seed, Purpose::Sampling, step, k);
        let origin = if draws::unit(random.next_u64()) < self.alpha { Origin::Sim } else { Origin::Real };
        (origin, draws::below(random.next_u64(), self.set(origin).len()))
    }

    fn set(&self, origin: Origin) -> &EpisodeBuffer {
        let set = match origin {
            Origin::Sim => &self.sim,
            Origin::Real => &self.real,
        };
        set.as_deref().expect("the constructor refuses an alpha that would draw from a missing set")
    }

    /// The `rows` samples of a step, see [`EpisodeBuffer::chunk_batch`].
    ///
    /// # Errors
    /// If `rows` or `chunk` is 0, or the two sets' features differ.
    pub fn batch(&self, step: u64, rows: usize, chunk: usize) -> Result<Batch> {
        let picked: Vec<(&EpisodeBuffer, usize)> = (0..rows as u64)
            .map(|k| {
                let (origin, frame) = self.draw(step, k);
                (self.set(origin), frame)
            })
            .collect();
        gather(&picked, chunk)
    }
}
