//! `host eval`: measures weights on the environments of a recipe.

use clap::Args;
use std::path::{Path, PathBuf};
use twinhost_plugin_api::{Env as _, Policy};

use super::{Failure, Overrides, PluginPaths};
use crate::observe::{EvalResult, Progress, RunLayout};
use crate::pipeline::{self, RunState};
use crate::recipe::{LoadedRecipe, Recipe};

#[derive(Args, Debug)]
pub struct EvalArgs {
    /// A run folder, or a recipe together with --weights.
    target: PathBuf,
    /// Which arm of the run; its last one when left out.
    #[arg(long)]
    arm: Option<String>,
    /// Folder with the policy's weights (config and safetensors), instead of the run's own.
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Environments of the recipe to evaluate in; those of stages.eval when left out.
    #[arg(long, value_delimiter = ',', value_name = "ENV,...")]
    envs: Vec<String>,
    /// Variants of the task; those of stages.eval when left out.
    #[arg(long, value_delimiter = ',', value_name = "VARIANT,...")]
    variants: Vec<String>,
    /// Episodes per environment and variant.
    #[arg(long)]
    episodes: Option<usize>,
    #[command(flatten)]
    overrides: Overrides,
    /// Also write the result, episode by episode, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    paths: PluginPaths,
}

/// # Errors
/// If weights or components are missing, or one fails.
pub fn run(args: &EvalArgs, progress: &Progress) -> Result<(), Failure> {
    let (recipe, weights, arm) = subject(args)?;
    let mut stage = recipe
        .recipe
        .stages
        .eval
        .clone()
        .ok_or_else(|| Failure::user("the recipe has no stages.eval: add it to say what to evaluate on"))?;
    if !args.envs.is_empty() {
        stage.envs.clone_from(&args.envs);
    }
    if !args.variants.is_empty() {
        stage.variants.clone_from(&args.variants);
    }
    if let Some(episodes) = args.episodes {
        stage.episodes = episodes.max(1);
    }
    let loader = args.paths.loader(&recipe.recipe);
    let threads = super::run::threads(&recipe);
    // As a run creates it, whichever environments are measured now.
    let told = recipe.recipe.policy_env().ok_or_else(|| Failure::user("the recipe has no environment"))?;
    let told = (told, pipeline::create_env(&loader, &recipe, told, threads)?);
    let mut policy = pipeline::create_policy(&loader, &recipe, threads, &told.1.spec())?;
    let mut told = Some(told);
    policy.load(&weights)?;
    let mut result = EvalResult { arm, seed: recipe.recipe.seed, weights_digest: policy.digest().unwrap_or_default(), groups: Vec::new() };
    for name in &stage.envs {
        let mut env = match told.take_if(|(told, _)| told == name) {
            Some((_, env)) => env,
            None => pipeline::create_env(&loader, &recipe, name, threads)?,
        };
        for variant in &stage.variants {
            let bar = progress.stage(&format!("{name}/{variant}"), stage.episodes as u64);
            let (group, _) = pipeline::measure(&mut env, &mut policy, &stage, name, variant, 0, |wave| bar.inc(wave as u64))?;
            bar.finish("");
            let rate = group.success();
            println!(
                "{name:<10} {variant:<12} success {:>5.1} %  (95 % interval {:.1} to {:.1}, {} episodes)",
                100.0 * rate.rate,
                100.0 * rate.low,
                100.0 * rate.high,
                rate.trials
            );
            result.groups.push(group);
        }
    }
    if let Some(path) = &args.json {
        crate::observe::run_dir::write_json(path, &result)?;
    }
    Ok(())
}

/// Recipe, folder of weights, and a name for the result.
fn subject(args: &EvalArgs) -> Result<(LoadedRecipe, PathBuf, String), Failure> {
    if args.target.is_dir() {
        let layout = RunLayout::new(&args.target);
        let about = layout.read_about()?;
        let arm = match &args.arm {
            Some(arm) => arm.clone(),
            None => about.arms.last().map(|a| a.name.clone()).unwrap_or_default(),
        };
        if about.arms.iter().all(|a| a.name != arm) {
            let names: Vec<&str> = about.arms.iter().map(|a| a.name.as_str()).collect();
            return Err(Failure::user(format!("the run has no arm `{arm}` (it has: {})", names.join(", "))));
        }
        let recipe = Recipe::load(&super::run::arm_file(&args.target, &arm), &args.overrides.sets(), None)?;
        let weights = match &args.weights {
            Some(folder) => folder.clone(),
            None => final_weights(&layout, &arm)?,
        };
        return Ok((recipe, weights, arm));
    }
    let weights =
        args.weights.clone().ok_or_else(|| Failure::user("a recipe has no weights of its own: add --weights DIR, or name a run folder"))?;
    Ok((
        Recipe::load(&args.target, &args.overrides.sets(), args.arm.as_deref())?,
        weights,
        args.arm.clone().unwrap_or_else(|| "weights".into()),
    ))
}

fn final_weights(layout: &RunLayout, arm: &str) -> Result<PathBuf, Failure> {
    let unfinished = || {
        Failure::user(format!(
            "arm `{arm}` is not finished: continue it with host run --resume {}, or name weights with --weights",
            layout.path().display()
        ))
    };
    let state: RunState =
        if Path::new(&layout.state()).is_file() { crate::observe::run_dir::read_json(&layout.state())? } else { return Err(unfinished()) };
    let key = state
        .finished
        .get(arm)
        .ok_or_else(unfinished)?
        .as_ref()
        .ok_or_else(|| Failure::user(format!("arm `{arm}` trains nothing, so the run has no weights of it")))?;
    let stage = state.stages.get(key).ok_or_else(unfinished)?;
    Ok(pipeline::checkpoint_folder(layout, key, stage.step).join("policy"))
}
