//! The anchor `beta * SFT(real)`: what it adds, that weight 0 adds nothing, and that it can never be silently zero.

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RResult, RStr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use twinhost_algorithms::Sft;
use twinhost_algorithms::ppo::Ppo;
use twinhost_plugin_api::{
    Algorithm as _, Anchor, Batch, BatchSource, BatchSource_TO, ComponentConfig, Error, ErrorKind, HostServices, LogLevel, Tensor, names,
};
use twinhost_plugin_torch::TorchPolicy as _;

use crate::linear_policy::{Imitation, LinearPolicy};
use crate::subject::{Subject, demonstrations, metric, ppo, request, rollout, saved_moment, services};

/// Always the same demonstration rows, counting the draws.
struct Fixed {
    draws: Arc<AtomicUsize>,
}

impl BatchSource for Fixed {
    fn draw(&mut self, rows: usize) -> RResult<Batch, Error> {
        self.draws.fetch_add(1, Ordering::Relaxed);
        RResult::ROk(demonstrations(rows, 5))
    }
}

fn anchor(weight: f64) -> (Anchor, Arc<AtomicUsize>) {
    let draws = Arc::new(AtomicUsize::new(0));
    let source = BatchSource_TO::from_value(Fixed { draws: draws.clone() }, TD_Opaque);
    (Anchor { weight, batch_size: 6, source }, draws)
}

/// Gradient of the imitation loss of a fresh policy on the anchor's rows.
fn sft_gradient(seed: u64) -> Vec<f32> {
    let mut policy = LinearPolicy::new(seed);
    policy.sft_loss(&demonstrations(6, 5)).unwrap().backward();
    Vec::<f32>::try_from(policy.parameters()[0].tensor.grad().reshape([-1i64])).unwrap()
}

#[track_caller]
fn assert_near(got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(0f32, |m, v| m.max(v.abs()));
    let error = got.iter().zip(want).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(scale > 0.0 && error < tolerance * scale, "error {error:e} at scale {scale:e}");
}

