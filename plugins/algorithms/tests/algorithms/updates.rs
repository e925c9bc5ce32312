//! Whole PPO updates: exactness on the first epoch, determinism, micro-batches, early stops, and that it learns.

use abi_stable::std_types::RStr;
use twinhost_algorithms::ppo::{Ppo, REFERENCE_LOG_PROB};
use twinhost_plugin_api::{Algorithm as _, ComponentConfig, ErrorKind, HostServices, LogLevel, Tensor, names};

use crate::linear_policy::{CHUNK, LinearPolicy};
use crate::subject::{Subject, metric, ppo, request, rollout};

#[test]
fn the_first_epoch_has_ratio_exactly_one() {
    for level in ["token_level", "action_level", "chunk_level"] {
        let mut subject = Subject::new(1);
        let data = rollout(&mut subject, 5, 4, 0);
        let mut learner = ppo(&mut subject, &format!("(epochs: 1, logprob_type: {level}, micro_batch: 7)"));
        let metrics = learner.update(&data, None, &request(0)).unwrap();
        assert_eq!(metric(&metrics, "train/optimizer_steps"), 1.0);
        assert_eq!(metric(&metrics, "train/ratio"), 1.0, "{level}");
        assert_eq!(metric(&metrics, "train/approx_kl"), 0.0, "{level}");
        assert_eq!(metric(&metrics, "train/clip_fraction"), 0.0, "{level}");
        // The second update on the same data meets changed weights.
        let metrics = learner.update(&data, None, &request(1)).unwrap();
        assert_ne!(metric(&metrics, "train/ratio"), 1.0, "{level}");
    }
}

#[test]
fn the_reported_parts_add_up_to_the_loss() {
    let mut subject = Subject::new(9);
    let mut data = rollout(&mut subject, 5, 4, 0);
    let reference = data.get(names::LOG_PROB).unwrap().try_clone().unwrap();
    data.insert(REFERENCE_LOG_PROB, reference);
    let mut learner = ppo(&mut subject, "(epochs: 3, entropy_coef: 0.1, value_coef: 0.5, kl_coef: 0.7, optimizer: (policy_lr: 0.05))");
    let metrics = learner.update(&data, None, &request(0)).unwrap();
    let part = |name: &str| metric(&metrics, name);
    assert!(part("train/kl_reference") > 0.0 && part("train/policy_loss") != part("train/ppo_loss"));
    let sum = part("train/policy_loss") + 0.5 * part("train/critic_loss") - 0.1 * part("train/entropy") + 0.7 * part("train/kl_reference");
    assert!((sum - part("train/ppo_loss")).abs() < 1e-6, "{sum} {metrics:?}");
}

