//! Losses and gradients.

use tch::Tensor as Torch;
use twinhost_plugin_api::{ActMode, ActRequest, Tensor, names};
use twinhost_plugin_torch::TorchPolicy;
use twinhost_policies::Openvla;

use super::episodes::{demonstrations, joined, observations, policy};

/// One step of Adam without weight decay.
struct Adam {
    moments: Vec<(Torch, Torch, Torch)>,
    step: i32,
}

impl Adam {
    fn new(policy: &Openvla) -> Self {
        let trained = policy.parameters().into_iter().map(|p| p.tensor).filter(Torch::requires_grad);
        Self { moments: trained.map(|p| (p.zeros_like(), p.zeros_like(), p)).collect(), step: 0 }
    }

    fn step(&mut self, rate: f64) {
        let _no_grad = tch::no_grad_guard();
        self.step += 1;
        for (first, second, parameter) in &mut self.moments {
            let gradient = parameter.grad();
            if gradient.defined() {
                *first = &*first * 0.9 + &gradient * 0.1;
                *second = &*second * 0.99 + gradient.square() * 0.01;
                let unbiased = &*first / (1.0 - 0.9f64.powi(self.step));
                let deviation = (&*second / (1.0 - 0.99f64.powi(self.step))).sqrt() + 1e-8;
                let _ = parameter.f_sub_(&(unbiased / deviation * rate)).unwrap();
                parameter.zero_grad();
            }
        }
    }
}

#[test]
fn sixteen_demonstrations_are_learnt_by_heart() {
    for config in ["", "decoding: Autoregressive,"] {
        let mut policy = policy(config, 5);
        let batch = demonstrations(16);
        let mut adam = Adam::new(&policy);
        let first = policy.sft_loss(&batch).unwrap().double_value(&[]);
        // Uniform guessing costs ln 256 = 5.5 nats (more where the whole vocabulary competes).
        assert!((5.0..7.5).contains(&first), "{config} {first}");
        let mut loss = first;
        for _ in 0..300 {
            let now = policy.sft_loss(&batch).unwrap();
            now.backward();
            adam.step(5e-3);
            loss = now.double_value(&[]);
            if loss < 0.3 {
                break;
            }
        }
        assert!(loss < 0.3, "{config} loss is still {loss}, began at {first}");
        // What it learnt, it does: greedy actions are the demonstrated ones up to half a bin (and clipping at the quantiles).
        let acted = policy.act(&batch, &ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false }).unwrap();
        let pairs = acted.slice::<f32>(names::ACTION).unwrap().iter().zip(batch.slice::<f32>(names::ACTION).unwrap());
        let close = pairs.filter(|(a, b)| (*a - *b).abs() < 0.02).count();
        assert!(close >= 115, "{config} only {close} of 128 actions are the demonstrated ones");
    }
}

#[test]
fn every_used_parameter_gets_a_gradient_and_the_unused_are_frozen() {
    for config in ["", "decoding: Autoregressive,"] {
        let mut policy = policy(config, 5);
        let seen = observations(4);
        let acted = policy.act(&seen, &ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 1, training: true }).unwrap();
        let evaluated = policy.evaluate(&joined(seen, &acted)).unwrap();
        let loss = evaluated.log_prob.mean(tch::Kind::Float) + evaluated.value.unwrap().square().mean(tch::Kind::Float);
        loss.backward();
        for parameter in policy.parameters() {
            let name = &parameter.name;
            let unused = name.contains(".blocks.1.") || name.contains("featurizer.norm") || name.contains("attn_pool");
            assert_eq!(parameter.tensor.requires_grad(), !unused, "{name}");
            if !unused {
                let gradient = parameter.tensor.grad();
                assert!(gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0, "{name} has no gradient");
            }
            assert_eq!(parameter.group == "value", name.starts_with("value_head."), "{name}");
        }
    }
}

