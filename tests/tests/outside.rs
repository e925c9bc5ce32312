//! Plugins of people who never saw this repository: generated outside of it, built against the SDK that the host carries, examined, and
//! run in a recipe, with nothing changed here.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use twinhost_tests::{host, outcome, outside};

/// The host with a folder for what cargo builds, so that a second test run does not begin from nothing.
fn author(folder: &Path) -> Command {
    let mut command = host(folder);
    command.env("CARGO_TARGET_DIR", outside());
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let (code, stdout, stderr) = outcome(command);
    assert_eq!(code, 0, "{command:?}\n{stdout}\n{stderr}");
    stdout
}

#[test]
fn a_generated_plugin_of_each_kind_builds_conforms_and_an_environment_runs_in_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    for kind in ["env", "policy", "reward", "robot", "camera", "teleop"] {
        let name = format!("outside-{kind}");
        let listed = succeeds(author(f).args(["plugin", "new", "--kind", kind, "--lang", "native", &name]));
        assert!(listed.contains("src/lib.rs") && listed.contains("tests/conformance.rs"), "{listed}");
        let manifest = fs::read_to_string(f.join(&name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&f.join("xdg-data/twinhost/sdk").display().to_string()), "built against the host's own SDK: {manifest}");

        let cards = succeeds(author(f).args(["plugin", "test", &name, "--steps", "2000", "--leak-time", "2"]));
        assert!(cards.contains(&format!("{kind} `{name}`")) && !cards.contains("FAILED"), "{cards}");
    }

    let recipe = f.join("points.ron");
    let text = "(\n  name: \"points\",\n  plugins: [\"outside-env/build\", \"outside-policy/build\"],\n  \
                envs: {\"sim\": (component: \"outside-env\", isolation: Process)},\n  policy: (component: \"outside-policy\"),\n  \
                stages: (eval: (envs: [\"sim\"], episodes: 8)),\n)\n";
    fs::write(&recipe, text).unwrap();
    succeeds(host(f).arg("check").arg(&recipe));
    fs::create_dir(f.join("weights")).unwrap();
    let rates = succeeds(host(f).arg("eval").arg(&recipe).args(["--weights", "weights"]));
    // At 1 m/s and 10 Hz, fifty steps are five metres; the farthest goal is 2 * sqrt(2) m away, and the gain of 5/s ends within tolerance.
    assert!(rates.contains("success 100.0 %"), "{rates}");
}

/// The author's own `cargo test`: the same checks from inside the crate, where allocations can be counted.
#[test]
fn a_generated_robot_passes_its_own_test_and_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    succeeds(author(f).args(["plugin", "new", "--kind", "robot", "--lang", "native", "own-test"]));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--release", "--", "--nocapture"]).current_dir(f.join("own-test"));
    let said = succeeds(command.env("CARGO_TARGET_DIR", outside()));
    assert!(said.contains("passed   a command allocates nothing"), "{said}");
}
