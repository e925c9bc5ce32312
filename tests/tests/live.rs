//! A reward's source may be edited while a simulation runs: what builds is used from the next iteration on, what does not is told and left alone.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use twinhost::authoring::{Language, ready};
use twinhost_tests::{host, outcome, root};

/// The run in the background; it ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The template's C reward with another formula, on a state of any width.
fn source(template: &str, formula: &str) -> String {
    let line = "float reward = 1.0f - tanhf(scale * sqrtf(sum));";
    assert!(template.contains(line));
    template.replace(line, &format!("float reward = {formula};")).replace("shape.ptr[1] < 3", "shape.ptr[1] < 1").replace("i < 3", "i < 1")
}

/// Mean scores of the iterations so far.
fn scores(run: &Path) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let rows = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    rows.filter_map(|row| row["values"]["reward/steady"].as_f64()).collect()
}

/// Waits until `done`, for at most three minutes.
#[track_caller]
fn wait_until(what: &str, log: &Path, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(180), "waited in vain until {what}:\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_edited_reward_is_used_from_the_next_iteration_on() {
    if let Err(missing) = ready(Language::C) {
        eprintln!("NOT TESTED: {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, run, log) = (folder.path().join("steady.c"), folder.path().join("run"), folder.path().join("log"));
    let template = fs::read_to_string(root().join("host/templates/reward/c/reward.c")).unwrap();
    fs::write(&file, source(&template, "0.25f")).unwrap();
    let reward = format!("stages.rl.rewards=[(component: {:?}, live: true)]", file.display().to_string());
    let mut command = host(folder.path());
    command.arg("run").arg(root().join("recipes/rlco_smoke.ron")).args(["--run-dir", "run", "--data-dir", "data"]);
    for set in ["stages.demos.sim.episodes=4", "stages.sft.steps=2", "stages.rl.iterations=100000", "stages.rl.chunks=2", &reward] {
        command.args(["--set", set]);
    }
    let output = fs::File::create(&log).unwrap();
    let _running = Running(command.stdout(Stdio::null()).stderr(output).spawn().unwrap());
    let said = |words: &str| fs::read_to_string(&log).unwrap_or_default().contains(words);

    wait_until("the first scores are there", &log, || scores(&run).last() == Some(&0.25));
    fs::write(&file, source(&template, "0.75f")).unwrap();
    wait_until("the new formula is in use", &log, || scores(&run).last() == Some(&0.75));
    assert!(said("steady.c has changed and is in use from now on"));
    fs::write(&file, source(&template, "this is no C")).unwrap();
    wait_until("the mistake is told", &log, || said("has changed, but the former one stays"));
    let seen = scores(&run).len();
    wait_until("the former reward goes on", &log, || scores(&run).len() > seen + 2);
    assert_eq!(scores(&run).last(), Some(&0.75));
}

#[test]
fn only_what_is_named_by_its_file_can_be_live() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = host(folder.path());
    command.arg("check").arg(root().join("recipes/rlco_smoke.ron")).arg("--no-lock");
    let (code, _, error) = outcome(command.args(["--set", "stages.rl.rewards=[(component: \"step_penalty\", live: true)]"]));
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("stages.rl.rewards[0].live") && error.contains("name the component by its source file"), "{error}");
}
