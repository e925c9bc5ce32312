//! Everything one run holds: recipe, components, run folder, metrics, progress.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use twinhost_plugin_api::{Algorithm, Env as _, EnvSpec, Policy, Reward};

use super::checkpoint::{Checkpoints, RunState, StagePosition};
use super::{Error, Result};
use crate::data::{Cameras, EpisodeBuffer, Stored};
use crate::loader::{AlgorithmHandle, Kind, Loader, PolicyHandle, Terms, host_services};
use crate::observe::{MetricSink, Progress, RunDir};
use crate::recipe::{Component, Limits, LoadedRecipe, Recipe, Rl};
use crate::rollout::{RewardPool, Scoring, WatchedEnv, WeightedReward, derive_seed};

/// Times the user asked to stop: once means "finish the step and save", twice means "now".
static STOP_REQUESTS: AtomicU32 = AtomicU32::new(0);

/// Called by the signal handler.
pub fn request_stop() {
    if STOP_REQUESTS.fetch_add(1, Ordering::Relaxed) > 0 {
        crate::loader::cancel_now();
    }
}

pub fn stop_requested() -> bool {
    STOP_REQUESTS.load(Ordering::Relaxed) > 0
}

pub struct Session {
    pub loader: Loader,
    pub run: RunDir,
    pub sink: MetricSink,
    pub state: RunState,
    pub progress: Progress,
    pub threads: u32,
    /// Where demonstrations are stored and looked for.
    pub data_dir: PathBuf,
    /// Name of the arm at work; metrics carry it.
    pub arm: String,
    /// Environments by their definition, so that arms share them.
    envs: BTreeMap<String, WatchedEnv>,
    /// Demonstration sets in memory by the key of their provenance: decoding their images takes seconds, and arms mostly share them.
    sets: BTreeMap<String, Arc<EpisodeBuffer>>,
}

impl Session {
    /// # Errors
    /// If the run folder's state or metrics are damaged.
    pub fn new(loader: Loader, run: RunDir, progress: Progress, threads: u32, data_dir: PathBuf) -> Result<Self> {
        let state: RunState = run.read_state()?.unwrap_or_default();
        let sink = MetricSink::open(&run, state.global_step)?;
        Ok(Self { loader, run, sink, state, progress, threads, data_dir, arm: String::new(), envs: BTreeMap::new(), sets: BTreeMap::new() })
    }

    /// The environment of that name in the recipe, created on first use.
    ///
    /// # Errors
    /// If the component is missing or refuses its configuration (shown in the recipe's text).
    pub fn env(&mut self, recipe: &LoadedRecipe, name: &str) -> Result<&mut WatchedEnv> {
        let key = env_definition(&recipe.recipe, name)?;
        if !self.envs.contains_key(&key) {
            let handle = create_env(&self.loader, recipe, name, self.threads)?;
            self.envs.insert(key.clone(), handle);
        }
        self.envs.get_mut(&key).ok_or_else(|| Error::Unfit(format!("the environment `{name}` vanished")))
    }

    /// The description of the environment that the policy is told about.
    ///
    /// # Errors
    /// As [`Session::env`].
    pub fn policy_env(&mut self, recipe: &LoadedRecipe) -> Result<EnvSpec> {
        let name = recipe.recipe.policy_env().ok_or_else(|| Error::Unfit("the recipe has no environment".into()))?;
        Ok(self.env(recipe, name)?.spec())
    }

    /// What making demonstrations in an environment needs at once: plugins, the environment, the folder for sets, progress.
    ///
    /// # Errors
    /// As [`Session::env`].
    pub fn collection(&mut self, recipe: &LoadedRecipe, name: &str) -> Result<(&Loader, &mut WatchedEnv, &Path, &Progress)> {
        self.env(recipe, name)?;
        let key = env_definition(&recipe.recipe, name)?;
        let env = self.envs.get_mut(&key).ok_or_else(|| Error::Unfit(format!("the environment `{name}` vanished")))?;
        Ok((&self.loader, env, &self.data_dir, &self.progress))
    }

