//! Stage II: `RL(sim) + beta * SFT(real)`.
//!
//! Every iteration collects a rollout of fresh episodes with the current weights and hands it to the algorithm together with the
//! anchor, a supply of real demonstrations. Rollout seeds and anchor draws are functions of the iteration alone, so a run that was
//! killed continues from its last checkpoint exactly as it would have.

use std::sync::Arc;
use std::time::Instant;
use twinhost_plugin_api::{ActMode, Algorithm, Anchor, Batch, Env as _, Policy, UpdateRequest};

use super::checkpoint::{StagePosition, stage_key};
use super::demos::Demonstrations;
use super::evaluation::success_rate;
use super::live::LiveRewards;
use super::session::{Session, create_scoring, stop_requested, with_restarts};
use super::{Error, Result};
use crate::data::{EpisodeBuffer, MixedSampler};
use crate::recipe::{LoadedRecipe, Rl};
use crate::rollout::{EvaluationPlan, Interventions, RolloutPlan, RolloutStatistics, collect, derive_seed};

/// Draws real demonstrations for the anchor; draw k of an iteration is a function of the iteration's seed and k.
struct RealDemonstrations {
    sampler: MixedSampler,
    chunk: usize,
    draws: u64,
}

impl RealDemonstrations {
    fn draw(&mut self, rows: usize) -> twinhost_plugin_api::Result<Batch> {
        let step = self.draws;
        self.draws += 1;
        self.sampler.batch(step, rows, self.chunk).map_err(|e| twinhost_plugin_api::Error::internal(e.to_string()))
    }
}

/// Runs (or continues) the stage on top of the stage `before`, or of the recipe's initial weights; returns its key.
///
/// # Errors
/// If a component fails, the disk is full, or the user stops the run.
pub fn run(session: &mut Session, recipe: &LoadedRecipe, stage: &Rl, before: Option<&str>, demos: &Demonstrations) -> Result<String> {
    let seed = recipe.recipe.seed;
    let key = stage_key(
        "rl",
        &[before.unwrap_or(&demos.key), &recipe.fingerprint(&["seed", "policy", "stages.rl", &format!("envs.{}", stage.env)])],
    );
    if session.state.stages.get(&key).is_some_and(|s| s.finished) {
        return Ok(key);
    }
    let mut policy = session.policy(recipe)?;
    let mut algorithm = session.algorithm(recipe, &stage.algorithm, &mut policy)?;
    let done = match session.restore(&key, &mut policy, Some(&mut algorithm))? {
        Some(state) => state.step,
        None => {
            match before {
                Some(key) => drop(session.restore(key, &mut policy, None)?),
                // Weights act by the statistics that they were trained with.
                None if recipe.recipe.policy.init.is_some() => {}
                None => policy.set_statistics(&demos.statistics)?,
            }
            0
        }
    };
    let chunk = policy.spec().chunk;
    let spec = session.env(recipe, &stage.env)?.spec();
    let mut scoring = create_scoring(&session.loader, recipe, stage, &spec)?;
    let mut live = LiveRewards::of(stage, &spec)?;
    let total = stage.iterations as u64;
    let bar = session.progress.resumed_stage(&session.stage_title("rl"), total, done);
    for iteration in done..total {
        let started = Instant::now();
        if stage.eval_every > 0 && iteration % stage.eval_every as u64 == 0 {
            let plan = EvaluationPlan {
                seed: derive_seed(seed, "rl-eval", 0),
                episodes: stage.eval_episodes,
                variant: String::new(),
                mode: ActMode::Greedy,
                temperature: 1.0,
                films: 0,
                film_size: 0,
            };
            let rate = with_restarts(session.env(recipe, &stage.env)?, |env| success_rate(env, &mut policy, &plan))?;
            session.log("rl", iteration, vec![("eval/success_once".into(), rate)])?;
        }
        live.take_up(&mut session.loader, recipe, stage, &spec, &mut scoring);
        let plan = RolloutPlan {
            chunks: stage.chunks,
            temperature: stage.temperature as f32,
            seed: derive_seed(seed, "rollout", iteration),
            variant: String::new(),
        };
        let rollout = with_restarts(session.env(recipe, &stage.env)?, |env| Ok(collect(env, &mut policy, &mut scoring, &plan)?))?;
        let collected = started.elapsed();
        let mut anchor = anchor_for(stage, demos.real.as_ref(), chunk, derive_seed(seed, "anchor", iteration))?;
        let request = UpdateRequest { seed: derive_seed(seed, "update", iteration), iteration, total_iterations: total };
        let mut metrics = algorithm.update(&rollout.data, anchor.as_mut(), &request)?;
        report(&mut metrics, &rollout.statistics, (started.elapsed() - collected).as_secs_f64());
        metrics.append(&mut scoring.take_metrics());
        let env = session.env(recipe, &stage.env)?;
        if env.is_watched() {
            report_interventions(&mut metrics, env.take_interventions());
        }
        bar.message(format!("success {:.0} %", 100.0 * rate(&rollout.statistics)));
        session.log("rl", iteration, metrics)?;
        let step = iteration + 1;
        let stopping = stop_requested();
        if step == total || stopping || step % recipe.recipe.checkpoint.every_iterations as u64 == 0 {
            session.checkpoint(&key, StagePosition { stage: "rl", step, finished: step == total }, &mut policy, &mut algorithm)?;
        }
        bar.inc(1);
        if stopping && step < total {
            return Err(Error::Stopped);
        }
    }
    bar.finish("");
    Ok(key)
}

