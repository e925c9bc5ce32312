//! Components that fail in every way: each is detected, named with its call, and the rest lives on.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use twinhost::loader::{EnvHandle, Loader, Terms, Trust, host_services};
use twinhost_plugin_api::{ActMode, ActRequest, Batch, Env, ErrorKind, Policy, ResetRequest, Result, Reward, Robot, Tensor, names};
use twinhost_tests::{host, outcome, plugin};

fn loader() -> Loader {
    Loader::new(&[plugin("misbehave"), plugin("rewards")])
}

fn env(config: &str) -> Result<EnvHandle> {
    loader().env("faulty_env", config, host_services(1, 0))
}

fn episode(env: &mut EnvHandle, steps: usize) -> Result<Batch> {
    let mut last = env.reset(&ResetRequest::new(vec![1, 2]))?;
    for _ in 0..steps {
        last = env.step(&Tensor::from_vec(vec![0.1f32, -0.1], &[2, 1, 1]))?;
    }
    Ok(last)
}

/// The fault shows as this error, with these words in it; and a component beside it goes on.
#[track_caller]
fn env_fails(config: &str, kind: ErrorKind, words: &[&str]) {
    let mut neighbour = env("").unwrap();
    let error = env(config).and_then(|mut env| episode(&mut env, 3)).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is missing in: {error}");
    }
    assert_eq!(episode(&mut neighbour, 3).unwrap().rows(), 2);
}

#[test]
fn an_environments_fault_is_named_with_its_call() {
    episode(&mut env("").unwrap(), 30).unwrap();
    env_fails("(fault: Panic)", ErrorKind::Panic, &["env `faulty_env`, step: panicked: the gripper is jammed"]);
    env_fails("(fault: Panic, when: Reset)", ErrorKind::Panic, &["env `faulty_env`, reset: panicked"]);
    env_fails("(fault: Panic, when: Create)", ErrorKind::Panic, &["create: panicked: the gripper is jammed"]);
    env_fails("(fault: Panic, when: Spec)", ErrorKind::Panic, &["create: panicked: the gripper is jammed"]);
    env_fails("(fault: Error, after: 2)", ErrorKind::Internal, &["env `faulty_env`, step: the gripper is jammed"]);
    env_fails("(fault: Nan, after: 1)", ErrorKind::Numerical, &["env `faulty_env`, step", "observation.state", "NaN at [0, 0]"]);
    env_fails("(fault: WrongShape)", ErrorKind::Internal, &["env `faulty_env`, step", "F32 [3, 1], which must be F32 [2, 1]"]);
    env_fails("(fault: Missing)", ErrorKind::Internal, &["env `faulty_env`, step", "no `observation.state`", "next.reward"]);
    env_fails("(num_envs: 0)", ErrorKind::Internal, &["num_envs"]);
}

#[test]
fn after_a_panic_a_component_is_left_alone_but_a_robot_is_still_told_to_stop() {
    let mut env = env("(fault: Panic, after: 1)").unwrap();
    episode(&mut env, 2).unwrap_err();
    let error = env.reset(&ResetRequest::new(vec![1, 2])).unwrap_err().to_string();
    assert!(error.contains("env `faulty_env`, reset: it panicked in an earlier call"), "{error}");

    let error = loader().robot("faulty_robot", "", host_services(1, 0)).err().unwrap().to_string();
    assert!(error.contains("`faulty_robot` drives hardware") && error.contains("trust: Locked"), "{error}");
    let mut loader = loader();
    loader.trust = Trust::Trial;
    let mut robot = loader.robot("faulty_robot", "(fault: Panic)", host_services(1, 0)).unwrap();
    robot.connect().unwrap();
    robot.enable().unwrap();
    let error = robot.command(&Tensor::from_vec(vec![0.5f32], &[1])).unwrap_err().to_string();
    assert!(error.contains("robot `faulty_robot`, command: panicked"), "{error}");
    assert!(robot.observe().unwrap_err().to_string().contains("earlier call"));
    robot.emergency_stop().unwrap();
    robot.disable().unwrap();
}

