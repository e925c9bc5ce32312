//! One reward in five languages: natively, and as a sandboxed component written in Rust, C, Python and JavaScript. They agree to within the last
//! bit of an f32, and each repeats itself exactly.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use twinhost::authoring::{Error, Language, Project, build, ready};
use twinhost::loader::{Loader, RewardHandle, Terms, host_services};
use twinhost_plugin_api::{Batch, Reward, Tensor, names};
use twinhost_tests::{host, outcome, plugin, root};

const BATCHES: u64 = 40;
const ROWS: usize = 125;
const STEPS: usize = 2;

/// SplitMix64, scaled to [-1, 1).
fn uniform(seed: u64, counter: usize) -> f32 {
    let mut z = seed.wrapping_add((counter as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// Every third row is near the goal, so that both terms matter; actions from large to tiny.
fn transition(batch: u64) -> Batch {
    let goal = [0.5, 0.0, 0.1];
    let state = (0..ROWS * 8).map(|i| {
        let spread = if (i / 8).is_multiple_of(3) { 0.04 } else { 1.0 };
        goal.get(i % 8).copied().unwrap_or(0.0) + spread * uniform(3 * batch, i)
    });
    let action = (0..ROWS * STEPS * 7).map(|i| uniform(3 * batch + 1, i) * 10f32.powi(-((i / 7 % 5) as i32)));
    Batch::new()
        .with(names::STATE, Tensor::from_vec(state.collect(), &[ROWS, 8]))
        .with(names::ACTION, Tensor::from_vec(action.collect(), &[ROWS, STEPS, 7]))
        .with(names::REWARD, Tensor::zeros::<f32>(&[ROWS, STEPS]))
}

fn scores(reward: &mut RewardHandle) -> Vec<f32> {
    (0..BATCHES).flat_map(|batch| reward.score(&transition(batch)).unwrap().slice::<f32>(names::REWARD).unwrap().to_vec()).collect()
}

/// Steps between neighbouring f32 of one sign.
fn ulps(a: f32, b: f32) -> u32 {
    assert!(a.is_finite() && b.is_finite() && a.is_sign_negative() == b.is_sign_negative(), "{a} and {b}");
    a.to_bits().abs_diff(b.to_bits())
}

#[test]
fn one_reward_in_five_languages() {
    let loader = Loader::new(&[plugin("rewards")]);
    let native = scores(&mut loader.reward("rewards:reach", "", host_services(1, 0), &Terms::default()).unwrap());
    assert_eq!(native.len(), 10_000);
    assert!(native.iter().filter(|r| **r > 0.5).count() > 1_000, "too few transitions are near the goal to test the second term");

    for language in ["rust", "c", "python", "js"] {
        let project = Project::open(&root().join("plugins/rewards/wasm").join(language)).unwrap();
        let built = match build(&project) {
            Ok(built) => built,
            Err(missing @ Error::Missing { .. }) => {
                eprintln!("NOT COMPARED: {language}: {missing}");
                continue;
            }
            Err(e) => panic!("{e}"),
        };
        let loader = Loader::new(&[built.path]);
        let create = || loader.reward(&format!("reach_{language}"), "", host_services(1, 0), &Terms::default()).unwrap();
        let (mut one, mut other) = (create(), create());
        let guest = scores(&mut one);
        for (at, (a, b)) in native.iter().zip(&guest).enumerate() {
            assert!(ulps(*a, *b) <= 1, "{language}, transition {at}: native {a}, guest {b}");
        }
        let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&guest), bits(&scores(&mut one)), "{language} does not repeat itself");
        assert_eq!(bits(&guest), bits(&scores(&mut other)), "two instances of {language} disagree");

        let error = one.score(&poisoned()).unwrap_err().to_string();
        assert!(error.contains("must be finite"), "{language}: {error}");
        let error = loader.reward(&format!("reach_{language}"), "(scale: -1.0)", host_services(1, 0), &Terms::default()).err().unwrap();
        assert!(error.to_string().contains("`scale`: must be a finite number > 0"), "{language}: {error}");
    }
}

/// A source named by a recipe is built, found and checked; one that does not compile is told at the recipe's line.
#[test]
fn a_recipe_names_a_source_file() {
    if let Err(missing) = ready(Language::C) {
        eprintln!("NOT RUN: {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("recipes"), folder.path().join("recipes")).unwrap();
    std::fs::create_dir(folder.path().join("rewards")).unwrap();
    let source = folder.path().join("rewards/reach.c");
    std::fs::copy(root().join("plugins/rewards/wasm/c/reward.c"), &source).unwrap();
    let recipe = |config: &str| {
        let rewards = format!("[(component: \"rewards/reach.c\", config: ({config}), weight: 0.5)]");
        let text = format!("(\n    include: [\"recipes/rlco_smoke.ron\"],\n    stages: (rl: (rewards: {rewards})),\n)\n");
        std::fs::write(folder.path().join("recipe.ron"), text).unwrap();
        outcome(host(folder.path()).args(["check", "recipe.ron", "--no-lock"]))
    };
    let (code, _, said) = recipe("scale: 2.0");
    assert_eq!(code, 0, "{said}");

    let (code, _, said) = recipe("scale: 0.0");
    assert!(code == 2 && said.contains("recipe.ron:3") && said.contains("must be a finite number > 0"), "{said}");

    std::fs::write(&source, "int broken(").unwrap();
    let (code, _, said) = recipe("scale: 2.0");
    assert!(code == 2 && said.contains("recipe.ron:3") && said.contains("stages.rl.rewards[0].component"), "{said}");
    assert!(said.contains("reach.c"), "{said}");

    std::fs::remove_file(&source).unwrap();
    let (code, _, said) = recipe("scale: 2.0");
    assert!(code == 2 && said.contains("reach.c does not exist"), "{said}");
}

fn poisoned() -> Batch {
    let mut batch = transition(0);
    batch.get_mut(names::ACTION).unwrap().as_mut_slice::<f32>().unwrap()[7] = f32::NAN;
    batch
}