#[test]
fn equal_seeds_give_equal_weights_and_other_seeds_others() {
    let run = |seed: u64| {
        let mut subject = Subject::new(2);
        let data = rollout(&mut subject, 5, 4, 0);
        let mut learner = ppo(&mut subject, "(epochs: 3, global_batch: 6, micro_batch: 2)");
        let metrics = learner.update(&data, None, &twinhost_plugin_api::UpdateRequest { seed, ..request(0) }).unwrap();
        (subject.digest(), format!("{metrics:?}"))
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn micro_batches_do_not_change_the_step() {
    for (columns, reward_type) in [(1, "chunk_level"), (CHUNK, "action_level")] {
        let run = |micro: usize| {
            let mut subject = Subject::new(3);
            let mut data = rollout(&mut subject, 4, 5, 0);
            // A mask that is uneven across micro-batches: half of the first rows do not count.
            let mask = (0..4 * 5 * CHUNK).map(|i| i > 18 || i % 3 == 0).collect();
            data.insert("loss_mask", Tensor::from_vec(mask, &[4, 5, CHUNK]));
            if columns > 1 {
                data.remove(names::VALUE);
            }
            let config = format!(
                "(epochs: 1, micro_batch: {micro}, entropy_coef: 0.01, reward_type: {reward_type}, optimizer: (policy_lr: 0.01, eps: 1e-3))"
            );
            let metrics = ppo(&mut subject, &config).update(&data, None, &request(0)).unwrap();
            (subject.weights("logits.weight"), metric(&metrics, "train/ppo_loss"), metric(&metrics, "train/entropy"))
        };
        let (whole, loss, entropy) = run(20);
        for micro in [7, 1] {
            let (cut, cut_loss, cut_entropy) = run(micro);
            assert!((loss - cut_loss).abs() < 1e-6 && (entropy - cut_entropy).abs() < 1e-6, "{loss} {cut_loss} {entropy} {cut_entropy}");
            for (a, b) in whole.iter().zip(&cut) {
                assert!((a - b).abs() < 2e-6, "{a} {b}");
            }
        }
    }
}

#[test]
fn ppo_finds_the_action_that_pays() {
    let mut subject = Subject::new(4);
    let mut learner = ppo(&mut subject, "(epochs: 4, global_batch: 64, micro_batch: 64, optimizer: (policy_lr: 0.05, value_lr: 0.05))");
    let mut mean_reward = |learner: &mut twinhost_plugin_torch::Learner<Ppo>, i: u64| {
        let data = rollout(&mut subject, 8, 16, i);
        learner.update(&data, None, &request(i)).unwrap();
        let rewards = data.slice::<f32>(names::REWARD).unwrap();
        rewards.iter().sum::<f32>() / rewards.len() as f32
    };
    let first = mean_reward(&mut learner, 0);
    let last = (1..30).map(|i| mean_reward(&mut learner, i)).last().unwrap();
    // Five bins: chance is 0.2. States are symmetric about 0 and the policy has no bias term, so it cannot reach 1.
    assert!(first < 0.3 && last > first + 0.1, "{first} -> {last}");
}

#[test]
fn the_critic_warms_up_alone() {
    let mut subject = Subject::new(5);
    let before = (subject.weights("logits.weight"), subject.weights("value.weight"));
    let mut learner = ppo(&mut subject, "(critic_warmup: 1)");
    let data = rollout(&mut subject, 4, 4, 0);
    let metrics = learner.update(&data, None, &request(0)).unwrap();
    assert!(metric(&metrics, "train/critic_loss") > 0.0);
    assert_eq!(subject.weights("logits.weight"), before.0);
    assert_ne!(subject.weights("value.weight"), before.1);
    learner.update(&data, None, &request(1)).unwrap();
    assert_ne!(subject.weights("logits.weight"), before.0);
}

#[test]
fn a_phase_without_parameters_is_refused() {
    let mut policy = LinearPolicy::new(5);
    policy.value = policy.value.set_requires_grad(false);
    let mut subject = Subject::of(policy);
    let data = rollout(&mut subject, 2, 4, 0);
    let e = ppo(&mut subject, "(critic_warmup: 1)").update(&data, None, &request(0)).unwrap_err().to_string();
    assert!(e.contains("`critic`") && e.contains("value"), "{e}");
}

#[test]
fn a_target_kl_ends_the_update() {
    let mut subject = Subject::new(6);
    let data = rollout(&mut subject, 5, 4, 0);
    let mut learner = ppo(&mut subject, "(epochs: 50, target_kl: Some(0.01), optimizer: (policy_lr: 0.05))");
    let metrics = learner.update(&data, None, &request(0)).unwrap();
    let steps = metric(&metrics, "train/optimizer_steps");
    assert!((1.0..50.0).contains(&steps) && metric(&metrics, "train/early_stop") == 1.0, "{metrics:?}");
}

#[test]
fn every_update_makes_a_new_weights_version() {
    let mut subject = Subject::new(7);
    let data = rollout(&mut subject, 2, 4, 0);
    let mut learner = ppo(&mut subject, "()");
    let side = twinhost_plugin_torch::Differentiable::new;
    learner.update(&data, None, &request(0)).unwrap();
    learner.update(&data, None, &request(1)).unwrap();
    assert_eq!(side(subject.side()).weights_changed().unwrap(), 3);
}

extern "C" fn quiet(_: LogLevel, _: RStr<'_>, _: RStr<'_>) {}
extern "C" fn yes() -> bool {
    true
}
extern "C" fn clock() -> u64 {
    0
}

#[test]
fn cancellation_is_obeyed_before_the_first_step() {
    let mut subject = Subject::new(8);
    let data = rollout(&mut subject, 2, 4, 0);
    let before = subject.digest();
    let services = HostServices::new(quiet, yes, clock, 1, 0);
    let mut learner = Ppo::create(ComponentConfig::new(""), services, subject.side()).unwrap();
    assert_eq!(learner.update(&data, None, &request(0)).unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(subject.digest(), before);
}
