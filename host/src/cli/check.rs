//! `host check`: everything that is wrong with a recipe, before anything runs; writes `recipe.lock`.
//!
//! The text is checked first ([`crate::recipe`]), then the plugins it names: every component is created from its own
//! configuration, because only it knows what it accepts, and asked whether it fits the others. No hardware is touched.

mod memory;
mod production;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use memory::Memory;
use twinhost_plugin_api::{AlgorithmSpec, EnvSpec, Error, ErrorKind, Paradigm, PolicySpec, RewardSpec, names};

use super::{Failure, Overrides, PluginPaths};
use crate::codes::Code;
use crate::loader::{Kind, Terms};
use crate::pipeline::{named, terms};
use crate::recipe::diagnostics::closest;
use crate::recipe::lock::{Lock, LockedPlugin};
use crate::recipe::{Config, Finding, Isolation, LoadedRecipe, Recipe, RecipeErrors, Reference};

#[derive(Args, Debug)]
pub struct CheckArgs {
    /// The recipe, a .ron file.
    recipe: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Check this arm of the recipe.
    #[arg(long, value_name = "NAME")]
    arm: Option<String>,
    /// Print the resolved recipe: includes, arm, overrides and defaults applied.
    #[arg(long)]
    print: bool,
    /// Refuse if anything differs from recipe.lock, and leave that file as it is.
    #[arg(long, conflicts_with = "no_lock")]
    locked: bool,
    /// Do not write recipe.lock.
    #[arg(long)]
    no_lock: bool,
    #[command(flatten)]
    plugins: PluginPaths,
}

/// What a recipe's components can be asked. The loader's plugins in production.
pub trait Components {
    /// The plugin that provides a component.
    ///
    /// # Errors
    /// A sentence that says what there is instead.
    fn plugin(&self, kind: Kind, component: &str) -> Result<LockedPlugin, String>;
    /// # Errors
    /// If the component refuses its configuration or does not load; so for the next ones.
    fn env(&self, component: &str, config: &str, isolation: Isolation) -> Result<EnvSpec, Error>;
    fn policy(&self, component: &str, config: &str, isolation: Isolation, env: Option<&EnvSpec>) -> Result<PolicySpec, Error>;
    /// Lets the policy act once on what the environment `env` shows.
    ///
    /// # Errors
    /// What it cannot read.
    fn trial(&self, component: &str, config: &str, isolation: Isolation, told: Option<&EnvSpec>, env: &EnvSpec) -> Result<(), Error>;
    fn algorithm(&self, component: &str, config: &str, policy: (&str, &str)) -> Result<AlgorithmSpec, Error>;
    fn reward(&self, component: &str, config: &str, isolation: Isolation, terms: &Terms) -> Result<RewardSpec, Error>;
    /// Returns the features that the monitor reads.
    ///
    /// # Errors
    /// As [`Components::env`].
    fn filter(&self, component: &str, config: &str, terms: &Terms) -> Result<Vec<String>, Error>;
}

/// # Errors
/// Every mistake of the recipe; or a lock that differs (`--locked`) or cannot be written.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let loader = |recipe: &Recipe| args.plugins.loader(recipe);
    let loaded = Recipe::load(&args.recipe, &args.overrides.sets(), args.arm.as_deref()).map_err(|mut errors| {
        let more = errors.stand_in.take().map_or_else(Vec::new, |recipe| mistakes(&recipe, &loader(&recipe.recipe)));
        shown(errors.and(more))
    })?;
    let loader = loader(&loaded.recipe);
    components(&loaded, &loader).map_err(shown)?;
    if args.print {
        print!("{}", loaded.text);
    }

    let now = Lock::of(&loaded, locked_plugins(&loader, &loaded));
    let path = args.recipe.with_file_name("recipe.lock");
    let locked = Lock::read(&path, &now.key()).map_err(Failure::user)?;
    let differences = locked.as_ref().map(|l| l.differences(&now));
    if args.locked {
        let differences = differences.ok_or_else(|| {
            Failure::user(format!("{} has no lock of {}: run `host check` without --locked first", path.display(), now.key()))
        })?;
        if !differences.is_empty() {
            return Err(Failure::user(format!("{} differs from {}:\n  {}", now.key(), path.display(), differences.join("\n  "))));
        }
        eprintln!("{} is in order and as locked", args.recipe.display());
        return Ok(());
    }
    if !args.no_lock {
        now.write(&path, &now.key()).map_err(|e| Failure::user(format!("{e}: use --no-lock to check without writing")))?;
    }
    eprintln!("{} is in order", args.recipe.display());
    for difference in differences.into_iter().flatten() {
        eprintln!("  changed since the last check: {difference}");
    }
    Ok(())
}

