//! `action_smoothness`: minus the squared change between consecutive actions, which discourages jerky motion.

use serde::Deserialize;
use twinhost_plugin_api::{Batch, ComponentConfig, Error, HostServices, Result, Reward, RewardSpec, Tensor, names};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Reward of one step is minus this times the mean squared change per action dimension, >= 0.
    weight: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { weight: 0.1 }
    }
}

/// Remembers the last action of every row, so that chunks join smoothly too.
pub struct ActionSmoothness {
    weight: f32,
    last: Vec<Option<Vec<f32>>>,
}

impl ActionSmoothness {
    /// # Errors
    /// If `weight` is negative or not finite.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if !(config.weight >= 0.0 && config.weight.is_finite()) {
            return Err(Error::config("weight", format!("must be a finite number >= 0, got {}", config.weight)));
        }
        Ok(Self { weight: config.weight as f32, last: Vec::new() })
    }
}

impl Reward for ActionSmoothness {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::ACTION.into()], decides_success: false }
    }

    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        for &row in rows {
            if let Some(last) = self.last.get_mut(row) {
                *last = None;
            }
        }
        Ok(())
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let action = transition.get(names::ACTION)?;
        let [rows, chunk, dim] = action.shape()[..] else {
            return Err(Error::input(format!("`action` must be [B, C, A], got {:?}", action.shape())));
        };
        self.last.resize(rows, None);
        let mut rewards = Vec::with_capacity(rows * chunk);
        for (row, steps) in action.as_slice::<f32>()?.chunks_exact(chunk * dim).enumerate() {
            for step in steps.chunks_exact(dim) {
                let change = self.last[row].as_ref().map_or(0.0, |last| last.iter().zip(step).map(|(a, b)| (a - b).powi(2)).sum::<f32>());
                rewards.push(-self.weight * change / dim as f32);
                self.last[row] = Some(step.to_vec());
            }
        }
        Ok(Batch::new().with(names::REWARD, Tensor::from_vec(rewards, &[rows, chunk])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_measured_across_chunks_and_forgotten_at_reset() {
        let mut reward = ActionSmoothness::create(ComponentConfig::new("(weight: 2)"), HostServices::standalone(1, 0)).unwrap();
        let chunk = |a: f32, b: f32| Batch::new().with(names::ACTION, Tensor::from_vec(vec![a, 0.0, b, 0.0], &[1, 2, 2]));
        // mean squared change over 2 dimensions, times weight 2: exactly the squared change of the first dimension.
        assert_eq!(reward.score(&chunk(1.0, 3.0)).unwrap().slice::<f32>(names::REWARD).unwrap(), [0.0, -4.0]);
        assert_eq!(reward.score(&chunk(2.0, 2.0)).unwrap().slice::<f32>(names::REWARD).unwrap(), [-1.0, 0.0]);
        reward.reset(&[0]).unwrap();
        assert_eq!(reward.score(&chunk(9.0, 9.0)).unwrap().slice::<f32>(names::REWARD).unwrap(), [0.0, 0.0]);
    }
}
