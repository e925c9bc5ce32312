//! Evaluation of a finished policy: every variant in every environment, on the same episodes for every arm.

use std::path::PathBuf;
use twinhost_plugin_api::{ActMode, Env, Policy};

use super::session::{Session, stop_requested, with_restarts};
use super::{Error, Result};
use crate::loader::PolicyHandle;
use crate::observe::film::write_film;
use crate::observe::{EvalEpisode, EvalGroup, EvalResult};
use crate::recipe::{ActionChoice, Eval, LoadedRecipe};
use crate::rollout::{Evaluation, EvaluationPlan, Film, WatchedEnv, evaluate};

/// Control periods for which a frame is shown.
const FILM_SPEED: f64 = 2.0;
/// Edge of filmed frames, pixels.
const FILM_SIZE: usize = 160;

/// Share of successful episodes.
///
/// # Errors
/// If a component fails.
pub fn success_rate(env: &mut dyn Env, policy: &mut dyn Policy, plan: &EvaluationPlan) -> Result<f64> {
    let episodes = evaluate(env, policy, plan, |_| ())?.episodes;
    Ok(episodes.iter().filter(|e| e.success).count() as f64 / episodes.len().max(1) as f64)
}

/// Evaluates the arm's final policy, writes `eval/<arm>.json` and films, and logs the rates.
///
/// # Errors
/// If a component fails, the disk is full, or the user stops the run.
pub fn run(session: &mut Session, recipe: &LoadedRecipe, stage: &Eval, policy: &mut PolicyHandle) -> Result<EvalResult> {
    let total = (stage.envs.len() * stage.variants.len() * stage.episodes) as u64;
    let bar = session.progress.stage(&session.stage_title("eval"), total);
    let mut result = EvalResult {
        arm: session.arm.clone(),
        seed: recipe.recipe.seed,
        weights_digest: policy.digest().unwrap_or_default(),
        groups: Vec::new(),
    };
    for name in &stage.envs {
        for variant in &stage.variants {
            let films = if variant == &stage.variants[0] { stage.films } else { 0 };
            let env = session.env(recipe, name)?;
            let control_hz = env.spec().control_hz;
            let (mut group, found) = measure(env, policy, stage, name, variant, films, |wave| bar.inc(wave as u64))?;
            for film in &found.films {
                group.episodes[film.episode].film = Some(save_film(session, name, variant, film, control_hz)?);
            }
            let values = vec![
                (format!("eval/{name}/{variant}/success_once"), group.success().rate),
                ("time/simulation".into(), found.simulation.as_secs_f64()),
                ("time/inference".into(), found.inference.as_secs_f64()),
            ];
            session.log("eval", result.groups.len() as u64, values)?;
            result.groups.push(group);
            if stop_requested() {
                return Err(Error::Stopped);
            }
        }
    }
    bar.finish(summary(&result));
    result.write(&session.run)?;
    Ok(result)
}

/// Runs the episodes of one environment and variant; the episodes' outcomes are in the group, films and timing beside it.
///
/// # Errors
/// If a component fails.
pub fn measure(
    env: &mut WatchedEnv,
    policy: &mut dyn Policy,
    stage: &Eval,
    name: &str,
    variant: &str,
    films: usize,
    mut progress: impl FnMut(usize),
) -> Result<(EvalGroup, Evaluation)> {
    let plan = EvaluationPlan {
        seed: stage.seed,
        episodes: stage.episodes,
        variant: variant.into(),
        mode: if stage.mode == ActionChoice::Greedy { ActMode::Greedy } else { ActMode::Sample },
        temperature: stage.temperature as f32,
        films,
        film_size: FILM_SIZE,
    };
    let spec = env.spec();
    let mut found = with_restarts(env, |env| Ok(evaluate(env, policy, &plan, &mut progress)?))?;
    let episodes = std::mem::take(&mut found.episodes)
        .into_iter()
        .map(|o| EvalEpisode {
            seed: o.seed,
            success: o.success,
            episode_return: o.episode_return,
            length: o.length as u64,
            instruction: o.task,
            film: None,
        })
        .collect();
    let in_distribution = spec.variants.first().is_none_or(|first| variant.is_empty() || variant == first);
    Ok((EvalGroup { env: name.into(), kind: spec.kind, task: String::new(), variant: variant.into(), in_distribution, episodes }, found))
}

/// Returns the animation's path, relative to the run folder.
fn save_film(session: &Session, env: &str, variant: &str, film: &Film, control_hz: f64) -> Result<PathBuf> {
    let variant = if variant.is_empty() { "train" } else { variant };
    let stem = session.run.films().join(format!("{}-{env}-{variant}-{:03}", session.arm, film.episode));
    // One frame per policy call, shown somewhat faster than it happened.
    let files = write_film(&film.frames, FILM_SPEED / control_hz, &stem)?;
    Ok(files.animation.strip_prefix(session.run.path()).map(PathBuf::from).unwrap_or(files.animation))
}

/// `sim/train 62 %, real/train 48 %`.
pub fn summary(result: &EvalResult) -> String {
    let parts: Vec<String> = result.groups.iter().map(|g| format!("{}/{} {:.0} %", g.env, g.variant, 100.0 * g.success().rate)).collect();
    parts.join(", ")
}
