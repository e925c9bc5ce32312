//! Configuration errors name the field.

use twinhost_algorithms::Sft;
use twinhost_algorithms::ppo::Ppo;
use twinhost_plugin_api::{ComponentConfig, Error, ErrorKind};

use crate::subject::{Subject, services};

fn ppo_error(config: &str) -> Error {
    match Ppo::create(ComponentConfig::new(config), services(), Subject::new(0).side()) {
        Ok(_) => panic!("`{config}` was accepted"),
        Err(error) => error,
    }
}

#[track_caller]
fn check(config: &str, field: &str, words: &str) {
    let error = ppo_error(config);
    assert_eq!(error.kind, ErrorKind::InvalidConfig, "{config}: {error}");
    assert_eq!(error.field.as_ref().map(|f| f.as_str()).into_option(), Some(field), "{config}: {error}");
    assert!(error.to_string().contains(words), "{config}: {error}");
}

#[test]
fn numbers_out_of_range_are_refused_with_their_field() {
    check("(gamma: 1.5)", "gamma", "[0, 1], got 1.5");
    check("(gamma: NaN)", "gamma", "NaN");
    check("(gae_lambda: -0.1)", "gae_lambda", "-0.1");
    check("(clip_low: NaN)", "clip_low", "NaN");
    check("(clip_high: 0.0)", "clip_high", "positive");
    check("(dual_clip: Some(0.9))", "dual_clip", "greater than 1");
    check("(dual_clip: NaN)", "dual_clip", "NaN");
    check("(value_clip: inf)", "value_clip", "finite");
    check("(value_coef: -1.0)", "value_coef", "at least 0");
    check("(entropy_coef: NaN)", "entropy_coef", "NaN");
    check("(target_kl: NaN)", "target_kl", "NaN");
    check("(epochs: 0)", "epochs", "at least 1");
    check("(micro_batch: 0)", "micro_batch", "at least 1");
    check("(max_episode_steps: 0)", "max_episode_steps", "at least 1");
    check("(optimizer: (policy_lr: NaN))", "optimizer.policy_lr", "NaN");
    check("(optimizer: (beta2: 1.0))", "optimizer.beta2", "[0, 1)");
    check("(optimizer: (eps: 0.0))", "optimizer.eps", "(0, 1]");
    check("(optimizer: (clip_norm: Some(-1.0)))", "optimizer.clip_norm", "-1");
}

#[test]
fn levels_that_do_not_fit_each_other_are_refused() {
    check("(reward_type: action_level, logprob_type: chunk_level)", "logprob_type", "reward_type: chunk_level");
    check("(reward_type: action_level, entropy_type: chunk_level)", "entropy_type", "reward_type: chunk_level");
}

#[test]
fn a_typo_lists_the_fields_there_are() {
    let error = ppo_error("(gama: 0.9)").to_string();
    assert!(error.contains("gama") && error.contains("gamma"), "{error}");
    check("(optimizer: (policy_lr: \"fast\"))", "optimizer.policy_lr", "float");
}

#[test]
fn sft_checks_its_fields_too() {
    for (config, field) in [("(micro_batch: 0)", "micro_batch"), ("(optimizer: (weight_decay: NaN))", "optimizer.weight_decay")] {
        let Err(error) = Sft::create(ComponentConfig::new(config), services(), Subject::new(0).side()) else {
            panic!("`{config}` was accepted")
        };
        assert!(error.to_string().contains(field), "{error}");
    }
}
