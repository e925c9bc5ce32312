//! Same seed, same bits; and nothing that was saved is lost, whenever the process dies.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use twinhost::observe::{RunLayout, metrics_digest};
use twinhost::pipeline::RunState;
use twinhost_tests::{host, outcome, root};

/// The smoke recipe, cut down to what still passes through every stage.
const SHORT: [&str; 8] = [
    "stages.demos.sim.episodes=4",
    "stages.sft.steps=80",
    "stages.rl.iterations=10",
    "stages.rl.chunks=3",
    "stages.eval.episodes=4",
    "stages.eval.films=0",
    "checkpoint.every_steps=10",
    "checkpoint.every_iterations=1",
];

fn start(folder: &Path, run: &str) -> std::process::Command {
    let mut command = host(folder);
    command.arg("run").arg(root().join("recipes/rlco_smoke.ron")).args(["--run-dir", run]).arg("--data-dir").arg(folder.join("data"));
    for set in SHORT {
        command.arg("--set").arg(set);
    }
    command
}

const KILLS: u64 = 20;

/// What must be equal: the metrics but for times, and the weights of every stage.
fn fingerprint(run: &Path) -> (String, Vec<(String, u64, String)>) {
    let layout = RunLayout::new(run);
    let state: RunState = serde_json::from_str(&fs::read_to_string(layout.state()).unwrap()).unwrap();
    let stages = state.stages.into_iter().map(|(key, s)| {
        assert!(s.finished, "stage {key} is not finished");
        (key, s.step, s.weights_sha256)
    });
    (metrics_digest(&layout.metrics()).unwrap(), stages.collect())
}

fn wait_for(child: &mut Child, limit: Duration) -> bool {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    while waited < limit {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(step);
        waited += step;
    }
    false
}

#[test]
fn a_run_is_repeatable_and_survives_kill_9_and_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = outcome(&mut start(folder.path(), "undisturbed"));
    assert_eq!(code, 0, "{stderr}");
    let expected = fingerprint(&folder.path().join("undisturbed"));
    assert_eq!(expected.1.len(), 2, "stages sft and rl: {expected:?}");

    let (code, _, stderr) = outcome(&mut start(folder.path(), "again"));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(fingerprint(&folder.path().join("again")), expected, "equal seeds gave different runs");

    // Die 20 times: every other time at some moment of starting up, else some time after the run has got further than before.
    let run = folder.path().join("killed");
    let metrics = run.join("metrics.jsonl");
    let length = || fs::metadata(&metrics).map_or(0, |m| m.len());
    let mut kills = 0;
    for attempt in 0..KILLS {
        let before = length();
        let mut child = start(folder.path(), "killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let further = attempt % 2 == 1;
        while further && length() <= before && !wait_for(&mut child, Duration::from_millis(5)) {}
        let moment = Duration::from_millis(if further { attempt * 67 % 400 } else { 50 + attempt * 431 % 1500 });
        if wait_for(&mut child, moment) {
            assert!(child.wait().unwrap().success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert_eq!(kills, KILLS, "the run ended before it was killed often enough");
    let (code, _, stderr) = outcome(&mut start(folder.path(), "killed"));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(fingerprint(&run), expected, "after {kills} kills");

    // Ctrl-C: finish the step, save, say how to go on, exit with 130.
    let mut child = start(folder.path(), "stopped").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = folder.path().join("stopped/metrics.jsonl");
    while fs::metadata(&metrics).map_or(0, |m| m.len()) == 0 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: sends a signal to a child of ours that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let stopped = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&stopped.stderr);
    if stopped.status.code() == Some(130) {
        assert!(message.contains("host run --resume"), "{message}");
        let (code, _, stderr) =
            outcome(host(folder.path()).args(["run", "--resume", "stopped"]).arg("--data-dir").arg(folder.path().join("data")));
        assert_eq!(code, 0, "{stderr}");
    } else {
        // The signal came during the very last step.
        assert_eq!(stopped.status.code(), Some(0), "{message}");
    }
    assert_eq!(fingerprint(&folder.path().join("stopped")), expected, "after Ctrl-C and --resume");
}

#[test]
fn instances_that_share_the_environments_teach_what_one_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |run: &str, rewards: &str| {
        let reward = format!("stages.rl.rewards=[{rewards}]");
        let (code, _, error) = outcome(start(folder.path(), run).args(["--set", &reward]));
        assert_eq!(code, 0, "{error}");
        fingerprint(&folder.path().join(run)).1.into_iter().map(|stage| stage.2).collect::<Vec<_>>()
    };
    // The component remembers each environment's last action.
    let alone = weights("alone", "(component: \"action_smoothness\", weight: 10)");
    assert_eq!(weights("shared", "(component: \"action_smoothness\", weight: 10, instances: 3)"), alone);
    assert_ne!(weights("without", ""), alone, "the reward has to matter");
}
