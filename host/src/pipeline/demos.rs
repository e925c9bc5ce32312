//! The demonstrations of a run: recorded by an expert in the real twin, multiplied by MimicGen in simulation, kept for re-use.
//!
//! A set is stored under a key over everything that determines it, so a run finds the set of an earlier one with the same key, and
//! never one that differs ([`crate::data::sets`]).

use std::sync::Arc;
use std::time::Instant;
use twinhost_plugin_api::{DatasetStatistics, Env};

use super::session::{Session, create_expert, stop_requested};
use super::{Error, Result};
use crate::data::sets::{Sets, Tell};
use crate::data::{self, EpisodeBuffer, Stored};
use crate::observe::{DemonstrationSet, Progress};
use crate::recipe::{LoadedRecipe, RealDemos, SimDemos};

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
    let started = Instant::now();
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
    // The first arm made them, or did not; for the others they are there in any case.
    if !session.run.demonstrations().is_file() {
        DemonstrationSet::write_all(&sets, &session.run)?;
    }
    let key = named.iter().map(|(name, stored)| format!("{name} {}\n", stored.provenance.key)).collect();
    let mut load = |stored: Option<&Stored>| stored.map(|stored| session.demonstrations(stored)).transpose();
    let (real, sim) = (load(real.as_ref())?, load(sim.as_ref())?);
    let buffers: Vec<&EpisodeBuffer> = real.iter().chain(&sim).map(AsRef::as_ref).collect();
    if buffers.is_empty() {
        return Err(Error::Unfit(
            "the recipe records no demonstrations (stages.demos), and without any there is nothing to normalise by or learn from".into(),
        ));
    }
    // Once per run: arms share the sets, and a run that is resumed before its first checkpoint begins its metrics anew.
    if session.sink.global_step() == 0 {
        let count = |set: &Option<Arc<EpisodeBuffer>>| set.as_ref().map_or(0.0, |s| s.len() as f64);
        let values = [
            ("demos/real_transitions", count(&real)),
            ("demos/sim_transitions", count(&sim)),
            ("time/demos", started.elapsed().as_secs_f64()),
        ];
        session.sink.log("", "demos", 0, values.map(|(name, value)| (name.to_string(), value)))?;
    }
    let statistics = data::statistics(&buffers, &session.policy_env(recipe)?.action)?;
    Ok(Demonstrations { key, real, sim, statistics })
}

fn real_set(session: &mut Session, recipe: &LoadedRecipe, stage: &RealDemos) -> Result<Stored> {
    let (loader, env, data_dir, progress) = session.collection(recipe, &stage.env)?;
    let spec = env.spec();
    let order = Sets { data_dir, recipe, loader }.real(stage, spec.kind)?;
    let expert = || create_expert(loader, recipe, &stage.expert, &spec);
    with_progress(progress, "real", stage.episodes, |tell| order.record(stage, env, expert, tell))
}

fn sim_set(session: &mut Session, recipe: &LoadedRecipe, stage: &SimDemos, source: &Stored) -> Result<Stored> {
    let (loader, env, data_dir, progress) = session.collection(recipe, &stage.env)?;
    let order = Sets { data_dir, recipe, loader }.sim(stage, env.spec().kind, source)?;
    with_progress(progress, "sim", stage.episodes, |tell| Ok(order.generate(stage, env, source, false, tell)?))
}

/// Shows the success rate while a set is made; a request to stop ends it.
fn with_progress(progress: &Progress, name: &str, wanted: usize, make: impl FnOnce(Tell<'_>) -> Result<Stored>) -> Result<Stored> {
    let mut bar = None;
    let mut rate = String::new();
    let made = make(&mut |p| {
        let bar = bar.get_or_insert_with(|| progress.stage(&format!("demos: {name}"), wanted as u64));
        rate = format!("{:.0} % of {} attempts succeed", 100.0 * p.success_rate(), p.attempts);
        bar.set_position(p.successes as u64);
        bar.message(rate.clone());
        if stop_requested() { Err(data::Error::Cancelled) } else { Ok(()) }
    });
    if let Some(bar) = bar.filter(|_| made.is_ok()) {
        bar.finish(rate);
    }
    made.map_err(|e| match e {
        Error::Data(data::Error::Cancelled) => Error::Stopped,
        other => other,
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