    /// A stored set, decoded on first use.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn demonstrations(&mut self, stored: &Stored) -> Result<Arc<EpisodeBuffer>> {
        if let Some(loaded) = self.sets.get(&stored.provenance.key) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(EpisodeBuffer::load(&[&stored.dataset], Cameras::Load)?);
        self.sets.insert(stored.provenance.key.clone(), loaded.clone());
        Ok(loaded)
    }

    /// A fresh policy, initialised from the recipe's seed and, if it says so, from a folder of weights.
    ///
    /// # Errors
    /// As [`Session::env`], or if the weights do not load.
    pub fn policy(&mut self, recipe: &LoadedRecipe) -> Result<PolicyHandle> {
        let spec = self.policy_env(recipe)?;
        let mut policy = create_policy(&self.loader, recipe, self.threads, &spec)?;
        if let Some(folder) = &recipe.recipe.policy.init {
            policy.load(folder)?;
        }
        Ok(policy)
    }

    /// # Errors
    /// If the policy cannot be trained, or the component is missing or refuses its configuration.
    pub fn algorithm(&self, recipe: &LoadedRecipe, component: &Component, policy: &mut PolicyHandle) -> Result<AlgorithmHandle> {
        create_algorithm(&self.loader, recipe, component, policy, self.threads)
    }

    /// Saves a stage's position.
    ///
    /// # Errors
    /// If writing fails.
    pub fn checkpoint(
        &mut self,
        key: &str,
        at: StagePosition<'_>,
        policy: &mut PolicyHandle,
        algorithm: &mut AlgorithmHandle,
    ) -> Result<()> {
        Checkpoints { run: &self.run, state: &mut self.state }.save(key, at, policy, algorithm, &self.sink)
    }

    /// Loads the newest checkpoint of a stage into policy and algorithm; returns the step to continue from.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn restore(
        &mut self,
        key: &str,
        policy: &mut PolicyHandle,
        algorithm: Option<&mut AlgorithmHandle>,
    ) -> Result<Option<super::StageState>> {
        let Some((folder, state)) = (Checkpoints { run: &self.run, state: &mut self.state }).latest(key) else { return Ok(None) };
        policy.load(&folder.join("policy"))?;
        if let Some(algorithm) = algorithm {
            algorithm.load(&folder.join("algorithm"))?;
        }
        Ok(Some(state))
    }

    /// How the progress display names a stage of the arm at work.
    pub fn stage_title(&self, stage: &str) -> String {
        if self.arm.is_empty() { stage.to_string() } else { format!("{}: {stage}", self.arm) }
    }

    /// # Errors
    /// If the disk is full.
    pub fn log(&mut self, stage: &str, step: u64, values: Vec<(String, f64)>) -> Result<()> {
        Ok(self.sink.log(&self.arm, stage, step, values)?)
    }
}

/// Text that determines an environment: equal text, equal environment.
pub fn env_definition(recipe: &Recipe, name: &str) -> Result<String> {
    let env = recipe.envs.get(name).ok_or_else(|| Error::Unfit(format!("the recipe has no environment `{name}`")))?;
    let filters: String = env.filters.iter().map(|f| format!(" {} {} {:?}", f.component, f.config.ron, f.limits)).collect();
    Ok(format!("{} {:?} {}{filters}", env.component, env.isolation, env.config.ron))
}

/// Puts a refused configuration into the recipe's own text; other errors get the component's name.
pub(super) fn located<T>(
    recipe: &LoadedRecipe,
    kind: Kind,
    component: &str,
    config: &crate::recipe::Config,
    result: twinhost_plugin_api::Result<T>,
) -> Result<T> {
    result.map_err(|e| match e.kind {
        twinhost_plugin_api::ErrorKind::InvalidConfig => Error::Recipe(recipe.locate(config, component, &e)),
        _ => Error::Component(e.context(format!("{kind} `{component}`"))),
    })
}

/// # Errors
/// As [`Session::env`].
pub fn create_env(loader: &Loader, recipe: &LoadedRecipe, name: &str, threads: u32) -> Result<WatchedEnv> {
    let env = recipe.recipe.envs.get(name).ok_or_else(|| Error::Unfit(format!("the recipe has no environment `{name}`")))?;
    let services = host_services(threads, derive_seed(recipe.recipe.seed, "env", 0));
    let created = loader.placed_env(env.isolation, &env.component, &env.config.ron, services);
    let handle = located(recipe, Kind::Env, &env.component, &env.config, created)?;
    let spec = handle.spec();
    let watch = |(i, filter): (usize, &crate::recipe::Filter)| {
        let services = host_services(1, derive_seed(recipe.recipe.seed, "filter", i as u64));
        let terms = terms(&recipe.recipe, filter.limits.as_ref(), &spec);
        let created = loader.filter(&filter.component, &filter.config.ron, services, &terms);
        located(recipe, Kind::Filter, &filter.component, &filter.config, created)
    };
    let filters = env.filters.iter().enumerate().map(watch).collect::<Result<_>>()?;
    Ok(WatchedEnv::new(handle, filters))
}

/// What a recipe allows a component that works with the environment `spec`.
pub fn terms(recipe: &Recipe, own: Option<&Limits>, spec: &EnvSpec) -> Terms {
    let mut limits = own.unwrap_or(&recipe.sandbox).clone();
    limits.grants.extend(&recipe.sandbox.grants);
    Terms { limits, environment: Some(spec.clone()) }
}

