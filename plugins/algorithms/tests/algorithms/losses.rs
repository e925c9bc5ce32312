//! The losses against RLinf's, recorded with their gradients (fixture `rlinf_ppo.safetensors`: eps 0.2/0.28, dual clip 3, value clip
//! 0.2, Huber delta 1, max_episode_steps 80).

use tch::{Kind, Tensor};
use twinhost_algorithms::ppo::{KlEstimator, Level, Mask, PpoConfig, kl, policy_loss, reduce, value_loss};

pub fn fixture(name: &str) -> Tensor {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rlinf_ppo.safetensors");
    let all = Tensor::read_safetensors(path).unwrap();
    all.into_iter().find(|t| t.0 == name).unwrap_or_else(|| panic!("no `{name}` in the fixture")).1
}

/// `max|a - b| / max|b| < 1e-5`.
#[track_caller]
pub fn assert_close(got: &Tensor, want: &Tensor) {
    assert_eq!(got.size(), want.size());
    let scale = want.abs().max().double_value(&[]).max(1e-30);
    let error = (got - want).abs().max().double_value(&[]) / scale;
    assert!(error < 1e-5, "relative error {error:e}\ngot  {got}\nwant {want}");
}

fn check(level: Level, name: &str, weighted: bool) {
    let reduction = if weighted { "ratio" } else { "mean" };
    let input = |what: &str| fixture(&format!("ppo.{name}.in.{what}"));
    let want = |what: &str| fixture(&format!("ppo.{name}.{reduction}.{what}"));
    let config = PpoConfig { logprob_type: level, huber_delta: 1.0, clip_log_ratio: None, ..PpoConfig::default() };
    let per_level = |t: Tensor| if level == Level::Token { t.unsqueeze(-1) } else { t };
    let mask = |spread: &dyn Fn(Tensor) -> Tensor| Mask {
        valid: spread(input("loss_mask").to_kind(Kind::Float)),
        length_share: weighted.then(|| spread(input("loss_mask_sum").to_kind(Kind::Float)) / 80.0),
    };

    let per_token = input("logprobs").set_requires_grad(true);
    let old = reduce(level, &input("old_logprobs"));
    let result = policy_loss(&config, &reduce(level, &per_token), &old, &input("advantages"), &mask(&per_level));
    result.loss.backward();
    // RLinf divides token sums by the number of unmasked *actions*; this crate averages over tokens, of which an action has A = 4.
    let quirk = if level == Level::Token { 4.0 } else { 1.0 };
    let loss_quirk = if weighted { 1.0 } else { quirk };
    assert_close(&(&result.loss * loss_quirk), &want("actor_loss"));
    assert_close(&(per_token.grad() * loss_quirk), &want("grad_logprobs"));
    assert_close(&(result.approx_kl * quirk), &want("approx_kl"));
    assert_close(&(result.clip_fraction * quirk), &want("clip_fraction"));

    let value = input("values").set_requires_grad(true);
    let loss = value_loss(&config, &value, &input("prev_values"), &input("returns"), &mask(&|t| t));
    loss.backward();
    assert_close(&loss, &want("critic_loss"));
    assert_close(&value.grad(), &want("grad_values"));
}

#[test]
fn token_level_matches_rlinf() {
    check(Level::Token, "token_level", false);
    check(Level::Token, "token_level", true);
}

#[test]
fn action_level_matches_rlinf() {
    check(Level::Action, "action_level", false);
    check(Level::Action, "action_level", true);
}

#[test]
fn chunk_level_matches_rlinf() {
    check(Level::Chunk, "chunk_level", false);
    check(Level::Chunk, "chunk_level", true);
}

#[test]
fn kl_estimates_match_rlinf() {
    let (lp, reference) = (fixture("kl.lp"), fixture("kl.ref"));
    assert_close(&kl(KlEstimator::K1, &lp, &reference), &fixture("kl.k1"));
    assert_close(&kl(KlEstimator::K2, &lp, &reference), &fixture("kl.k2"));
    assert_close(&kl(KlEstimator::K3, &lp, &reference), &fixture("kl.k3"));
}

#[test]
fn dual_clip_bounds_the_loss_of_a_bad_action_that_became_likely() {
    // A = -2, rho = e^3 = 20.1: max(-A rho, -A 1.28) = 40.2, cut to c |A| = 6, where the gradient vanishes.
    let log_prob = Tensor::from_slice(&[3f32]).reshape([1, 1]).set_requires_grad(true);
    let config = PpoConfig { logprob_type: Level::Chunk, ..PpoConfig::default() };
    let mask = Mask { valid: Tensor::ones([1, 1], tch::kind::FLOAT_CPU), length_share: None };
    let result = policy_loss(
        &config,
        &log_prob,
        &Tensor::zeros([1, 1], tch::kind::FLOAT_CPU),
        &Tensor::full([1, 1], -2.0, tch::kind::FLOAT_CPU),
        &mask,
    );
    result.loss.backward();
    assert_eq!(result.loss.double_value(&[]), 6.0);
    assert_eq!(log_prob.grad().double_value(&[0, 0]), 0.0);
}

#[test]
fn masked_entries_change_nothing() {
    let config = PpoConfig { logprob_type: Level::Action, ..PpoConfig::default() };
    let loss = |garbage: f32| {
        let lp = Tensor::from_slice(&[-0.3f32, garbage]).reshape([1, 2]);
        let advantage = Tensor::from_slice(&[0.7f32, 5.0 * garbage]).reshape([1, 2]);
        let mask = Mask { valid: Tensor::from_slice(&[1f32, 0.0]).reshape([1, 2]), length_share: None };
        policy_loss(&config, &lp, &lp.zeros_like(), &advantage, &mask).loss.double_value(&[])
    };
    // A = 0.7 > 0 and rho = e^-0.3 lies below 1 - eps, where only the unclipped branch counts: -0.7 e^-0.3.
    assert!((loss(0.0) + 0.7 * (-0.3f64).exp()).abs() < 1e-7);
    assert_eq!(loss(0.0), loss(4.0));
}
