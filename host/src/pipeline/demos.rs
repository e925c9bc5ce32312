//! The demonstrations of a run: recorded by an expert in the real twin, multiplied by MimicGen in simulation, kept for re-use.
//!
//! A set is stored under a key over everything that determines it (recipe fields, seed, plugin hashes), so a run finds the set of an
//! earlier one with the same key, and never one that differs ([`crate::data::store`]).

use std::path::Path;
use std::sync::Arc;
use twinhost_plugin_api::{DatasetStatistics, Env};

use super::session::{Session, stop_requested};
use super::{Error, Result};
use crate::data::store::{Ingredients, Order, Stored, folder_for, open_or_make};
use crate::data::{self, Cameras, EpisodeBuffer, mimicgen, record};
use crate::loader::{EnvHandle, Kind, host_services};
use crate::observe::{DemonstrationSet, DemonstrationSource};
use crate::recipe::{LoadedRecipe, RealDemos, SimDemos};
use crate::rollout::derive_seed;

/// What the stages learn from.
pub struct Demonstrations {
    /// Changes with anything that changes the data.
    pub key: String,
    pub real: Option<Arc<EpisodeBuffer>>,
    pub sim: Option<Arc<EpisodeBuffer>>,
    /// Normalisation, over everything above: the same in every stage.
    pub statistics: DatasetStatistics,
}

/// Loads the sets the recipe's stages need, making those that are not stored yet.
///
/// # Errors
/// If too few attempts succeed, a component fails, the disk is full, or the user stops the run.
pub fn prepare(session: &mut Session, recipe: &LoadedRecipe) -> Result<Demonstrations> {
    let stages = &recipe.recipe.stages.demos;
    let real = match stages.real.as_ref().filter(|_| recipe.recipe.needs_real_demos()) {
        Some(stage) => Some(real_set(session, recipe, stage)?),
        None => None,
    };
    let sim = match (stages.sim.as_ref().filter(|_| recipe.recipe.needs_sim_demos()), &real) {
        (Some(stage), Some(source)) => Some(sim_set(session, recipe, stage, source)?),
        _ => None,
    };
    let named: Vec<(&str, &Stored)> = real.iter().map(|s| ("real", s)).chain(sim.iter().map(|s| ("sim", s))).collect();
    let sets: Vec<DemonstrationSet> = named.iter().map(|(name, stored)| describe(name, stored)).collect();
    DemonstrationSet::write_all(&sets, &session.run)?;
    let key = named.iter().map(|(name, stored)| format!("{name} {}\n", stored.provenance.key)).collect();
    let load = |stored: &Option<Stored>| -> Result<Option<Arc<EpisodeBuffer>>> {
        let Some(stored) = stored else { return Ok(None) };
        Ok(Some(Arc::new(EpisodeBuffer::load(&[&stored.dataset], Cameras::Load)?)))
    };
    let (real, sim) = (load(&real)?, load(&sim)?);
    let buffers: Vec<&EpisodeBuffer> = real.iter().chain(&sim).map(AsRef::as_ref).collect();
    if buffers.is_empty() {
        return Err(Error::Unfit("the recipe records no demonstrations (stages.demos), and without any there is nothing to normalise by or learn from".into()));
    }
    let env = recipe.recipe.envs.keys().next().cloned().unwrap_or_default();
    let statistics = data::statistics(&buffers, &session.env(recipe, &env)?.spec().action)?;
    Ok(Demonstrations { key, real, sim, statistics })
}

/// SHA-256 of the plugin that provides a component.
fn plugin_hash(session: &Session, kind: Kind, component: &str) -> String {
    session.loader.catalog.find(kind, component).map(|(bundle, _)| bundle.sha256.clone()).unwrap_or_default()
}

