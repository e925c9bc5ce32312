//! Acting: shapes, seeds, and scores that an algorithm can rely on.

use twinhost_plugin_api::{ActMode, ActRequest, Batch, ErrorKind, Tensor, names};
use twinhost_plugin_torch::{TorchPolicy, from_torch};

use super::episodes::{joined, observations, policy};

fn request(seed: u64) -> ActRequest {
    ActRequest { mode: ActMode::Sample, temperature: 1.0, seed, training: true }
}

fn tokens(batch: &Batch) -> Vec<i64> {
    batch.slice::<i64>(names::ACTION_TOKENS).unwrap().to_vec()
}

/// `evaluate` over the same rows gives the very numbers that `act` recorded: the ratio of a first PPO epoch is exactly 1.
fn check_ratio_is_one(config: &str) {
    let mut policy = policy(config, 3);
    let seen = observations(5);
    let acted = policy.act(&seen, &request(11)).unwrap();
    let log_prob = acted.slice::<f32>(names::LOG_PROB).unwrap().to_vec();
    let value = acted.slice::<f32>(names::VALUE).unwrap().to_vec();
    let evaluated = policy.evaluate(&joined(seen, &acted)).unwrap();
    assert_eq!(evaluated.log_prob.size(), [5, 2, 4]);
    assert_eq!(from_torch(&evaluated.log_prob).unwrap().as_slice::<f32>().unwrap(), log_prob);
    assert_eq!(from_torch(&evaluated.value.unwrap()).unwrap().as_slice::<f32>().unwrap(), value);
    let entropy = evaluated.entropy;
    assert!(entropy.min().double_value(&[]) > 0.0 && entropy.max().double_value(&[]) <= 256f64.ln() + 1e-5);
}

#[test]
fn parallel_scores_repeat_exactly() {
    check_ratio_is_one("");
}

#[test]
fn autoregressive_scores_repeat_exactly() {
    check_ratio_is_one("decoding: Autoregressive,");
}

#[test]
fn a_rows_score_does_not_depend_on_the_other_rows() {
    let mut policy = policy("", 3);
    let seen = observations(6);
    let acted = policy.act(&seen, &request(1)).unwrap();
    let some = [4, 1];
    let part = joined(seen, &acted).gather_rows(&some).unwrap();
    let evaluated = from_torch(&policy.evaluate(&part).unwrap().log_prob).unwrap();
    let whole = acted.get(names::LOG_PROB).unwrap().gather_rows(&some).unwrap();
    for (a, b) in evaluated.as_slice::<f32>().unwrap().iter().zip(whole.as_slice::<f32>().unwrap()) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }
}

#[test]
fn actions_are_a_function_of_weights_observation_and_seed() {
    for config in ["", "decoding: Autoregressive,"] {
        let (mut one, mut same, mut other) = (policy(config, 3), policy(config, 3), policy(config, 4));
        let seen = observations(4);
        let first = tokens(&one.act(&seen, &request(1)).unwrap());
        assert_ne!(first, tokens(&one.act(&seen, &request(2)).unwrap()));
        // Neither earlier calls nor torch's own generator matter.
        tch::manual_seed(99);
        assert_eq!(first, tokens(&same.act(&seen, &request(1)).unwrap()));
        assert_ne!(first, tokens(&other.act(&seen, &request(1)).unwrap()), "other weights");
        // A row's draws are its own.
        let fewer = tokens(&one.act(&observations(2), &request(1)).unwrap());
        assert_eq!(first[..fewer.len()], fewer);
    }
}

#[test]
fn sampling_follows_the_distribution() {
    // 40 x 8 draws from near-uniform distributions over 256 tokens: the mean index has a standard error of 256/sqrt(12 * 320) = 4.1.
    let mut policy = policy("", 3);
    let drawn = tokens(&policy.act(&observations(40), &request(5)).unwrap());
    let mean = drawn.iter().sum::<i64>() as f64 / drawn.len() as f64;
    assert!((mean - (64.0 + 127.5)).abs() < 5.0 * 4.1, "{mean}");
    let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
    assert!(distinct.len() > 120, "only {} distinct tokens", distinct.len());
}

