//! Components in a process of their own: the same results, and every way to die is told and survived.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::time::Duration;
use twinhost::loader::{EnvHandle, Loader, host_services, set_host_binary};
use twinhost_plugin_api::{ActMode, ActRequest, Batch, Env, ErrorKind, Policy, ResetRequest, Result, Reward, Tensor, names};
use twinhost_tests::{built, host, outcome, plugin};

fn loader() -> Loader {
    set_host_binary(built().join("host"));
    let mut loader = Loader::new(&[plugin("misbehave"), plugin("rewards")]);
    loader.hang_after = Duration::from_secs(20);
    loader
}

fn isolated(config: &str) -> Result<EnvHandle> {
    loader().isolated_env("faulty_env", config, host_services(1, 0))
}

fn actions(step: usize) -> Tensor {
    Tensor::from_vec(vec![0.3, -0.2 * step as f32, 0.1, 0.9, -0.4, 0.0], &[2, 3, 1])
}

fn bytes(batch: &Batch) -> Vec<(String, Vec<u8>)> {
    batch.iter().map(|(name, tensor)| (name.to_owned(), tensor.bytes().unwrap().to_vec())).collect()
}

#[test]
fn results_are_the_same_bit_for_bit() {
    let mut here = loader().env("faulty_env", "", host_services(1, 0)).unwrap();
    let mut there = isolated("").unwrap();
    assert_eq!(here.spec(), there.spec());
    let request = ResetRequest::new(vec![4, 5]).auto_reset();
    assert_eq!(bytes(&here.reset(&request).unwrap()), bytes(&there.reset(&request).unwrap()));
    for step in 0..40 {
        let (a, b) = (here.step(&actions(step)).unwrap(), there.step(&actions(step)).unwrap());
        assert_eq!(bytes(&a), bytes(&b));
        assert_eq!(a.texts(names::TASK).unwrap(), b.texts(names::TASK).unwrap());
    }
    // Errors cross with their kind and field.
    let (a, b) = (here.step(&Tensor::zeros::<f32>(&[9, 1, 1])).unwrap_err(), there.step(&Tensor::zeros::<f32>(&[9, 1, 1])).unwrap_err());
    assert_eq!((a.kind, a.to_string()), (b.kind, b.to_string()));
    let error = isolated("(fault: Nothing, epizode: 3)").err().unwrap();
    assert_eq!(error.kind, ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("epizode"), "{error}");
    assert_eq!(there.render(0, "", 8, 8).unwrap_err().kind, ErrorKind::Unsupported);
}

/// The component dies in its second step; the error says how, a neighbour goes on, and a reset brings it back.
#[track_caller]
fn dies(fault: &str, words: &[&str]) {
    let mut neighbour = isolated("").unwrap();
    let mut env = isolated(&format!("(fault: {fault}, after: 1)")).unwrap();
    for _ in 0..2 {
        env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
        env.step(&actions(0)).unwrap();
        let error = env.step(&actions(1)).unwrap_err().to_string();
        for word in words.iter().chain(&["env `faulty_env`, step: "]) {
            assert!(error.contains(word), "`{word}` is missing in: {error}");
        }
        assert!(env.is_down());
        let error = env.step(&actions(1)).unwrap_err().to_string();
        assert!(error.contains("ended in an earlier call") && error.contains("reset"), "{error}");
        neighbour.reset(&ResetRequest::new(vec![1, 2])).unwrap();
        neighbour.step(&actions(0)).unwrap();
    }
    env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
    assert!(!env.is_down());
}

#[test]
fn a_segmentation_fault_is_named_and_survived() {
    dies("Segfault", &["signal 11 (SIGSEGV)", "the next reset starts it again"]);
}

#[test]
fn an_abort_is_named_and_survived() {
    dies("Abort", &["signal 6 (SIGABRT)"]);
}

#[test]
fn an_exit_is_named_and_survived() {
    dies("Exit", &["exit code 7"]);
}

#[test]
fn a_panic_ends_the_process_that_may_be_half_changed() {
    dies("Panic", &["panicked: the gripper is jammed"]);
}

#[test]
fn a_hang_is_ended_after_the_limit() {
    let mut loader = loader();
    loader.hang_after = Duration::from_millis(400);
    let mut env = loader.isolated_env("faulty_env", "(fault: Hang, seconds: 600)", host_services(1, 0)).unwrap();
    env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
    let error = env.step(&actions(0)).unwrap_err().to_string();
    assert!(error.contains("env `faulty_env`, step: did not return for ") && error.contains("process was ended"), "{error}");
    env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
}