fn anchor_for(stage: &Rl, real: Option<&Arc<EpisodeBuffer>>, chunk: usize, seed: u64) -> Result<Option<Anchor>> {
    if stage.anchor.beta == 0.0 {
        return Ok(None);
    }
    let set = real.ok_or_else(|| {
        Error::Unfit("stages.rl.anchor.beta is above 0, but the recipe has no real demonstrations (stages.demos.real)".into())
    })?;
    let mut source = RealDemonstrations { sampler: MixedSampler::real_only(set.clone(), seed)?, chunk, draws: 0 };
    Ok(Some(Anchor::new(stage.anchor.beta, stage.anchor.batch_size, move |rows| source.draw(rows))))
}

fn rate(statistics: &RolloutStatistics) -> f64 {
    if statistics.episodes == 0 { 0.0 } else { statistics.successes as f64 / statistics.episodes as f64 }
}

/// Adds the rollout's numbers under RLinf's names.
fn report(metrics: &mut Vec<(String, f64)>, statistics: &RolloutStatistics, update_seconds: f64) {
    let episodes = statistics.episodes.max(1) as f64;
    let (simulation, inference) = (statistics.simulation.as_secs_f64(), statistics.inference.as_secs_f64());
    metrics.extend([
        ("env/success_once".to_string(), rate(statistics)),
        ("env/return".to_string(), statistics.return_sum / episodes),
        ("env/episode_len".to_string(), statistics.length_sum as f64 / episodes),
        ("env/num_trajectories".to_string(), statistics.episodes as f64),
        ("time/simulation".to_string(), simulation),
        ("time/inference".to_string(), inference),
        ("time/reward".to_string(), statistics.scoring.as_secs_f64()),
        ("time/training".to_string(), update_seconds),
        ("time/env_steps_per_second".to_string(), statistics.env_steps as f64 / (simulation + inference).max(1e-9)),
    ]);
}

/// Shares of the chunks that monitors reviewed.
fn report_interventions(metrics: &mut Vec<(String, f64)>, seen: Interventions) {
    let reviewed = seen.reviewed.max(1) as f64;
    metrics.extend([
        ("env/filter_reduced".to_string(), seen.reduced as f64 / reviewed),
        ("env/filter_vetoed".to_string(), seen.vetoed as f64 / reviewed),
    ]);
}
