//! Plugins as they were built, with the SDKs of their time, loaded and called by today's host (`tests/compat/README.md`).
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::path::PathBuf;
use std::time::Duration;
use twinhost::loader::{Loader, Terms, Trust, examine, host_services, inspect};
use twinhost_plugin_api::testkit::{ScoreCard, Settings};
use twinhost_plugin_api::{
    ActMode, ActRequest, Algorithm, Anchor, Batch, Camera, Env, Policy, ResetRequest, Reward, Tensor, UpdateRequest, names,
};

/// Every kept library, oldest first.
fn kept() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(twinhost_tests::root().join("tests/compat")).unwrap();
    let mut libraries: Vec<PathBuf> = folder.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "so")).collect();
    libraries.sort();
    assert!(!libraries.is_empty(), "the kept plugins are gone");
    libraries
}

#[test]
fn every_kept_plugin_loads_conforms_and_answers_as_ever() {
    for library in kept() {
        if !cfg!(target_arch = "x86_64") {
            assert!(inspect(&library).unwrap_err().to_string().contains("was built for X86_64"));
            continue;
        }
        let found = inspect(&library).unwrap().unwrap();
        let name = library.file_stem().unwrap().to_string_lossy().into_owned();
        let sdk = found.stamp.split_whitespace().find_map(|w| w.strip_prefix("sdk=")).unwrap().to_owned();
        assert!(name.contains(&format!("-sdk-{sdk}-")), "{name} is stamped {}", found.stamp);

        let mut loader = Loader::new(std::slice::from_ref(&library));
        loader.trust = Trust::Trial;
        let bundle = loader.catalog.bundles.iter().find(|b| b.library == library).unwrap();
        let cards = examine(&loader, bundle, || Settings { leak_time: Duration::from_secs(1), ..Settings::default().steps(5_000) });
        assert_eq!(cards.len(), 7, "one of each kind");
        cards.iter().for_each(ScoreCard::assert_passed);
        answers(&loader);
    }
}

/// Known answers, from what `source/` says it does.
fn answers(loader: &Loader) {
    let services = || host_services(1, 0);
    let mut env = loader.env("compat:line", "", services()).unwrap();
    // Positions begin at seed mod 7, a step adds the action.
    let first = env.reset(&ResetRequest::new(vec![3, 8])).unwrap();
    assert_eq!(first.slice::<f32>(names::STATE).unwrap(), [3.0, 0.0, 1.0, 0.0]);
    let out = env.step(&Tensor::from_vec(vec![0.5f32, 0.25, -1.0, 0.0], &[2, 2, 1])).unwrap();
    assert_eq!(out.slice::<f32>(names::STATE).unwrap(), [3.75, 2.0, 0.0, 2.0]);
    assert_eq!(out.slice::<f32>(names::REWARD).unwrap(), [0.5, 0.25, -1.0, 0.0]);
    assert_eq!(env.render(1, "", 3, 2).unwrap().as_slice::<u8>().unwrap(), [200; 18]);

    let mut reward = loader.reward("compat:length", "", services(), &Terms::default()).unwrap();
    let transition = Batch::new().with(names::ACTION, Tensor::from_vec(vec![1.0f32, -2.0, 0.5, 0.0], &[1, 2, 2]));
    assert_eq!(reward.score(&transition).unwrap().slice::<f32>(names::REWARD).unwrap(), [-3.0, -0.5]);

    let mut policy = loader.policy("compat:still", "", services(), &loader.terms()).unwrap();
    let request = ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false };
    let acted = policy.act(&out, &request).unwrap();
    assert_eq!(acted.slice::<f32>(names::ACTION).unwrap(), [0.25; 4]);
    // The bits of 0.25 are sign 0, exponent 125, fraction 0.
    assert_eq!(policy.digest().unwrap(), format!("{:08x}", 125u32 << 23));

    let side = policy.differentiable().unwrap();
    let mut algorithm = loader.algorithm("compat:count", "", services(), side).unwrap();
    let rows = |n: usize| Batch::new().with(names::ACTION, Tensor::zeros::<f32>(&[n, 1, 1]));
    let mut anchor = Anchor::new(0.5, 6, move |count| Ok(rows(count)));
    let metrics = algorithm.update(&rows(4), Some(&mut anchor), &UpdateRequest { seed: 1, iteration: 9, total_iterations: 10 }).unwrap();
    let expected = [("train/rows", 4.0), ("train/iteration", 9.0), ("train/anchor_rows", 3.0), ("train/weights_version", 1.0)];
    assert_eq!(metrics, expected.map(|(name, value)| (name.to_owned(), value)));

    let mut camera = loader.camera("compat:grey", "", services()).unwrap();
    camera.start().unwrap();
    assert_eq!(camera.latest(10).unwrap().slice::<u8>("image").unwrap(), [128; 36]);
}
