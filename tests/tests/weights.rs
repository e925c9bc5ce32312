//! Runs that begin with weights from elsewhere.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use twinhost_tests::{host, outcome, root};

const STATISTICS: &str = "dataset_statistics.json";

/// Runs a recipe of the test's own, with the given overrides.
#[track_caller]
fn run(folder: &Path, recipe: &str, more: &[&str]) {
    let mut command = host(folder);
    command.args(["run", recipe, "--data-dir", "data", "--set", "stages.eval=None"]).args(more);
    let (code, _, stderr) = outcome(&mut command);
    assert_eq!(code, 0, "{stderr}");
}

/// The folders of weights that a run has saved last, one for each stage whose name begins so.
fn weights(run: &Path, stage: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let stages = entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(stage));
    let last = |stage: PathBuf| fs::read_dir(stage).unwrap().map(|step| step.unwrap().path().join("policy")).max().unwrap();
    stages.map(last).collect()
}

#[test]
fn reinforcement_learning_keeps_the_normalisation_of_the_weights_it_starts_from() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::os::unix::fs::symlink(root().join("recipes"), folder.join("recipes")).unwrap();
    run(folder, "recipes/rlco_smoke.ron", &["--run-dir", "supervised", "--set", "stages.rl=None", "--set", "stages.sft.steps=2"]);
    let [trained] = weights(&folder.join("supervised"), "sft").try_into().unwrap();
    // Two starting points that differ in nothing but what they know about their data.
    let mut texts = Vec::new();
    for (name, count) in [("one", 1001), ("two", 1002)] {
        let start = folder.join(name);
        fs::create_dir(&start).unwrap();
        for file in fs::read_dir(&trained).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), start.join(file.file_name())).unwrap();
        }
        let mut statistics: serde_json::Value = serde_json::from_slice(&fs::read(start.join(STATISTICS)).unwrap()).unwrap();
        let (_, entry) = statistics.as_object_mut().unwrap().iter_mut().next().unwrap();
        entry["num_transitions"] = count.into();
        fs::write(start.join(STATISTICS), statistics.to_string()).unwrap();
        texts.push(statistics);
    }
    let recipe = r#"(
    include: ["recipes/rlco_smoke.ron"],
    stages: (sft: None),
    arms: {"one": (policy: (init: "one")), "two": (policy: (init: "two"))},
)"#;
    fs::write(folder.join("recipe.ron"), recipe).unwrap();
    let less = ["stages.rl.iterations=1", "stages.rl.chunks=2", "stages.demos.real.episodes=6"];
    let more: Vec<&str> =
        ["--run-dir", "learnt", "--arms", "one,two"].into_iter().chain(less.iter().flat_map(|set| ["--set", set])).collect();
    run(folder, "recipe.ron", &more);

    // Each arm has trained its own weights, and neither took up the normalisation of the run's own six demonstrations.
    let mut kept: Vec<serde_json::Value> = Vec::new();
    for policy in weights(&folder.join("learnt"), "rl") {
        kept.push(serde_json::from_slice(&fs::read(policy.join(STATISTICS)).unwrap()).unwrap());
    }
    kept.sort_by_key(ToString::to_string);
    assert_eq!(kept, texts);
}
