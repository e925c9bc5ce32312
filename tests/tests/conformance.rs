//! The conformance checks: our own bundles pass them, and each kind of misbehaviour fails the check that is there for it.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use twinhost::loader::{Loader, Terms, Trust, examine, host_services};
use twinhost::rollout::{RolloutPlan, Scoring, collect};
use twinhost_plugin_api::testkit::{self, Outcome, ScoreCard, Settings};
use twinhost_plugin_api::{DType, Env, FeatureSpec, Policy, names};
use twinhost_tests::plugin;

/// The search for leaks looks at the memory of the whole process, so the tests of this file take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn loader(plugins: &[&str]) -> Loader {
    let mut loader = Loader::new(&plugins.iter().map(|name| plugin(name)).collect::<Vec<_>>());
    loader.trust = Trust::Trial;
    loader
}

/// Little enough for a test that runs often; `host plugin test` does more.
fn effort() -> Settings {
    Settings { leak_time: Duration::from_secs(3), ..Settings::default().steps(20_000) }
}

fn bundle_passes(plugins: &[&str], bundle: &str, components: usize) {
    let _alone = alone();
    let loader = loader(plugins);
    let bundle = loader.catalog.bundles.iter().find(|b| b.manifest.name == bundle).unwrap();
    let cards = examine(&loader, bundle, effort);
    assert_eq!(cards.len(), components);
    for card in &cards {
        println!("{card}");
    }
    cards.iter().for_each(ScoreCard::assert_passed);
}

#[test]
fn rewards_conform() {
    bundle_passes(&["rewards"], "rewards", 3);
}

#[test]
fn the_tabletop_and_its_expert_conform() {
    bundle_passes(&["sim_tabletop"], "sim-tabletop", 2);
}

#[test]
fn policies_conform() {
    bundle_passes(&["policies"], "policies", 1);
}

#[test]
fn algorithms_conform() {
    bundle_passes(&["algorithms", "policies"], "algorithms", 2);
}

/// Updates are tried out on what they are made for: a rollout of the policy in the environment.
#[test]
fn ppo_learns_the_same_from_the_same_rollout() {
    let _alone = alone();
    let loader = loader(&["algorithms", "policies", "sim_tabletop"]);
    let config = "(num_envs: 2, max_episode_steps: 12, width: 32, height: 32, instructions: [\"move it\"])";
    let mut env = loader.env("tabletop", config, host_services(1, 0)).unwrap();
    let dim = env.spec().action.dim();
    let state = env.spec().observation.iter().find(|f| f.name == names::STATE).unwrap().shape[0];
    let statistics = testkit::statistics(dim, state, &["move it"]);
    let openvla = format!("(action_dim: {dim}, state_dim: {state})");
    let mut policy = loader.policy("openvla", &openvla, host_services(1, 7), &loader.terms()).unwrap();
    policy.set_statistics(&statistics).unwrap();
    let plan = RolloutPlan { chunks: 3, temperature: 1.0, seed: 5, variant: String::new() };
    let rollout = collect(&mut env, &mut policy, &mut Scoring::new(1.0, Vec::new()), &plan).unwrap();
    let settings = Settings { cancel_within: Duration::from_secs(60), ..effort().recorded(rollout.data) };
    let card = testkit::algorithm("ppo", &settings, |services| {
        let mut policy = loader.policy("openvla", &openvla, services, &loader.terms())?;
        policy.set_statistics(&statistics)?;
        let side = policy.differentiable().unwrap();
        loader.algorithm("ppo", "(epochs: 1, global_batch: 6, micro_batch: 6, critic_warmup: 0)", services, side)
    });
    println!("{card}");
    card.assert_passed();
    assert!(matches!(card.outcome("equal seeds give equal updates"), Some(Outcome::Passed(_))), "{card}");
}

#[track_caller]
fn fails(card: &ScoreCard, check: &str, words: &str) {
    let Some(Outcome::Failed(sentence)) = card.outcome(check) else { panic!("`{check}` did not fail:\n{card}") };
    assert!(sentence.contains(words), "{card}");
}

#[test]
fn an_environments_misbehaviour_is_found() {
    let _alone = alone();
    let loader = loader(&["misbehave"]);
    let card = |config: &str| testkit::env("faulty_env", &effort(), |services| loader.env("faulty_env", config, services));
    card("").assert_passed();
    fails(&card("(fault: Panic, after: 3)"), "observations and outcomes", "panicked: the gripper is jammed");
    fails(&card("(fault: Panic, when: Create)"), "creation", "panicked");
    fails(&card("(fault: Nan)"), "observations and outcomes", "NaN");
    fails(&card("(fault: WrongShape)"), "observations and outcomes", "[3, 1]");
    fails(&card("(fault: Dice)"), "equal seeds give equal episodes", "a second instance, step 1");
    fails(&card("(fault: Careless)"), "wrong actions are refused", "NaN");
    fails(&card("(fault: Leak)"), "memory stays where it is", "bytes more with every call");
}

#[test]
fn a_robots_misbehaviour_is_found() {
    let _alone = alone();
    let loader = loader(&["misbehave"]);
    let card = |config: &str| testkit::robot("faulty_robot", &effort(), |services| loader.robot("faulty_robot", config, services));
    let sound = card("");
    sound.assert_passed();
    assert!(matches!(sound.outcome("a command allocates nothing"), Some(Outcome::Skipped(_))), "{sound}");
    fails(&card("(fault: Careless)"), "order of life", "a command before `connect` was accepted");
    fails(&card("(fault: Careless)"), "wrong commands are refused", "a command of NaN was accepted");
    fails(&card("(fault: Leak)"), "memory stays where it is", "bytes more");
}

#[test]
fn a_rewards_and_a_policys_misbehaviour_is_found() {
    let _alone = alone();
    let loader = loader(&["misbehave"]);
    let reward = |config: &str| {
        testkit::reward("faulty_reward", &effort(), |services| loader.reward("faulty_reward", config, services, &Terms::default()))
    };
    reward("").assert_passed();
    fails(&reward("(fault: Nan, after: 2)"), "scores", "NaN");
    fails(&reward("(fault: Panic, when: Reset, after: 1)"), "scores", "panicked");
    fails(&reward("(fault: Leak)"), "memory stays where it is", "bytes more");

    let settings = || effort().feature(FeatureSpec::new(names::STATE, DType::F32, &[1]));
    let policy = |config: &str| {
        testkit::policy("faulty_policy", &settings(), |services| loader.policy("faulty_policy", config, services, &loader.terms()))
    };
    policy("").assert_passed();
    fails(&policy("(fault: WrongShape)"), "actions", "[1, 1, 2]");
    fails(&policy("(fault: Leak)"), "memory stays where it is", "bytes more");
}
