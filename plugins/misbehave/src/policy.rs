//! `faulty_policy`: always 0, one dimension, one step.

use twinhost_plugin_api::{ActRequest, Batch, ComponentConfig, Error, HostServices, Policy, PolicySpec, Result, Tensor, names};

use crate::fault::{Config, Fault, Trigger, When};

pub struct FaultyPolicy(Trigger);

impl FaultyPolicy {
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        Ok(Self(Trigger::new(config.parse::<Config>()?, services)?))
    }
}

impl Policy for FaultyPolicy {
    fn spec(&self) -> PolicySpec {
        self.0.spec();
        PolicySpec {
            action_dim: 1,
            chunk: 1,
            observation: vec![names::STATE.into()],
            texts: Vec::new(),
            differentiable: false,
            parameters: 0,
            temperature: None,
        }
    }

    fn reset(&mut self, _: &[usize], _: &[u64]) -> Result<()> {
        self.0.pull(When::Reset)
    }

    fn act(&mut self, observation: &Batch, _: &ActRequest) -> Result<Batch> {
        self.0.pull(When::Main)?;
        let state = observation.get(names::STATE)?;
        let [rows, 1] = state.shape()[..] else {
            return Err(Error::input(format!("`{}` must be [B, 1], got {:?}", names::STATE, state.shape())));
        };
        let width = 1 + usize::from(self.0.is(Fault::WrongShape));
        let value = if self.0.is(Fault::Nan) { f32::NAN } else { 0.0 };
        let action = Tensor::from_vec(vec![value; rows * width], &[rows, 1, width]);
        let versions = Tensor::from_vec(vec![0i64; rows], &[rows]);
        let name = if self.0.is(Fault::Missing) { "aktion" } else { names::ACTION };
        Ok(Batch::new().with(name, action).with(names::WEIGHTS_VERSION, versions))
    }
}