#[test]
fn weight_zero_is_plain_ppo_bit_for_bit() {
    let run = |with_anchor: bool| {
        let mut subject = Subject::new(1);
        let mut learner = ppo(&mut subject, "(epochs: 2, global_batch: 8, micro_batch: 3)");
        let (mut zero, draws) = anchor(0.0);
        let mut all = Vec::new();
        for i in 0..3 {
            let data = rollout(&mut subject, 4, 5, i);
            all.push(learner.update(&data, with_anchor.then_some(&mut zero), &request(i)).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        learner.save(folder.path()).unwrap();
        assert_eq!(draws.load(Ordering::Relaxed), 0);
        (subject.digest(), format!("{all:?}"), std::fs::read(folder.path().join("optimizer.safetensors")).unwrap())
    };
    assert!(run(true) == run(false));
}

#[test]
fn with_zero_advantages_the_weights_move_by_beta_times_the_sft_gradient() {
    let mut subject = Subject::new(2);
    let mut data = rollout(&mut subject, 3, 4, 0);
    // Rewards and values of 0 make every advantage 0.
    data.insert(names::REWARD, Tensor::zeros::<f32>(&[3, 4, 2]));
    data.insert(names::VALUE, Tensor::zeros::<f32>(&[4, 4, 1]));
    let before = subject.weights("logits.weight");
    let value_before = subject.weights("value.weight");
    let config = "(epochs: 1, value_coef: 0.0, entropy_coef: 0.0, micro_batch: 4, optimizer: (policy_lr: 0.01, eps: 1.0, clip_norm: None))";
    let mut learner = ppo(&mut subject, config);
    let (mut anchor, draws) = anchor(0.2);
    let metrics = learner.update(&data, Some(&mut anchor), &request(0)).unwrap();

    let g = sft_gradient(2);
    let expected: Vec<f32> = g.iter().map(|g| 0.2 * g).collect();
    let folder = tempfile::tempdir().unwrap();
    learner.save(folder.path()).unwrap();
    // exp_avg = (1 - beta1) g after the first step.
    let seen: Vec<f32> = saved_moment(folder.path(), "logits.weight/exp_avg").iter().map(|m| m / 0.1).collect();
    assert_near(&seen, &expected, 1e-4);

    // First AdamW step with eps = 1: m/(1-b1) = g, sqrt(v/(1-b2)) = |g|, so the weights move by -lr g / (|g| + 1).
    let moved: Vec<f32> = subject.weights("logits.weight").iter().zip(&before).map(|(a, b)| a - b).collect();
    let step: Vec<f32> = expected.iter().map(|g| -0.01 * g / (g.abs() + 1.0)).collect();
    assert_near(&moved, &step, 1e-3);
    assert_eq!(subject.weights("value.weight"), value_before);

    let norm = expected.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    assert!((metric(&metrics, "train/anchor_grad_norm") / norm - 1.0).abs() < 1e-4);
    assert!((metric(&metrics, "train/grad_norm") / norm - 1.0).abs() < 1e-4);
    assert_eq!(metric(&metrics, "train/ppo_loss"), 0.0);
    // 12 rows in micro-batches of 4: one demonstration mini-batch each.
    assert_eq!(draws.load(Ordering::Relaxed), 3);
}

#[test]
fn the_anchor_adds_its_gradient_to_that_of_ppo() {
    let first_moment = |beta: Option<f64>| {
        let mut subject = Subject::new(3);
        let data = rollout(&mut subject, 4, 4, 0);
        let mut learner = ppo(&mut subject, "(epochs: 1, micro_batch: 5, optimizer: (clip_norm: None))");
        let mut anchor = beta.map(|beta| anchor(beta).0);
        let metrics = learner.update(&data, anchor.as_mut(), &request(0)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        learner.save(folder.path()).unwrap();
        (saved_moment(folder.path(), "logits.weight/exp_avg"), metrics)
    };
    let (alone, plain) = first_moment(None);
    let (anchored, metrics) = first_moment(Some(0.5));
    let difference: Vec<f32> = anchored.iter().zip(&alone).map(|(a, b)| (a - b) / 0.1).collect();
    let expected: Vec<f32> = sft_gradient(3).iter().map(|g| 0.5 * g).collect();
    assert_near(&difference, &expected, 1e-4);
    // The loss under the algorithm's name is that of the algorithm alone.
    assert_eq!(metric(&metrics, "train/ppo_loss"), metric(&plain, "train/ppo_loss"));
    let ratio = metric(&metrics, "train/sft_loss") / metric(&metrics, "train/ppo_loss").abs();
    assert_eq!(metric(&metrics, "train/loss_ratio"), ratio);
}

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
extern "C" fn remember(level: LogLevel, _component: RStr<'_>, message: RStr<'_>) {
    if level == LogLevel::Warn {
        WARNINGS.lock().unwrap().push(message.to_string());
    }
}
extern "C" fn never() -> bool {
    false
}
extern "C" fn clock() -> u64 {
    0
}

#[test]
fn losses_of_very_different_size_are_reported() {
    let mut subject = Subject::new(8);
    let mut data = rollout(&mut subject, 3, 4, 0);
    let services = HostServices::new(remember, never, clock, 1, 0);
    let mut update = |data: &Batch, config: &str| {
        let mut learner = Ppo::create(ComponentConfig::new(config), services, subject.side()).unwrap();
        learner.update(data, Some(&mut anchor(0.2).0), &request(0)).unwrap();
        WARNINGS.lock().unwrap().drain(..).collect::<Vec<_>>()
    };
    assert_eq!(update(&data, "()"), Vec::<String>::new());
    // Without rewards, values and a value loss the PPO loss is 0.
    data.insert(names::REWARD, Tensor::zeros::<f32>(&[3, 4, 2]));
    data.insert(names::VALUE, Tensor::zeros::<f32>(&[4, 4, 1]));
    let warnings = update(&data, "(value_coef: 0.0)");
    assert!(warnings.len() == 1 && warnings[0].contains("train/ppo_loss") && warnings[0].contains("hardly counts"), "{warnings:?}");
}

#[test]
fn a_phase_that_leaves_the_policy_alone_has_no_anchor() {
    let mut subject = Subject::new(9);
    let data = rollout(&mut subject, 3, 4, 0);
    let mut learner = ppo(&mut subject, "(critic_warmup: 1)");
    let (mut anchor, draws) = anchor(0.2);
    let metrics = learner.update(&data, Some(&mut anchor), &request(0)).unwrap();
    assert_eq!(draws.load(Ordering::Relaxed), 0);
    assert!(metrics.iter().all(|m| m.0 != "train/sft_loss"), "{metrics:?}");
    learner.update(&data, Some(&mut anchor), &request(1)).unwrap();
    assert!(draws.load(Ordering::Relaxed) > 0);
}

/// The error of an update whose anchor has this fault, after checking that the weights did not move.
fn refusal(imitation: Imitation) -> Error {
    let mut subject = Subject::of(LinearPolicy { imitation, ..LinearPolicy::new(4) });
    let data = rollout(&mut subject, 2, 4, 0);
    let before = subject.digest();
    let error = ppo(&mut subject, "()").update(&data, Some(&mut anchor(0.2).0), &request(0)).unwrap_err();
    assert_eq!(subject.digest(), before);
    assert_eq!(error.kind, ErrorKind::Numerical);
    error
}

#[test]
fn an_anchor_without_gradient_stops_the_run() {
    let e = refusal(Imitation::Detached).to_string();
    assert!(e.contains("anchor has no gradient") && e.contains("detached") && e.contains("0.2"), "{e}");
    let e = refusal(Imitation::Flat).to_string();
    assert!(e.contains("anchor has no gradient") && e.contains("exactly 0"), "{e}");
    let e = refusal(Imitation::Diverged).to_string();
    assert!(e.contains("anchor diverged") && e.contains("NaN"), "{e}");
}

#[test]
fn a_bad_weight_or_batch_size_is_refused() {
    let mut subject = Subject::new(5);
    let data = rollout(&mut subject, 2, 4, 0);
    let mut learner = ppo(&mut subject, "()");
    for weight in [-0.1, f64::NAN, f64::INFINITY] {
        let e = learner.update(&data, Some(&mut anchor(weight).0), &request(0)).unwrap_err().to_string();
        assert!(e.contains("anchor.weight") && e.contains(&weight.to_string()), "{e}");
    }
    let mut empty = anchor(0.1).0;
    empty.batch_size = 0;
    let e = learner.update(&data, Some(&mut empty), &request(0)).unwrap_err().to_string();
    assert!(e.contains("anchor.batch_size"), "{e}");
}

#[test]
fn supervised_training_takes_no_anchor() {
    let mut subject = Subject::new(6);
    let mut sft = Sft::create(ComponentConfig::new(""), services(), subject.side()).unwrap();
    let e = sft.update(&demonstrations(8, 1), Some(&mut anchor(0.2).0), &request(0)).unwrap_err().to_string();
    assert!(e.contains("data mix"), "{e}");
}

#[test]
fn the_sft_gradient_is_that_of_the_demonstrations() {
    // The expectation used above, against finite differences of the loss in its first and last weight.
    let g = sft_gradient(2);
    for at in [0, g.len() - 1] {
        let loss = |shift: f64| {
            let mut policy = LinearPolicy::new(2);
            {
                let _no_grad = tch::no_grad_guard();
                let mut weights = policy.parameters()[0].tensor.view([-1i64]);
                let bump = weights.zeros_like();
                let _ = bump.narrow(0, at as i64, 1).fill_(shift);
                weights += bump;
            }
            policy.sft_loss(&demonstrations(6, 5)).unwrap().double_value(&[])
        };
        let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2;
        assert!(
            (slope - f64::from(g[at])).abs() < 1e-3 * g.iter().fold(0f64, |m, v| m.max(f64::from(v.abs()))).max(1e-2),
            "{slope} against {}",
            g[at]
        );
    }
}
