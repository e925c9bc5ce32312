//! A policy behind the plugin boundary, with data to train it on.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use tch::Tensor as Torch;
use twinhost_algorithms::ppo::Ppo;
use twinhost_plugin_api::policy::{DifferentiableBox, PolicyBox, boxed};
use twinhost_plugin_api::{ActMode, ActRequest, Batch, ComponentConfig, HostServices, Metrics, Tensor, UpdateRequest, names};
use twinhost_plugin_torch::{Differentiable, Learner, TorchPolicyAdapter};

use crate::linear_policy::{ACTION, BINS, CHUNK, LinearPolicy, STATE};

/// A policy behind the plugin boundary.
pub struct Subject {
    pub policy: PolicyBox,
}

impl Subject {
    pub fn new(seed: u64) -> Self {
        Self::of(LinearPolicy::new(seed))
    }
    pub fn of(policy: LinearPolicy) -> Self {
        Self { policy: boxed(TorchPolicyAdapter::new(policy, services())) }
    }
    pub fn side(&mut self) -> DifferentiableBox {
        self.policy.differentiable().into_result().unwrap().into_option().expect("the policy is differentiable")
    }
    pub fn digest(&mut self) -> String {
        self.policy.digest().into_result().unwrap().into()
    }
    /// Weights by name, copied.
    pub fn weights(&mut self, name: &str) -> Vec<f32> {
        let parameters = Differentiable::new(self.side()).parameters().unwrap();
        let found = parameters.iter().find(|p| p.name == name).unwrap();
        Vec::<f32>::try_from(found.tensor.detach().reshape([-1i64])).unwrap()
    }
}

pub fn services() -> HostServices {
    HostServices::standalone(1, 0)
}

/// Values in [-1, 1) that depend on the seed alone.
pub fn uniform(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// N demonstration rows.
pub fn demonstrations(rows: usize, seed: u64) -> Batch {
    Batch::new()
        .with(names::STATE, Tensor::from_vec(uniform(rows * STATE, seed), &[rows, STATE]))
        .with(names::ACTION, Tensor::from_vec(uniform(rows * CHUNK * ACTION, seed + 1), &[rows, CHUNK, ACTION]))
}

/// One optimiser's memory of the last gradient: with beta1 = 0.9 the first step leaves `0.1 g` in `exp_avg`.
pub fn saved_moment(folder: &Path, name: &str) -> Vec<f32> {
    let file = Torch::read_safetensors(folder.join("optimizer.safetensors")).unwrap();
    let found = file.into_iter().find(|t| t.0 == name).unwrap_or_else(|| panic!("no `{name}` in the optimiser state"));
    Vec::<f32>::try_from(found.1.reshape([-1i64])).unwrap()
}

/// Time-major rollout of the current weights, as the host lays it out; the first action dimension is paid for landing in the middle bin.
pub fn rollout(subject: &mut Subject, time: usize, envs: usize, seed: u64) -> Batch {
    let mut calls = Vec::new();
    let mut values = Vec::new();
    for t in 0..=time {
        let state = Tensor::from_vec(uniform(envs * STATE, seed * 1000 + t as u64), &[envs, STATE]);
        let observation = Batch::new().with(names::STATE, state);
        let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: seed * 1000 + t as u64, training: true };
        let mut decision = subject.policy.act(&observation, &request).into_result().unwrap();
        values.push(decision.remove(names::VALUE).unwrap());
        decision.remove(names::WEIGHTS_VERSION);
        decision.insert(names::STATE, observation.get(names::STATE).unwrap().try_clone().unwrap());
        calls.push(decision);
    }
    calls.pop();
    let mut joined = Batch::concat_rows(&calls.iter().collect::<Vec<_>>()).unwrap();
    let tokens = joined.slice::<i64>(names::ACTION_TOKENS).unwrap();
    let reward: Vec<f32> = tokens.chunks(ACTION).map(|action| f32::from(u8::from(action[0] == BINS as i64 / 2))).collect();
    let mut data = Batch::new();
    for name in [names::STATE, names::ACTION, names::ACTION_TOKENS, names::LOG_PROB] {
        let tensor = joined.remove(name).unwrap();
        let shape = [&[time, envs], &tensor.shape()[1..]].concat();
        data.insert(name, tensor.reshape(&shape).unwrap());
    }
    data.insert(names::VALUE, Tensor::concat_rows(&values.iter().collect::<Vec<_>>()).unwrap().reshape(&[time + 1, envs, 1]).unwrap());
    data.insert(names::REWARD, Tensor::from_vec(reward, &[time, envs, CHUNK]));
    // An episode is one call long.
    let terminated = (0..time * envs * CHUNK).map(|i| i % CHUNK == CHUNK - 1).collect();
    data.insert(names::TERMINATED, Tensor::from_vec(terminated, &[time, envs, CHUNK]));
    data.insert(names::TRUNCATED, Tensor::zeros::<bool>(&[time, envs, CHUNK]));
    data.insert("final.value", Tensor::zeros::<f32>(&[time, envs, 1]));
    data
}

pub fn request(iteration: u64) -> UpdateRequest {
    UpdateRequest { seed: 1000 + iteration, iteration, total_iterations: 10 }
}

pub fn ppo(subject: &mut Subject, config: &str) -> Learner<Ppo> {
    Ppo::create(ComponentConfig::new(config), services(), subject.side()).unwrap()
}

pub fn metric(metrics: &Metrics, name: &str) -> f64 {
    metrics.iter().find(|m| m.0 == name).unwrap_or_else(|| panic!("no metric `{name}` in {metrics:?}")).1
}
