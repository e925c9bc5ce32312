//! Evaluation: whole episodes from given seeds, so that every arm of a comparison meets the same ones.

use std::time::Duration;
use twinhost_plugin_api::{ActMode, ActRequest, Batch, Env, Policy, ResetRequest, Result, Tensor, names};

use super::{chunk_outcomes, derive_seed, timed};

#[derive(Clone, Debug)]
pub struct EvaluationPlan {
    /// Episode i uses seed `derive_seed(seed, "episode", i)`.
    pub seed: u64,
    pub episodes: usize,
    pub variant: String,
    pub mode: ActMode,
    pub temperature: f32,
    /// Record frames of this many episodes (the first ones), of this size in pixels.
    pub films: usize,
    pub film_size: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeOutcome {
    pub index: usize,
    pub seed: u64,
    pub task: String,
    pub success: bool,
    pub episode_return: f64,
    pub length: usize,
}

/// What an evaluation found, and what it spent its time on.
#[derive(Debug, Default)]
pub struct Evaluation {
    pub episodes: Vec<EpisodeOutcome>,
    pub films: Vec<Film>,
    pub simulation: Duration,
    pub inference: Duration,
}

/// Frames of one episode, one per policy call, u8 `[H, W, 3]`.
#[derive(Debug)]
pub struct Film {
    pub episode: usize,
    pub frames: Vec<Tensor>,
}

/// Runs `plan.episodes` episodes in waves of all environments. `progress` hears of every finished wave.
///
/// # Errors
/// Whatever the components report.
pub fn evaluate(env: &mut dyn Env, policy: &mut dyn Policy, plan: &EvaluationPlan, mut progress: impl FnMut(usize)) -> Result<Evaluation> {
    let spec = env.spec();
    let chunk = policy.spec().chunk;
    let mut found = Evaluation::default();
    for first in (0..plan.episodes).step_by(spec.num_envs) {
        let live = spec.num_envs.min(plan.episodes - first);
        let seeds: Vec<u64> = (0..spec.num_envs).map(|i| derive_seed(plan.seed, "episode", (first + i) as u64)).collect();
        let request = ResetRequest::new(seeds.clone()).variant(&plan.variant);
        let mut observation = timed(&mut found.simulation, || env.reset(&request))?;
        let rows: Vec<usize> = (0..spec.num_envs).collect();
        policy.reset(&rows, &seeds)?;
        let tasks = observation.texts(names::TASK)?;
        let mut wave: Vec<EpisodeOutcome> = (0..live)
            .map(|i| EpisodeOutcome {
                index: first + i,
                seed: seeds[i],
                task: tasks[i].to_string(),
                success: false,
                episode_return: 0.0,
                length: 0,
            })
            .collect();
        let mut shots: Vec<Film> =
            (0..live).filter(|i| first + i < plan.films).map(|i| Film { episode: first + i, frames: Vec::new() }).collect();
        let mut active: Vec<usize> = (0..live).collect();
        let mut calls = 0u64;
        while !active.is_empty() {
            for film in &mut shots {
                let row = film.episode - first;
                if active.contains(&row) {
                    let frame = timed(&mut found.simulation, || env.render(row, "", plan.film_size, plan.film_size))?;
                    film.frames.push(frame);
                }
            }
            // Only environments that still run are asked for an action; the others stand still.
            let request = ActRequest {
                mode: plan.mode,
                temperature: plan.temperature,
                seed: derive_seed(plan.seed, "act", first as u64 ^ (calls << 32)),
                training: false,
            };
            let decision = timed(&mut found.inference, || policy.act(&observation.gather_rows(&active)?, &request))?;
            let actions = scatter(decision.get(names::ACTION)?, &active, spec.num_envs)?;
            let step = timed(&mut found.simulation, || env.step(&actions))?;
            account(&step, &mut active, &mut wave)?;
            observation = step;
            calls += 1;
            if calls as usize > spec.max_episode_steps.div_ceil(chunk) + 1 {
                return Err(twinhost_plugin_api::Error::internal(format!(
                    "episodes run past max_episode_steps = {} without ending",
                    spec.max_episode_steps
                )));
            }
        }
        for film in &mut shots {
            film.frames.push(env.render(film.episode - first, "", plan.film_size, plan.film_size)?);
        }
        found.films.append(&mut shots);
        found.episodes.append(&mut wave);
        progress(live);
    }
    Ok(found)
}

fn scatter(actions: &Tensor, rows: &[usize], envs: usize) -> Result<Tensor> {
    let mut shape = actions.shape();
    shape[0] = envs;
    let width = actions.row_len();
    let mut out = vec![0f32; envs * width];
    for (values, &row) in actions.as_slice::<f32>()?.chunks_exact(width).zip(rows) {
        out[row * width..(row + 1) * width].copy_from_slice(values);
    }
    Ok(Tensor::from_vec(out, &shape))
}

/// Books one chunk and drops the environments that are done from `active`.
fn account(step: &Batch, active: &mut Vec<usize>, wave: &mut [EpisodeOutcome]) -> Result<()> {
    let chunks = chunk_outcomes(step)?;
    active.retain(|&env| {
        let (chunk, outcome) = (&chunks[env], &mut wave[env]);
        outcome.episode_return += chunk.reward;
        outcome.length += chunk.length;
        outcome.success |= chunk.success;
        !chunk.ended
    });
    Ok(())
}
