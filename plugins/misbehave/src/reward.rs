//! `faulty_reward`: 1 for every step.

use twinhost_plugin_api::{Batch, ComponentConfig, HostServices, Result, Reward, RewardSpec, Tensor, names};

use crate::fault::{Config, Fault, Trigger, When};

pub struct FaultyReward(Trigger);

impl FaultyReward {
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        Ok(Self(Trigger::new(config.parse::<Config>()?, services)?))
    }
}

impl Reward for FaultyReward {
    fn spec(&self) -> RewardSpec {
        self.0.spec();
        RewardSpec { needs: vec![names::ACTION.into()], decides_success: false }
    }

    fn reset(&mut self, _: &[usize]) -> Result<()> {
        self.0.pull(When::Reset)
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        self.0.pull(When::Main)?;
        let action = transition.get(names::ACTION)?;
        let rows = action.dim(0) + usize::from(self.0.is(Fault::WrongShape));
        let value = if self.0.is(Fault::Nan) { f32::NAN } else { 1.0 };
        let score = Tensor::from_vec(vec![value; rows * action.dim(1)], &[rows, action.dim(1)]);
        let name = if self.0.is(Fault::Missing) { "next.rewart" } else { names::REWARD };
        Ok(Batch::new().with(name, score))
    }
}