fn real_set(session: &mut Session, recipe: &LoadedRecipe, stage: &RealDemos) -> Result<Stored> {
    let seed = derive_seed(recipe.recipe.seed, "demos.real", 0);
    let services = host_services(1, derive_seed(seed, "expert", 0));
    let created = session.loader.policy(&stage.expert.component, &stage.expert.config.ron, services);
    let mut expert = super::session::located(recipe, Kind::Policy, &stage.expert.component, &stage.expert.config, created)?;
    let ingredients = ingredients(session, recipe, &stage.env, "stages.demos.real")?
        .with("expert", plugin_hash(session, Kind::Policy, &stage.expert.component));
    let request = record::Recording {
        episodes: stage.episodes,
        attempts_per_episode: stage.attempts_per_episode,
        seed,
        variant: "",
        robot_type: &stage.env,
    };
    make(session, recipe, &stage.env, ("real", DemonstrationSource::Planner, stage.episodes), ingredients, |env, folder, tell| {
        record::record(folder, env, &mut expert, &request, tell)
    })
}

fn sim_set(session: &mut Session, recipe: &LoadedRecipe, stage: &SimDemos, source: &Stored) -> Result<Stored> {
    let seed = derive_seed(recipe.recipe.seed, "demos.sim", 0);
    let ingredients = ingredients(session, recipe, &stage.env, "stages.demos.sim")?.with("source", &source.provenance.key);
    let request = mimicgen::Generation {
        source: &source.dataset,
        settings: stage,
        seed,
        variant: "",
        robot_type: &stage.env,
        keep_failures: false,
    };
    make(session, recipe, &stage.env, ("sim", DemonstrationSource::Mimicgen, stage.episodes), ingredients, |env, folder, tell| {
        mimicgen::generate(folder, env, &request, tell)
    })
}

/// What every set depends on: seed, the stage's fields, the environment and its plugin.
fn ingredients(session: &Session, recipe: &LoadedRecipe, env: &str, stage: &str) -> Result<Ingredients> {
    let component = &recipe.recipe.envs.get(env).ok_or_else(|| Error::Unfit(format!("the recipe has no environment `{env}`")))?.component;
    let env_path = format!("envs.{env}");
    Ok(Ingredients::default()
        .with("recipe", recipe.fingerprint(&["seed", stage, &env_path]))
        .with("environment", plugin_hash(session, Kind::Env, component)))
}

type Tell<'a> = &'a mut dyn FnMut(&data::Progress) -> data::Result<()>;

/// Opens the stored set made from these ingredients, or makes it.
fn make(
    session: &mut Session,
    recipe: &LoadedRecipe,
    env: &str,
    (name, source, wanted): (&str, DemonstrationSource, usize),
    ingredients: Ingredients,
    fill: impl FnOnce(&mut EnvHandle, &Path, Tell<'_>) -> data::Result<data::Progress>,
) -> Result<Stored> {
    let folder = folder_for(&session.data_dir, &format!("{}-{name}", recipe.recipe.name), &ingredients);
    let progress = session.progress.clone();
    let handle = session.env(recipe, env)?;
    let order = Order { ingredients, source, env, kind: handle.spec().kind };
    let made = open_or_make(&folder, &order, |staging| {
        let bar = progress.stage(&format!("demos: {name}"), wanted as u64);
        let mut tell = |p: &data::Progress| -> data::Result<()> {
            bar.set_position(p.successes as u64);
            bar.message(format!("{:.0} % of {} attempts succeed", 100.0 * p.success_rate(), p.attempts));
            if stop_requested() { Err(data::Error::Cancelled) } else { Ok(()) }
        };
        let done = fill(handle, staging, &mut tell)?;
        bar.finish(format!("{:.0} % of {} attempts succeeded", 100.0 * done.success_rate(), done.attempts));
        Ok(done)
    });
    made.map_err(|e| match e {
        data::Error::Cancelled => Error::Stopped,
        other => other.into(),
    })
}

fn describe(name: &str, stored: &Stored) -> DemonstrationSet {
    let p = &stored.provenance;
    DemonstrationSet {
        name: name.into(),
        source: p.source,
        env: p.env.clone(),
        kind: p.kind,
        episodes: p.episodes as u64,
        transitions: p.frames as u64,
        attempts: p.attempts,
        reused: stored.reused,
    }
}