#[test]
fn a_kill_from_outside_is_named_and_survived() {
    let mut env = isolated("(num_envs: 5)").unwrap();
    env.reset(&ResetRequest::new(vec![1, 2, 3, 4, 5])).unwrap();
    let mine = env.process_id().unwrap();
    // SAFETY: sends a signal to a child of ours that has not been waited for.
    unsafe { libc::kill(mine as i32, libc::SIGKILL) };
    let error = env.step(&Tensor::zeros::<f32>(&[5, 1, 1])).unwrap_err().to_string();
    assert!(error.contains("signal 9 (SIGKILL)"), "{error}");
    env.reset(&ResetRequest::new(vec![1, 2, 3, 4, 5])).unwrap();
}

#[test]
fn a_crash_while_it_is_created_is_an_error() {
    let error = isolated("(fault: Segfault, when: Create)").err().unwrap().to_string();
    assert!(error.contains("signal 11 (SIGSEGV)"), "{error}");
}

#[test]
fn rewards_and_policies_too() {
    let transition = Batch::new().with(names::ACTION, Tensor::zeros::<f32>(&[2, 3, 1]));
    let mut reward = loader().isolated_reward("faulty_reward", "(fault: Abort, after: 1)", host_services(1, 0)).unwrap();
    assert_eq!(reward.score(&transition).unwrap().slice::<f32>(names::REWARD).unwrap(), [1.0; 6]);
    let error = reward.score(&transition).unwrap_err().to_string();
    assert!(error.contains("reward `faulty_reward`, score: its process ended with signal 6 (SIGABRT)"), "{error}");
    reward.reset(&[0, 1]).unwrap();
    reward.score(&transition).unwrap();

    let observation = Batch::new().with(names::STATE, Tensor::zeros::<f32>(&[2, 1]));
    let request = ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false };
    let mut policy = loader().isolated_policy("faulty_policy", "(fault: Segfault, after: 1)", host_services(1, 0)).unwrap();
    assert!(policy.differentiable().is_none());
    policy.act(&observation, &request).unwrap();
    let error = policy.act(&observation, &request).unwrap_err().to_string();
    assert!(error.contains("policy `faulty_policy`, act: its process ended with signal 11"), "{error}");
    policy.reset(&[0, 1], &[1, 2]).unwrap();
    policy.act(&observation, &request).unwrap();
}

/// A recipe for the host: one environment of the misbehaving bundle, in a process of its own.
fn recipe(folder: &std::path::Path, env: &str, more: &str) -> std::path::PathBuf {
    let path = folder.join("faulty.ron");
    let text = format!(
        "(\n  name: \"faulty\",\n  envs: {{\"sim\": (component: \"faulty_env\", isolation: Process, config: {env})}},\n  \
         policy: (component: \"faulty_policy\"{more}),\n  stages: (eval: (envs: [\"sim\"], episodes: 4)),\n)\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn an_evaluation_goes_on_after_a_crash_and_gives_up_on_one_that_returns() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights");
    fs::create_dir(&weights).unwrap();
    let evaluate = |config: &str| {
        let path = recipe(folder.path(), config, "");
        outcome(host(folder.path()).env("TWINHOST_PLUGIN_PATH", plugin("misbehave")).arg("eval").arg(&path).arg("--weights").arg(&weights))
    };
    let (code, sound, stderr) = evaluate("()");
    assert_eq!(code, 0, "{stderr}");
    let once = folder.path().join("crashed");
    let (code, stdout, stderr) = evaluate(&format!("(fault: Segfault, after: 7, once: {once:?})"));
    assert_eq!(code, 0, "{stderr}");
    assert!(once.exists() && stderr.contains("signal 11 (SIGSEGV)") && stderr.contains("1 of at most 3 times"), "{stderr}");
    let line = |text: &str| text.lines().find(|l| l.contains("success")).map(str::to_owned);
    assert_eq!(line(&stdout), line(&sound), "the evaluation is the undisturbed one");

    let (code, _, stderr) = evaluate("(fault: Abort, after: 7)");
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("env `faulty_env`, step: its process ended with signal 6 (SIGABRT)"), "{stderr}");
}

#[test]
fn a_crash_at_creation_is_a_mistake_at_the_recipes_line_and_what_is_trained_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe(folder.path(), "(fault: Segfault, when: Create)", "");
    let (code, _, stderr) = outcome(host(folder.path()).env("TWINHOST_PLUGIN_PATH", plugin("misbehave")).arg("check").arg(&path));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("faulty.ron:3") && stderr.contains("signal 11 (SIGSEGV)"), "{stderr}");

    let smoke = twinhost_tests::root().join("recipes/rlco_smoke.ron");
    let (code, _, stderr) = outcome(host(folder.path()).arg("check").arg(smoke).args(["--no-lock", "--set", "policy.isolation=Process"]));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("policy.isolation") && stderr.contains("gradients"), "{stderr}");
}
