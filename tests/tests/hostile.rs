//! Wrong input, as a user would meet it: exit code 2, a message that names the cause, no panic.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use twinhost_tests::{host, outcome, root};

/// Runs the smoke recipe with these extra arguments, which must be refused with a message that contains every word.
#[track_caller]
fn refused(folder: &Path, args: &[&str], words: &[&str]) {
    let (code, stdout, stderr) =
        outcome(host(folder).arg("run").arg(root().join("recipes/rlco_smoke.ron")).arg("--data-dir").arg(folder.join("data")).args(args));
    complain(code, &stdout, &stderr, words);
}

#[track_caller]
fn complain(code: i32, stdout: &str, stderr: &str, words: &[&str]) {
    assert_eq!(code, 2, "stdout: {stdout}\nstderr: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
    }
    for bad in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!stderr.contains(bad), "{stderr}");
    }
}

#[test]
fn wrong_values_are_named_with_their_field() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    refused(f, &["--set", "stages.rl.anchor.beta=-0.1"], &["stages.rl.anchor.beta", "-0.1"]);
    refused(f, &["--set", "stages.rl.anchor.beta=NaN"], &["stages.rl.anchor.beta"]);
    refused(f, &["--set", "stages.sft.alpha=1.5"], &["stages.sft.alpha", "1.5"]);
    refused(f, &["--set", "stages.sft.steps=\"many\""], &["stages.sft.steps"]);
    refused(f, &["--set", "stages.sft.stepps=3"], &["stepps", "steps"]);
    refused(f, &["--set", "policy.component=openvlaa"], &["openvlaa", "openvla"]);
    refused(f, &["--set", "stages.rl.env=simm"], &["simm", "sim"]);
    refused(f, &["--arms", "rlco,sft_reel"], &["sft_reel", "sft_real"]);
    refused(f, &["--set", "policy.init=/no/such/folder"], &["/no/such/folder"]);
    refused(f, &["--plugin-dir", "/no/such/plugins", "--set", "policy.component=none"], &["none"]);
}

#[test]
fn a_plugins_own_configuration_is_checked_in_the_recipes_text() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("typo.ron");
    let included = root().join("recipes/rlco_smoke.ron");
    fs::write(&recipe, format!("(\n  include: [{included:?}],\n  name: \"typo\",\n  envs: {{\"sim\": (config: (twni: Sim))}},\n)\n"))
        .unwrap();
    let (code, stdout, stderr) = outcome(host(folder.path()).arg("run").arg(&recipe));
    complain(code, &stdout, &stderr, &["typo.ron:4", "twni", "did you mean `twin`", "envs.sim.config"]);
}

#[test]
fn run_folders_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["--run-dir", "/proc/nowhere/run"], &["/proc/nowhere"]);
    let file = folder.path().join("a-file");
    fs::write(&file, "").unwrap();
    refused(folder.path(), &["--run-dir", "a-file"], &["a-file"]);
    let (code, stdout, stderr) = outcome(host(folder.path()).args(["run", "--resume", "nothing-here"]));
    complain(code, &stdout, &stderr, &["nothing-here"]);
    let (code, stdout, stderr) = outcome(host(folder.path()).args(["run", "no-such-recipe.ron"]));
    complain(code, &stdout, &stderr, &["no-such-recipe.ron"]);
}