/// Reward number `index` of stage II, for the environment `spec`; as many instances as the recipe wants.
///
/// # Errors
/// As [`Session::env`].
pub fn create_reward(
    loader: &Loader,
    recipe: &LoadedRecipe,
    index: usize,
    reward: &crate::recipe::WeightedReward,
    spec: &EnvSpec,
) -> Result<Box<dyn Reward>> {
    let seed = derive_seed(recipe.recipe.seed, "reward", index as u64);
    let create = |instance: usize, num_envs: usize| {
        let seed = if instance == 0 { seed } else { derive_seed(seed, "instance", instance as u64) };
        let services = host_services(1, seed);
        let terms = terms(&recipe.recipe, reward.limits.as_ref(), &EnvSpec { num_envs, ..spec.clone() });
        let created = loader.placed_reward(reward.isolation, &reward.component, &reward.config.ron, services, &terms);
        Ok(Box::new(located(recipe, Kind::Reward, &reward.component, &reward.config, created)?) as Box<dyn Reward>)
    };
    match reward.instances {
        1 => create(0, spec.num_envs),
        instances => Ok(Box::new(RewardPool::start(spec.num_envs, instances, create)?)),
    }
}

/// The rewards of stage II, for the environment `spec`.
///
/// # Errors
/// As [`Session::env`].
pub fn create_scoring(loader: &Loader, recipe: &LoadedRecipe, stage: &Rl, spec: &EnvSpec) -> Result<Scoring> {
    let create = |(i, reward): (usize, &crate::recipe::WeightedReward)| {
        let component = create_reward(loader, recipe, i, reward, spec)?;
        Ok(WeightedReward { name: reward.component.short().to_owned(), weight: reward.weight as f32, on_error: reward.on_error, component })
    };
    let rewards = stage.rewards.iter().enumerate().map(create).collect::<Result<_>>()?;
    Ok(Scoring::new(stage.env_reward_weight as f32, rewards))
}

/// The policy, which is told of the environment `spec`.
///
/// # Errors
/// As [`Session::policy`].
pub fn create_policy(loader: &Loader, recipe: &LoadedRecipe, threads: u32, spec: &EnvSpec) -> Result<PolicyHandle> {
    let policy = &recipe.recipe.policy;
    let services = host_services(threads, derive_seed(recipe.recipe.seed, "policy", 0));
    let created = loader.placed_policy(policy.isolation, &policy.component, &policy.config.ron, services, &loader.terms_in(spec));
    located(recipe, Kind::Policy, &policy.component, &policy.config, created)
}

/// The scripted policy that demonstrates in the environment `spec`: the same wherever the set is made.
///
/// # Errors
/// As [`Session::policy`].
pub fn create_expert(loader: &Loader, recipe: &LoadedRecipe, expert: &Component, spec: &EnvSpec) -> Result<PolicyHandle> {
    let services = host_services(1, derive_seed(recipe.recipe.seed, "expert", 0));
    let created = loader.placed_policy(expert.isolation, &expert.component, &expert.config.ron, services, &loader.terms_in(spec));
    located(recipe, Kind::Policy, &expert.component, &expert.config, created)
}

/// Starts of a component's own process, before its failure is the run's.
const MOST_RESTARTS: u32 = 3;

/// Does something with an environment, again from the beginning if the environment's own process ended meanwhile. What is done must be a
/// function of seeds alone.
///
/// # Errors
/// As `run`; a process that ends again and again is told like any other failure.
pub(super) fn with_restarts<T>(env: &mut WatchedEnv, mut run: impl FnMut(&mut WatchedEnv) -> Result<T>) -> Result<T> {
    let mut restarts = 0;
    loop {
        match run(env) {
            Err(error) if env.is_down() && restarts < MOST_RESTARTS => {
                restarts += 1;
                tracing::warn!("{error} (now, {restarts} of at most {MOST_RESTARTS} times)");
            }
            outcome => return outcome,
        }
    }
}

/// # Errors
/// As [`Session::algorithm`].
pub fn create_algorithm(
    loader: &Loader,
    recipe: &LoadedRecipe,
    component: &Component,
    policy: &mut PolicyHandle,
    threads: u32,
) -> Result<AlgorithmHandle> {
    let name = &recipe.recipe.policy.component;
    let differentiable = policy
        .differentiable()
        .ok_or_else(|| Error::Unfit(format!("the policy `{name}` cannot be trained: it has no differentiable side")))?;
    let services = host_services(threads, derive_seed(recipe.recipe.seed, "algorithm", 0));
    let created = loader.algorithm(&component.component, &component.config.ron, services, differentiable);
    located(recipe, Kind::Algorithm, &component.component, &component.config, created)
}