#[test]
fn greedy_actions_are_the_most_likely_ones() {
    for config in ["", "decoding: Autoregressive,"] {
        let mut policy = policy(config, 3);
        let seen = observations(3);
        let greedy = ActRequest { mode: ActMode::Greedy, ..request(0) };
        let best = policy.act(&seen, &greedy).unwrap();
        let sampled = policy.act(&seen, &request(8)).unwrap();
        // The first token's distribution is the same in both calls.
        let first = |batch: &Batch| batch.slice::<f32>(names::LOG_PROB).unwrap()[0];
        assert!(first(&best) >= first(&sampled));
        assert_eq!(tokens(&best), tokens(&policy.act(&seen, &ActRequest { seed: 77, ..greedy }).unwrap()));
    }
}

#[test]
fn actions_are_in_the_datasets_range() {
    let mut policy = policy("", 3);
    let quiet = ActRequest { training: false, ..request(4) };
    let acted = policy.act(&observations(8), &quiet).unwrap();
    assert!(acted.find(names::LOG_PROB).is_none());
    let action = acted.get(names::ACTION).unwrap();
    assert_eq!(action.shape(), [8, 2, 4]);
    for (i, &x) in action.as_slice::<f32>().unwrap().iter().enumerate() {
        let i = i % 4;
        // The last dimension is masked: [-1, 1] as it is.
        let (low, high) = if i == 3 { (-1.0, 1.0) } else { (-1.0 - 0.1 * i as f32, 1.5 + 0.1 * i as f32) };
        assert!((low..=high).contains(&x), "dimension {i}: {x}");
    }
}

#[test]
fn an_image_of_another_size_is_resized() {
    let mut policy = policy("", 3);
    let mut seen = observations(2);
    // A flat grey image stays a flat grey image at any size.
    let grey = |side: usize| Tensor::from_vec(vec![120u8; 2 * side * side * 3], &[2, side, side, 3]);
    let mut act = |side: usize| {
        seen.insert("observation.images.base", grey(side));
        tokens(&policy.act(&seen, &request(1)).unwrap())
    };
    let native = act(32);
    assert_eq!(native, act(48));
    assert_eq!(native, act(20));
}

#[test]
fn wrong_observations_are_named() {
    let mut policy = policy("", 3);
    let mut check = |batch: &Batch, parts: &[&str]| {
        let e = policy.act(batch, &request(1)).unwrap_err().to_string();
        assert!(parts.iter().all(|part| e.contains(part)), "{e}");
    };
    let mut seen = observations(2);
    seen.remove("observation.images.base");
    check(&seen, &["observation.images.base", "observation.state"]);
    check(&observations(2).with(names::STATE, Tensor::zeros::<f32>(&[2, 5])), &["observation.state", "[2, 5]", "[2, 3]"]);
    check(&observations(2).with("observation.images.base", Tensor::zeros::<u8>(&[3, 32, 32, 3])), &["observation.images.base", "3 rows"]);
    check(&observations(2).with("observation.images.base", Tensor::zeros::<f32>(&[2, 32, 32, 3])), &["observation.images.base", "8-bit"]);
    check(&Batch::new(), &["task"]);
}

#[test]
fn a_training_rollout_at_another_temperature_is_refused() {
    let mut policy = policy("temperature: 1.6,", 3);
    let e = policy.act(&observations(1), &request(1)).unwrap_err();
    assert_eq!(e.kind, ErrorKind::InvalidInput);
    assert!(e.to_string().contains("1.6"), "{e}");
    assert!(policy.act(&observations(1), &ActRequest { temperature: 1.6, ..request(1) }).is_ok());
    assert!(policy.act(&observations(1), &ActRequest { temperature: f32::NAN, training: false, ..request(1) }).is_err());
}

/// Where the data's quantiles are not asked for, an action is its token's bin centre in [-1, 1].
#[test]
fn actions_are_bin_centres_when_normalisation_is_off() {
    let bins = twinhost_policies::openvla::actions::ActionBins::new(320);
    let centres = |acted: &Batch| tokens(acted).iter().map(|&t| bins.decode(t) as f32).collect::<Vec<f32>>();
    let seen = observations(5);
    let plain = policy("normalize_actions: false,", 3).act(&seen, &request(11)).unwrap();
    assert_eq!(plain.slice::<f32>(names::ACTION).unwrap(), centres(&plain));
    let stretched = policy("", 3).act(&seen, &request(11)).unwrap();
    assert_eq!(tokens(&stretched), tokens(&plain));
    assert_ne!(stretched.slice::<f32>(names::ACTION).unwrap(), centres(&stretched));
}