#[test]
fn a_rewards_fault_is_named_with_its_call() {
    let transition = Batch::new().with(names::ACTION, Tensor::zeros::<f32>(&[2, 3, 1]));
    let check = |config: &str, words: &str| {
        let mut reward = loader().reward("faulty_reward", config, host_services(1, 0), &Terms::default()).unwrap();
        let error = reward.reset(&[0, 1]).and_then(|()| reward.score(&transition)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check("(fault: Panic)", "reward `faulty_reward`, score: panicked");
    check("(fault: Panic, when: Reset)", "reward `faulty_reward`, reset: panicked");
    check("(fault: Nan)", "reward `faulty_reward`, score: returned `next.reward` with the value NaN at [0, 0]");
    check("(fault: WrongShape)", "F32 [3, 3], which must be F32 [2, 3]");
    check("(fault: Missing)", "no `next.reward` (it returned: next.rewart)");
    let mut sound = loader().reward("step_penalty", "", host_services(1, 0), &Terms::default()).unwrap();
    sound.reset(&[0]).unwrap();
}

#[test]
fn a_policys_fault_is_named_with_its_call() {
    let observation = Batch::new().with(names::STATE, Tensor::zeros::<f32>(&[2, 1]));
    let request = ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false };
    let check = |config: &str, words: &str| {
        let mut policy = loader().policy("faulty_policy", config, host_services(1, 0), &loader().terms()).unwrap();
        let error = policy.act(&observation, &request).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check("(fault: Panic)", "policy `faulty_policy`, act: panicked");
    check("(fault: Nan)", "policy `faulty_policy`, act: returned `action` with the value NaN");
    check("(fault: WrongShape)", "F32 [2, 1, 2], which must be F32 [2, 1, 1]");
    check("(fault: Missing)", "no `action` (it returned: aktion, weights_version)");
}

/// A recipe that evaluates the misbehaving components.
fn recipe(folder: &Path, env: &str) -> std::path::PathBuf {
    let path = folder.join("faulty.ron");
    let text = format!(
        "(\n  name: \"faulty\",\n  hang_after_s: 0.2,\n  envs: {{\"sim\": (component: \"faulty_env\", config: {env})}},\n  \
         policy: (component: \"faulty_policy\"),\n  stages: (eval: (envs: [\"sim\"], episodes: 2)),\n)\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// The host, with a cache of its own, so that every library is opened for the first time.
fn fresh_host(folder: &Path) -> Command {
    let mut command = host(folder);
    command.env("XDG_CACHE_HOME", folder.join("xdg-cache")).env("TWINHOST_PLUGIN_PATH", plugin("misbehave"));
    command
}

#[test]
fn a_library_whose_constructor_ends_the_process_is_refused_and_the_host_lives() {
    let folder = tempfile::tempdir().unwrap();
    let library = plugin("misbehave");
    let check = |how: &str, words: &str| {
        let spoiled = |command: &mut Command| outcome(command.env("TWINHOST_MISBEHAVE_CONSTRUCTOR", how));
        let (code, _, stderr) = spoiled(fresh_host(folder.path()).args(["plugin", "why"]).arg(&library));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("libtwinhost_misbehave.so") && stderr.contains(words) && stderr.contains("(T201"), "{stderr}");

        let (code, stdout, stderr) = spoiled(fresh_host(folder.path()).args(["plugin", "info", "misbehave"]));
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.contains(&format!("NO: opening it ends the process with {words}")), "{stdout}");

        let (code, _, stderr) = spoiled(fresh_host(folder.path()).arg("check").arg(recipe(folder.path(), "()")));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(words) && stderr.contains("faulty.ron:4") && stderr.contains("envs.sim.component"), "{stderr}");
        assert!(stderr.contains("policy.component"), "every component of the library is told: {stderr}");
    };
    check("exit", "exit code 3");
    check("abort", "signal 6 (SIGABRT)");

    let (code, stdout, stderr) = outcome(fresh_host(folder.path()).args(["plugin", "why"]).arg(&library));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("a usable plugin"), "{stdout}");
}

#[test]
fn a_call_that_hangs_is_reported_while_it_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), "(fault: Hang, when: Create, seconds: 2)");
    let (code, _, stderr) = outcome(fresh_host(folder.path()).arg("check").arg(recipe));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("env `faulty_env` has not returned from `create` for "), "{stderr}");
    assert!(stderr.contains("isolation: Process"), "{stderr}");
}