/// Errors as the user sees them: drawn on a terminal, plain elsewhere.
pub fn shown(errors: RecipeErrors) -> Failure {
    Failure::user(errors.render(std::io::stderr().is_terminal()))
}

/// The plugins a recipe's components come from; components that no plugin provides are left out.
pub fn locked_plugins(components: &dyn Components, loaded: &LoadedRecipe) -> Vec<LockedPlugin> {
    // What may change while a run goes on does not hold the run to its former self.
    let rewards = || loaded.recipe.stages.rl.iter().flat_map(|rl| &rl.rewards);
    let is_live = |kind, name: &Reference| kind == Kind::Reward && rewards().any(|reward| reward.live && reward.component == *name);
    let fixed = named(&loaded.recipe).into_iter().filter(|&(kind, name)| !is_live(kind, name));
    let plugins: BTreeSet<LockedPlugin> = fixed.filter_map(|(kind, name)| components.plugin(kind, name).ok()).collect();
    plugins.into_iter().collect()
}

/// Checks the components of several recipes, creating equal ones once.
///
/// # Errors
/// Everything that is wrong with the first recipe that is not in order.
pub fn validate_all<'a>(components: &dyn Components, recipes: impl IntoIterator<Item = &'a LoadedRecipe>) -> Result<(), Failure> {
    let memory = Memory::of(components);
    recipes.into_iter().try_for_each(|recipe| self::components(recipe, &memory).map_err(shown))
}

/// Creates every component a recipe names and checks that they fit each other.
///
/// # Errors
/// Everything that is wrong, at the recipe's lines.
pub fn components(loaded: &LoadedRecipe, components: &dyn Components) -> Result<(), RecipeErrors> {
    let findings = mistakes(loaded, components);
    if findings.is_empty() { Ok(()) } else { Err(loaded.errors(findings)) }
}

fn mistakes(loaded: &LoadedRecipe, components: &dyn Components) -> Vec<Finding> {
    let mut check = Check { loaded, components, findings: Vec::new() };
    let envs = check.envs();
    let policy = check.policy(&envs);
    check.algorithms(policy);
    check.filters(&envs);
    check.rewards(&envs);
    check.stages(&envs);
    check.findings
}

struct Check<'a> {
    loaded: &'a LoadedRecipe,
    components: &'a dyn Components,
    findings: Vec<Finding>,
}

type Envs = BTreeMap<String, EnvSpec>;

