//! From logits of the 256 action tokens to tokens, log-probabilities and entropies.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};
use twinhost_plugin_api::ActMode;

use super::parameters::mix;

/// Chooses one of the last axis' entries. Draws come from the request's seed alone, never from torch's global generator, and a row's
/// draws do not depend on how many rows follow it.
pub struct Chooser {
    mode: ActMode,
    temperature: f64,
    /// Uniform draws `[N, slots]`, row-major.
    uniforms: Vec<f64>,
    slots: usize,
}

impl Chooser {
    pub fn new(mode: ActMode, temperature: f32, seed: u64, rows: usize, slots: usize) -> Self {
        let uniforms = match mode {
            ActMode::Greedy => Vec::new(),
            ActMode::Sample => {
                let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, "openvla.act"));
                (0..rows * slots).map(|_| rng.random::<f64>()).collect()
            }
        };
        Self { mode, temperature: f64::from(temperature), uniforms, slots }
    }

    /// `logits` `[N, K, bins]` of the slots from `first` on, to indices i64 `[N, K]`.
    pub fn choose(&self, logits: &Tensor, first: usize) -> Tensor {
        if self.mode == ActMode::Greedy {
            return logits.argmax(-1, false);
        }
        let (rows, count, bins) = logits.size3().expect("logits are [N, K, bins]");
        let probabilities = (logits / self.temperature).softmax(-1, Kind::Float).to_device(tch::Device::Cpu).contiguous();
        let mut values = vec![0f32; probabilities.numel()];
        let length = values.len();
        probabilities.copy_data(&mut values, length);
        let chosen: Vec<i64> = values
            .chunks_exact(bins as usize)
            .enumerate()
            .map(|(at, distribution)| {
                let (row, slot) = (at / count as usize, at % count as usize);
                inverse_cdf(distribution, self.uniforms[row * self.slots + first + slot])
            })
            .collect();
        Tensor::from_slice(&chosen).view([rows, count]).to_device(logits.device())
    }
}

/// The first index at which the cumulative distribution exceeds `uniform` in [0, 1).
fn inverse_cdf(distribution: &[f32], uniform: f64) -> i64 {
    let total: f64 = distribution.iter().map(|&p| f64::from(p)).sum();
    let mut cumulative = 0.0;
    let reached = distribution.iter().position(|&p| {
        cumulative += f64::from(p);
        cumulative > uniform * total
    });
    reached.unwrap_or(distribution.len() - 1) as i64
}

/// Log-probability of the chosen `indices` i64 `[N, K]` and entropy (nats) under `softmax(logits / temperature)`, both f32 `[N, K]`.
pub fn score(logits: &Tensor, indices: &Tensor, temperature: f32) -> (Tensor, Tensor) {
    let log_probabilities = (logits / f64::from(temperature)).log_softmax(-1, Kind::Float);
    let chosen = log_probabilities.gather(-1, &indices.unsqueeze(-1), false).squeeze_dim(-1);
    let entropy = -(log_probabilities.exp() * &log_probabilities).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
    (chosen, entropy)
}
