//! The smallest policy with everything an algorithm needs: token logits, value and imitation loss, all linear in the state.
//!
//! logits[n, c, a, k] = sum_s x[n, s] W[s, c, a, k]; value[n] = sum_s x[n, s] v[s]. Products and sums run per row, so a row's result does
//! not depend on the rows beside it.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use tch::{Kind, Tensor as Torch};
use twinhost_plugin_api::{ActRequest, Batch, DatasetStatistics, PolicySpec, Result, Tensor, names};
use twinhost_plugin_torch::TorchResult;
use twinhost_plugin_torch::{Evaluation, Parameter, TorchPolicy, from_torch, to_torch};

pub const STATE: usize = 3;
pub const CHUNK: usize = 2;
pub const ACTION: usize = 2;
pub const BINS: usize = 5;

/// How the imitation loss relates to the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Imitation {
    Sound,
    /// Cut from its graph, as a broken implementation would.
    Detached,
    /// In the graph, with a gradient of exactly 0.
    Flat,
    /// NaN, as after divergence.
    Diverged,
}

pub struct LinearPolicy {
    pub weight: Torch,
    pub value: Torch,
    pub imitation: Imitation,
}

impl LinearPolicy {
    /// Weights in [-0.5, 0.5) that depend on the seed alone.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count: usize, shape: &[i64]| {
            let values: Vec<f32> = (0..count).map(|_| rng.random_range(-0.5..0.5)).collect();
            Torch::from_slice(&values).reshape(shape).set_requires_grad(true)
        };
        let weight = draw(STATE * CHUNK * ACTION * BINS, &[STATE as i64, CHUNK as i64, ACTION as i64, BINS as i64]);
        Self { weight, value: draw(STATE, &[STATE as i64]), imitation: Imitation::Sound }
    }

    fn log_probs(&self, state: &Torch) -> Torch {
        let per_input = state.view([-1, STATE as i64, 1, 1, 1]) * self.weight.unsqueeze(0);
        per_input.sum_dim_intlist([1i64].as_slice(), false, Kind::Float).log_softmax(-1, Kind::Float)
    }

    fn values(&self, state: &Torch) -> Torch {
        (state * &self.value).sum_dim_intlist([1i64].as_slice(), true, Kind::Float)
    }
}

/// Bin centres of [-1, 1].
fn centre(bin: i64) -> f32 {
    -1.0 + (2.0 * bin as f32 + 1.0) / BINS as f32
}

impl TorchPolicy for LinearPolicy {
    fn spec(&self) -> PolicySpec {
        PolicySpec {
            action_dim: ACTION,
            chunk: CHUNK,
            observation: vec![names::STATE.into()],
            texts: vec![],
            differentiable: true,
            parameters: 0,
            temperature: None,
        }
    }

    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        let state = to_torch(observation.get(names::STATE)?)?;
        let log_probs = self.log_probs(&state);
        let table = Vec::<f32>::try_from(log_probs.reshape([-1i64])).or_error()?;
        let mut rng = ChaCha8Rng::seed_from_u64(request.seed);
        let mut tokens = Vec::new();
        for row in table.chunks(BINS) {
            let mut left: f32 = rng.random();
            tokens.push(
                row.iter()
                    .position(|lp| {
                        left -= lp.exp();
                        left < 0.0
                    })
                    .unwrap_or(BINS - 1) as i64,
            );
        }
        let shape = [observation.rows(), CHUNK, ACTION];
        let actions = tokens.iter().map(|&t| centre(t)).collect();
        let picked =
            log_probs.gather(-1, &Torch::from_slice(&tokens).reshape(log_probs.size()[..3].to_vec()).unsqueeze(-1), false).squeeze_dim(-1);
        Ok(Batch::new()
            .with(names::ACTION, Tensor::from_vec(actions, &shape))
            .with(names::ACTION_TOKENS, Tensor::from_vec(tokens, &shape))
            .with(names::LOG_PROB, from_torch(&picked)?)
            .with(names::VALUE, from_torch(&self.values(&state))?))
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation> {
        let state = to_torch(batch.get(names::STATE)?)?;
        let log_probs = self.log_probs(&state);
        let tokens = to_torch(batch.get(names::ACTION_TOKENS)?)?;
        Ok(Evaluation {
            log_prob: log_probs.gather(-1, &tokens.unsqueeze(-1), false).squeeze_dim(-1),
            entropy: -(log_probs.exp() * &log_probs).sum_dim_intlist([-1i64].as_slice(), false, Kind::Float),
            value: Some(self.values(&state)),
        })
    }

    /// Mean cross-entropy of the bin that holds the demonstrated action.
    fn sft_loss(&mut self, batch: &Batch) -> Result<Torch> {
        let log_probs = self.log_probs(&to_torch(batch.get(names::STATE)?)?);
        let action = to_torch(batch.get(names::ACTION)?)?;
        let tokens = ((action + 1.0) * (BINS as f64 / 2.0)).floor().clamp(0.0, BINS as f64 - 1.0).to_kind(Kind::Int64);
        let loss = -log_probs.gather(-1, &tokens.unsqueeze(-1), false).mean(Kind::Float);
        Ok(match self.imitation {
            Imitation::Sound => loss,
            Imitation::Detached => loss.detach(),
            Imitation::Flat => loss * 0.0,
            Imitation::Diverged => loss * f64::NAN,
        })
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter { name: "logits.weight".into(), group: "policy".into(), tensor: self.weight.shallow_clone() },
            Parameter { name: "value.weight".into(), group: "value".into(), tensor: self.value.shallow_clone() },
        ]
    }

    fn set_statistics(&mut self, _statistics: &DatasetStatistics) -> Result<()> {
        Ok(())
    }
    fn save(&mut self, folder: &Path) -> Result<()> {
        let named = [("logits.weight", &self.weight), ("value.weight", &self.value)];
        Torch::write_safetensors(&named, folder.join("weights.safetensors")).or_error()
    }
    fn load(&mut self, folder: &Path) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (name, values) in Torch::read_safetensors(folder.join("weights.safetensors")).or_error()? {
            let target = if name == "logits.weight" { &mut self.weight } else { &mut self.value };
            target.copy_(&values);
        }
        Ok(())
    }
}