impl Check<'_> {
    fn report(&mut self, path: &str, message: String, help: Option<String>) {
        self.report_as(Code::Misfit, path, message, help);
    }

    fn report_as(&mut self, code: Code, path: &str, message: String, help: Option<String>) {
        let finding = self.loaded.finding(code, path, message, help);
        self.findings.push(finding);
    }

    /// Finds the component's plugin, then creates it with `create`.
    fn create<T>(
        &mut self,
        kind: Kind,
        component: &str,
        config: &Config,
        create: impl FnOnce(&dyn Components) -> Result<T, Error>,
    ) -> Option<T> {
        let field = format!("{}.component", config.path.trim_end_matches(".config"));
        if let Err(sentence) = self.components.plugin(kind, component) {
            self.report_as(Code::NoSuchComponent, &field, sentence, self.file_beside(component));
            return None;
        }
        match create(self.components) {
            Ok(made) => return Some(made),
            Err(e) if e.kind == ErrorKind::InvalidConfig => {
                let finding = self.loaded.config_finding(config, &e);
                self.findings.push(finding);
            }
            Err(e) => self.report_as(Code::RefusedPlugin, &field, e.to_string(), None),
        }
        None
    }

    /// A component that was named like a file beside the recipe, without saying that it is one.
    fn file_beside(&self, component: &str) -> Option<String> {
        let folder = self.loaded.path.parent()?;
        let found = ["", ".py", ".c", ".js", ".wasm"].map(|extension| format!("{component}{extension}"));
        let there = found.iter().find(|name| !name.is_empty() && folder.join(name).exists())?;
        Some(format!("if you mean {} beside the recipe, write `./{there}`", if there.contains('.') { "the file" } else { "the folder" }))
    }

    fn envs(&mut self) -> Envs {
        let loaded = self.loaded;
        let make = |(name, env): (&String, &crate::recipe::Env)| {
            let spec = self.create(Kind::Env, &env.component, &env.config, |c| c.env(&env.component, &env.config.ron, env.isolation))?;
            Some((name.clone(), spec))
        };
        loaded.recipe.envs.iter().filter_map(make).collect()
    }

    /// Returns the configuration on which algorithms can be created: the policy's own, or its defaults if that is refused.
    fn policy(&mut self, envs: &Envs) -> Option<String> {
        let loaded = self.loaded;
        let policy = &loaded.recipe.policy;
        let told = loaded.recipe.policy_env().and_then(|name| envs.get(name));
        let spec = self.create(Kind::Policy, &policy.component, &policy.config, |c| {
            c.policy(&policy.component, &policy.config.ron, policy.isolation, told)
        });
        if let Some(real) = &loaded.recipe.stages.demos.real {
            let expert = &real.expert;
            self.create(Kind::Policy, &expert.component, &expert.config, |c| {
                c.policy(&expert.component, &expert.config.ron, expert.isolation, envs.get(&real.env))
            });
        }
        let Some(spec) = spec else {
            let defaults = self.components.plugin(Kind::Policy, &policy.component).is_ok();
            return defaults.then(|| "()".to_owned());
        };
        if let (Some(rl), Some(trained)) = (&loaded.recipe.stages.rl, spec.temperature)
            && rl.temperature as f32 != trained
        {
            let message =
                format!("rollouts would sample at temperature {}, but the policy scores its actions at {trained}", rl.temperature);
            let help = format!("write {trained} here, or set `temperature: {:?}` in policy.config", rl.temperature);
            self.report("stages.rl.temperature", message, Some(help));
        }
        for (name, env) in envs {
            let found = self.findings.len();
            let dim = env.action.dim();
            if spec.action_dim != dim {
                let message = format!("the policy's actions have {} entries, those of environment `{name}` {dim}", spec.action_dim);
                self.report("policy.config", message, None);
            }
            let has = |feature: &String| env.observation.iter().any(|f| f.name == *feature);
            for feature in spec.observation.iter().filter(|f| !has(f)) {
                let there: Vec<_> = env.observation.iter().map(|f| f.name.as_str()).collect();
                let help = format!("it has: {}", there.join(", "));
                self.report("policy.config", format!("the policy reads `{feature}`, which environment `{name}` does not have"), Some(help));
            }
            if self.findings.len() > found || spec.parameters > trial::LARGE {
                continue;
            }
            if let Err(e) = self.components.trial(&policy.component, &policy.config.ron, policy.isolation, told, env) {
                self.report("policy.config", format!("the policy cannot act in environment `{name}`: {e}"), None);
            }
        }
        Some(policy.config.ron.clone())
    }

    fn algorithms(&mut self, policy_config: Option<String>) {
        let stages = &self.loaded.recipe.stages;
        let sft = stages.sft.as_ref().map(|s| ("stages.sft", &s.algorithm, Paradigm::Supervised));
        let rl = stages.rl.as_ref().map(|s| ("stages.rl", &s.algorithm, Paradigm::OnPolicy));
        let policy = &self.loaded.recipe.policy;
        for (stage, algorithm, wanted) in sft.into_iter().chain(rl) {
            let Some(policy_config) = &policy_config else {
                if let Err(sentence) = self.components.plugin(Kind::Algorithm, &algorithm.component) {
                    self.report_as(Code::NoSuchComponent, &format!("{stage}.algorithm.component"), sentence, None);
                }
                continue;
            };
            let create = |c: &dyn Components| c.algorithm(&algorithm.component, &algorithm.config.ron, (&policy.component, policy_config));
            let Some(spec) = self.create(Kind::Algorithm, &algorithm.component, &algorithm.config, create) else { continue };
            if spec.paradigm != wanted {
                let message = format!("`{}` is an algorithm of kind {:?}, this stage needs {wanted:?}", algorithm.component, spec.paradigm);
                self.report(&format!("{stage}.algorithm.component"), message, None);
            }
        }
    }

    fn filters(&mut self, envs: &Envs) {
        let recipe = &self.loaded.recipe;
        for (name, env) in &recipe.envs {
            let Some(spec) = envs.get(name) else { continue };
            for filter in &env.filters {
                let terms = terms(recipe, filter.limits.as_ref(), spec);
                let create = |c: &dyn Components| c.filter(&filter.component, &filter.config.ron, &terms);
                let Some(needs) = self.create(Kind::Filter, &filter.component, &filter.config, create) else { continue };
                self.reads(&filter.config, &filter.component, &needs, (name, spec), &[names::TASK]);
            }
        }
    }

    fn rewards(&mut self, envs: &Envs) {
        let recipe = &self.loaded.recipe;
        let Some(stage) = &recipe.stages.rl else { return };
        let Some(spec) = envs.get(&stage.env) else { return };
        let judged = [names::TASK, names::ACTION, names::REWARD, names::TERMINATED, names::TRUNCATED, names::SUCCESS];
        for reward in &stage.rewards {
            let terms = terms(recipe, reward.limits.as_ref(), spec);
            let create = |c: &dyn Components| c.reward(&reward.component, &reward.config.ron, reward.isolation, &terms);
            let Some(said) = self.create(Kind::Reward, &reward.component, &reward.config, create) else { continue };
            self.reads(&reward.config, &reward.component, &said.needs, (&stage.env, spec), &judged);
        }
    }

    /// Reports features that a component reads and that neither the environment nor the host (`more`) has.
    fn reads(&mut self, config: &Config, component: &str, needs: &[String], (name, env): (&str, &EnvSpec), more: &[&str]) {
        let known = |need: &str| {
            let need = need.strip_prefix(names::FINAL).unwrap_or(need);
            more.contains(&need) || env.observation.iter().any(|f| f.name == need)
        };
        for need in needs.iter().filter(|need| !known(need)) {
            let there: Vec<_> = env.observation.iter().map(|f| f.name.as_str()).chain(more.iter().copied()).collect();
            let field = format!("{}.component", config.path.trim_end_matches(".config"));
            let message = format!("`{component}` reads `{need}`, which environment `{name}` does not have");
            self.report(&field, message, Some(format!("there are: {}", there.join(", "))));
        }
    }

    /// What the stages ask of the environments.
    fn stages(&mut self, envs: &Envs) {
        let stages = &self.loaded.recipe.stages;
        if let Some(sim) = &stages.demos.sim
            && envs.get(&sim.env).is_some_and(|e| e.subtasks.is_empty() || e.pose_delta_scale.is_none())
        {
            let message = format!(
                "environment `{}` has no object-centric subtasks with pose actions, so demonstrations cannot be generated in it",
                sim.env
            );
            self.report("stages.demos.sim", message, Some("record demonstrations instead".to_owned()));
        }
        if let (Some(real), Some(rl)) = (&stages.demos.real, &stages.rl)
            && let (Some(a), Some(b)) = (envs.get(&real.env), envs.get(&rl.env))
            && (a.action != b.action || a.observation != b.observation)
        {
            let message = format!("the twins `{}` and `{}` differ in their observations or actions", rl.env, real.env);
            self.report("stages.rl.env", message, Some("give both the same cameras, image size and action scale".to_owned()));
        }
        let Some(eval) = &stages.eval else { return };
        for (i, variant) in eval.variants.iter().enumerate() {
            for (name, env) in eval.envs.iter().filter_map(|name| Some((name, envs.get(name)?))) {
                if !variant.is_empty() && !env.variants.contains(variant) {
                    let help = match closest(variant, env.variants.iter().map(String::as_str)) {
                        Some(best) => format!("did you mean `{best}`?"),
                        None => format!("it has: {}", env.variants.join(", ")),
                    };
                    self.report(
                        &format!("stages.eval.variants[{i}]"),
                        format!("environment `{name}` has no variant `{variant}`"),
                        Some(help),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
