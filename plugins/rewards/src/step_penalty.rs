//! `step_penalty`: a constant cost for every control step that was executed.

use serde::Deserialize;
use twinhost_plugin_api::{Batch, ComponentConfig, Error, HostServices, Result, Reward, RewardSpec, Tensor, names};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Reward of one step is minus this, >= 0.
    cost: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { cost: 0.01 }
    }
}

pub struct StepPenalty {
    cost: f32,
}

impl StepPenalty {
    /// # Errors
    /// If `cost` is negative or not finite.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if !(config.cost >= 0.0 && config.cost.is_finite()) {
            return Err(Error::config("cost", format!("must be a finite number >= 0, got {}", config.cost)));
        }
        Ok(Self { cost: config.cost as f32 })
    }
}

impl Reward for StepPenalty {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::TERMINATED.into(), names::TRUNCATED.into()], decides_success: false }
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let terminated = transition.get(names::TERMINATED)?;
        let chunk = terminated.dim(1).max(1);
        let ended = terminated.as_slice::<bool>()?.iter().zip(transition.slice::<bool>(names::TRUNCATED)?).map(|(a, b)| *a || *b);
        let mut over = false;
        let rewards = ended
            .enumerate()
            .map(|(i, done)| {
                // Steps of a chunk after the episode's end are not executed and cost nothing.
                over = over && i % chunk != 0;
                let reward = if over { 0.0 } else { -self.cost };
                over |= done;
                reward
            })
            .collect();
        Ok(Batch::new().with(names::REWARD, Tensor::from_vec(rewards, &terminated.shape())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_after_the_end_of_an_episode_are_free() {
        let mut reward = StepPenalty::create(ComponentConfig::new("(cost: 0.5)"), HostServices::standalone(1, 0)).unwrap();
        let transition = Batch::new()
            .with(names::TERMINATED, Tensor::from_vec(vec![false, true, false, false, false, false], &[2, 3]))
            .with(names::TRUNCATED, Tensor::zeros::<bool>(&[2, 3]));
        let scored = reward.score(&transition).unwrap();
        assert_eq!(scored.slice::<f32>(names::REWARD).unwrap(), [-0.5, -0.5, 0.0, -0.5, -0.5, -0.5]);
    }

    #[test]
    fn a_negative_or_nan_cost_is_refused() {
        for text in ["(cost: -1)", "(cost: NaN)", "(cost: inf)"] {
            let e = StepPenalty::create(ComponentConfig::new(text), HostServices::standalone(1, 0)).err().unwrap();
            assert!(e.to_string().contains("`cost`"), "{e}");
        }
    }
}