#[test]
fn a_detached_value_moves_the_value_head_alone() {
    let mut policy = policy("detach_value: true,", 5);
    let seen = observations(2);
    let acted = policy.act(&seen, &ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 1, training: true }).unwrap();
    policy.evaluate(&joined(seen, &acted)).unwrap().value.unwrap().sum(tch::Kind::Float).backward();
    for parameter in policy.parameters() {
        assert_eq!(parameter.tensor.grad().defined(), parameter.group == "value", "{}", parameter.name);
    }
}

#[test]
fn padded_steps_do_not_count() {
    for config in ["", "decoding: Autoregressive,"] {
        let mut policy = policy(config, 5);
        let mut batch = demonstrations(2);
        let pad = Tensor::from_vec(vec![false, true, false, true], &[2, 2]);
        batch.insert("action.is_pad", pad);
        let before = policy.sft_loss(&batch).unwrap().double_value(&[]);
        // The second step of each chunk is padding: whatever stands there changes nothing in a parallel loss. (Autoregressively the
        // padded tokens are still context of the end token, so only the parallel loss is compared.)
        let actions = batch.get_mut(names::ACTION).unwrap().as_mut_slice::<f32>().unwrap();
        for row in 0..2 {
            actions[row * 8 + 4..row * 8 + 8].fill(0.9);
        }
        let after = policy.sft_loss(&batch).unwrap().double_value(&[]);
        assert_eq!(before == after, config.is_empty());
        batch.insert("action.is_pad", Tensor::from_vec(vec![true; 4], &[2, 2]));
        assert!(policy.sft_loss(&batch).unwrap_err().to_string().contains("action.is_pad"));
    }
}

#[test]
fn the_parallel_loss_is_minus_the_mean_log_probability() {
    let mut policy = policy("", 5);
    let batch = demonstrations(6);
    let loss = policy.sft_loss(&batch).unwrap().double_value(&[]);
    // Score the demonstrated tokens through the other door.
    let bins = twinhost_policies::openvla::actions::ActionBins::new(320);
    let normaliser = twinhost_policies::openvla::actions::Normaliser::new(&super::episodes::feature(4), 4, "action").unwrap();
    let actions = batch.slice::<f32>(names::ACTION).unwrap();
    let ids = actions.iter().enumerate().map(|(i, &x)| bins.encode(normaliser.normalise(i % 4, f64::from(x)))).collect();
    let scored = demonstrations(6).with(names::ACTION_TOKENS, Tensor::from_vec(ids, &[6, 2, 4]));
    let log_prob = policy.evaluate(&scored).unwrap().log_prob.mean(tch::Kind::Double).double_value(&[]);
    assert!((loss + log_prob).abs() < 1e-5, "{loss} and {log_prob}");
}

#[test]
fn wrong_training_data_is_named() {
    let mut policy = policy("", 5);
    let mut batch = demonstrations(2);
    batch.get_mut(names::ACTION).unwrap().as_mut_slice::<f32>().unwrap()[9] = f32::NAN;
    assert!(policy.sft_loss(&batch).unwrap_err().to_string().contains("row 1"));
    let short = demonstrations(2).with(names::ACTION, Tensor::zeros::<f32>(&[2, 1, 4]));
    let e = policy.sft_loss(&short).unwrap_err().to_string();
    assert!(e.contains("[2, 1, 4]") && e.contains("[N, 2, 4]"), "{e}");
    let e = policy.evaluate(&observations(2).with(names::ACTION_TOKENS, Tensor::zeros::<i32>(&[2, 2, 4]))).err().unwrap().to_string();
    assert!(e.contains(names::ACTION_TOKENS) && e.contains("I32"), "{e}");
    let foreign = observations(2).with(names::ACTION_TOKENS, Tensor::from_vec(vec![5i64; 16], &[2, 2, 4]));
    let e = policy.evaluate(&foreign).err().unwrap().to_string();
    assert!(e.contains("holds 5") && e.contains("64 to 319"), "{e}");
}
