//! The conformance checks of the SDK, run on a built bundle: one score card for each of its components.
//!
//! What a component is tried out with stands in its manifest (`example`); a policy that reads what an environment of the same bundle
//! shows is tried out on that.

use twinhost_plugin_api::testkit::{self, Check, Outcome, ScoreCard, Settings};
use twinhost_plugin_api::{
    ActionSpec, Batch, Env, EnvKind, EnvSpec, Error, ErrorKind, FeatureSpec, HostServices, Policy, ResetRequest, Result, Tensor, names,
};

use super::discovery::Bundle;
use super::manifest::{ComponentEntry, Kind};
use super::native::Loader;

/// Rows recorded from an environment for a policy.
const RECORDED_STEPS: usize = 8;

/// Examines every component of a bundle; `settings` gives the effort. The loader should have [`Trust::Trial`](super::Trust::Trial).
pub fn examine(loader: &Loader, bundle: &Bundle, settings: impl Fn() -> Settings) -> Vec<ScoreCard> {
    let components = &bundle.manifest.components;
    components.iter().map(|component| one(loader, bundle, component, settings())).collect()
}

fn one(loader: &Loader, bundle: &Bundle, component: &ComponentEntry, settings: Settings) -> ScoreCard {
    let (name, config) = (component.name.as_str(), component.example.config.as_str());
    let reference = format!("{}:{name}", bundle.manifest.name);
    let settings = component.example.features.iter().cloned().fold(settings, Settings::feature);
    match component.kind {
        Kind::Env => testkit::env(name, &settings, |services| loader.env(&reference, config, services)),
        Kind::Reward => testkit::reward(name, &settings, |services| loader.reward(&reference, config, services, &loader.terms())),
        Kind::Robot => testkit::robot(name, &settings, |services| loader.robot(&reference, config, services)),
        Kind::Camera => testkit::camera(name, &settings, |services| loader.camera(&reference, config, services)),
        Kind::Teleop => testkit::teleop(name, &settings, |services| loader.teleop(&reference, config, services)),
        Kind::Policy => {
            let settings = match recorded(loader, bundle, &reference, config) {
                Some(rows) => settings.recorded(rows),
                None => settings,
            };
            let terms = loader.terms_in(&environment(component));
            testkit::policy(name, &settings, |services| loader.policy(&reference, config, services, &terms))
        }
        Kind::Filter => filter(loader, component, &reference),
        Kind::Algorithm => testkit::algorithm(name, &settings, |services| {
            let policy = component.example.policy.as_deref().ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, "its manifest names no policy to try it out with: add `example: (policy: \"...\")`")
            })?;
            trained(loader, &reference, config, policy, services)
        }),
    }
}

/// Two environments with the features of the component's example.
fn environment(component: &ComponentEntry) -> EnvSpec {
    let features = &component.example.features;
    // As many entries as the example says, else as the arms of this repository have.
    let dim = features.iter().find(|f| f.name == names::ACTION).map_or(7, |f| f.shape.iter().product());
    let action = ActionSpec {
        names: (0..dim).map(|i| format!("a{i}")).collect(),
        low: vec![-1.0; dim],
        high: vec![1.0; dim],
        discrete: vec![false; dim],
    };
    plain_env(2, features.clone(), action)
}

/// A simulated environment with nothing special about it.
pub fn plain_env(num_envs: usize, observation: Vec<FeatureSpec>, action: ActionSpec) -> EnvSpec {
    EnvSpec {
        kind: EnvKind::Simulated,
        num_envs,
        observation,
        privileged: Vec::new(),
        action,
        control_hz: 10.0,
        max_episode_steps: 100,
        variants: vec!["train".into()],
        subtasks: Vec::new(),
        pose_delta_scale: None,
    }
}

/// A monitor before its environment: it starts, and what it makes of actions keeps to the rule and repeats.
fn filter(loader: &Loader, component: &ComponentEntry, reference: &str) -> ScoreCard {
    let (features, environment) = (&component.example.features, environment(component));
    let dim = environment.action.dim();
    let review = || -> Result<Vec<f32>> {
        let terms = loader.terms_in(&environment);
        let mut filter = loader.filter(reference, &component.example.config, HostServices::standalone(1, 0), &terms)?;
        filter.reset(&[0, 1])?;
        let mut observation = Batch::new();
        for feature in features {
            let shape: Vec<usize> = std::iter::once(2).chain(feature.shape.iter().copied()).collect();
            observation.insert(feature.name.as_str(), testkit::random(feature.dtype, &shape, 1)?);
        }
        observation.insert_text("task", vec![String::new(); 2]);
        let proposed = (0..4 * dim).map(|i| [-1.0f32, 0.5, 0.0, 1.0, -0.01][i % 5]).collect();
        let reviewed = filter.review(&observation, &Tensor::from_vec(proposed, &[2, 2, dim]))?;
        Ok(reviewed.action.as_slice::<f32>()?.to_vec())
    };
    let outcome = match (review(), review()) {
        (Ok(one), Ok(other)) if one == other => Outcome::Passed(String::new()),
        (Ok(_), Ok(_)) => Outcome::Failed("two instances make different actions of the same ones".to_owned()),
        (Err(e), _) | (_, Err(e)) => Outcome::Failed(e.to_string()),
    };
    ScoreCard {
        component: format!("filter `{}`", component.name),
        checks: vec![Check { name: "makes motions smaller, repeatably", outcome }],
    }
}

/// An algorithm with a fresh policy to train.
fn trained(loader: &Loader, reference: &str, config: &str, policy: &str, services: HostServices) -> Result<super::AlgorithmHandle> {
    let example = loader.catalog.find(Kind::Policy, policy).map_err(Error::input)?.1.example.config.clone();
    let mut policy = loader.policy(policy, &example, services, &loader.terms())?;
    let side = policy.differentiable().ok_or_else(|| Error::unsupported("that policy has no differentiable side"))?;
    loader.algorithm(reference, config, services, side)
}

/// What a policy sees in an environment of its own bundle, if it reads nothing else.
fn recorded(loader: &Loader, bundle: &Bundle, policy: &str, config: &str) -> Option<Batch> {
    let services = HostServices::standalone(1, 0);
    let needs = loader.policy(policy, config, services, &loader.terms()).ok()?.spec().observation;
    let env = bundle.manifest.components.iter().find(|c| c.kind == Kind::Env)?;
    let mut env = loader.env(&format!("{}:{}", bundle.manifest.name, env.name), &env.example.config, services).ok()?;
    let spec = env.spec();
    let shown = |need: &String| spec.observation.iter().chain(&spec.privileged).any(|f| f.name == *need);
    if !needs.iter().all(shown) {
        return None;
    }
    let request = ResetRequest::new((0..spec.num_envs as u64).collect()).auto_reset().privileged();
    let still = Tensor::zeros::<f32>(&[spec.num_envs, 1, spec.action.dim()]);
    let mut rows = vec![only(&env.reset(&request).ok()?, &needs)?];
    for _ in 0..RECORDED_STEPS {
        rows.push(only(&env.step(&still).ok()?, &needs)?);
    }
    Batch::concat_rows(&rows.iter().collect::<Vec<_>>()).ok()
}

fn only(batch: &Batch, needs: &[String]) -> Option<Batch> {
    let mut out = Batch::new();
    for need in needs {
        out.insert(need.as_str(), batch.find(need)?.try_clone().ok()?);
    }
    for (name, texts) in batch.iter_texts() {
        out.insert_text(name, texts.iter().map(ToString::to_string).collect());
    }
    Some(out)
}
