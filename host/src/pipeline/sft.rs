//! Stage I: `alpha * SFT(sim) + (1 - alpha) * SFT(real)`, by drawing each sample from sim with probability alpha.
//!
//! The batch of step s is a function of the seed and s alone, so a killed run continues exactly.

use std::time::Instant;
use twinhost_plugin_api::{Algorithm, Policy, UpdateRequest};

use super::checkpoint::{StagePosition, stage_key};
use super::demos::Demonstrations;
use super::session::{Session, stop_requested};
use super::{Error, Result};
use crate::data::MixedSampler;
use crate::recipe::{LoadedRecipe, Sft};
use crate::rollout::derive_seed;

/// Steps between two records in the metrics.
const LOG_EVERY: u64 = 10;

/// Runs (or continues) the stage; returns its key.
///
/// # Errors
/// If a component fails, the disk is full, or the user stops the run.
pub fn run(session: &mut Session, recipe: &LoadedRecipe, stage: &Sft, demos: &Demonstrations) -> Result<String> {
    let seed = recipe.recipe.seed;
    let key = stage_key("sft", &[&demos.key, &recipe.fingerprint(&["seed", "policy", "stages.sft"])]);
    if session.state.stages.get(&key).is_some_and(|s| s.finished) {
        return Ok(key);
    }
    let mut policy = session.policy(recipe)?;
    policy.set_statistics(&demos.statistics)?;
    let mut algorithm = session.algorithm(recipe, &stage.algorithm, &mut policy)?;
    let done = session.restore(&key, &mut policy, Some(&mut algorithm))?.map_or(0, |state| state.step);
    let sampler = MixedSampler::new(stage.alpha, demos.sim.clone(), demos.real.clone(), derive_seed(seed, "sft", 0))?;
    let (chunk, total) = (policy.spec().chunk, stage.steps as u64);
    let bar = session.progress.resumed_stage(&session.stage_title("sft"), total, done);
    let mut sums = Sums::default();
    for step in done..total {
        let started = Instant::now();
        let batch = sampler.batch(step, stage.batch_size, chunk)?;
        let loaded = started.elapsed().as_secs_f64();
        let request = UpdateRequest { seed: derive_seed(seed, "sft-update", step), iteration: step, total_iterations: total };
        let metrics = algorithm.update(&batch, None, &request)?;
        sums.add(metrics, loaded, started.elapsed().as_secs_f64() - loaded);
        let step = step + 1;
        // Records are made at fixed steps only, so that a resumed run writes the same ones.
        if step % LOG_EVERY == 0 || step == total {
            let means = sums.take();
            if let Some((_, loss)) = means.iter().find(|(name, _)| name == "train/sft_loss") {
                bar.message(format!("loss {loss:.3}"));
            }
            session.log("sft", step, means)?;
        }
        let stopping = stop_requested();
        let at_record = step % LOG_EVERY == 0;
        if step == total || (at_record && (stopping || step % recipe.recipe.checkpoint.every_steps as u64 == 0)) {
            session.checkpoint(&key, StagePosition { stage: "sft", step, finished: step == total }, &mut policy, &mut algorithm)?;
            if stopping && step < total {
                return Err(Error::Stopped);
            }
        }
        bar.inc(1);
    }
    bar.finish("");
    Ok(key)
}

/// Means of the metrics since the last record.
#[derive(Default)]
struct Sums {
    names: Vec<String>,
    totals: Vec<f64>,
    count: f64,
    loading: f64,
    training: f64,
}

impl Sums {
    fn add(&mut self, metrics: Vec<(String, f64)>, loading: f64, training: f64) {
        for (name, value) in metrics {
            match self.names.iter().position(|n| *n == name) {
                Some(at) => self.totals[at] += value,
                None => {
                    self.names.push(name);
                    self.totals.push(value);
                }
            }
        }
        self.count += 1.0;
        self.loading += loading;
        self.training += training;
    }

    fn take(&mut self) -> Vec<(String, f64)> {
        let sums = std::mem::take(self);
        let mut out: Vec<(String, f64)> = sums.names.into_iter().zip(sums.totals.iter().map(|t| t / sums.count)).collect();
        out.push(("time/loading".into(), sums.loading));
        out.push(("time/training".into(), sums.training));
        out
    }
}
