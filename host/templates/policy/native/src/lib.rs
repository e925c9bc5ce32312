//! Straight to the goal: a scripted policy to begin with, for an environment whose state is position x, y and goal x, y.
//!
//! A policy that is trained implements `TorchPolicy` of `twinhost-plugin-torch` instead.

use serde::Deserialize;
use twinhost_plugin_api::{ActRequest, Batch, ComponentConfig, Error, HostServices, Policy, PolicySpec, Result, Tensor, names};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Velocity per metre of distance, 1/s.
    gain: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { gain: 5.0 }
    }
}

pub struct {{Type}}(Config);

impl {{Type}} {
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if !(config.gain > 0.0 && config.gain.is_finite()) {
            return Err(Error::config("gain", format!("must be above 0, got {}", config.gain)));
        }
        Ok(Self(config))
    }
}

impl Policy for {{Type}} {
    fn spec(&self) -> PolicySpec {
        PolicySpec {
            action_dim: 2,
            chunk: 1,
            observation: vec![names::STATE.into()],
            texts: Vec::new(),
            differentiable: false,
            parameters: 0,
            temperature: None,
        }
    }

    fn act(&mut self, observation: &Batch, _: &ActRequest) -> Result<Batch> {
        let state = observation.get(names::STATE)?;
        let [rows, 4] = state.shape()[..] else {
            return Err(Error::input(format!("`{}` must be [B, 4], got {:?}", names::STATE, state.shape())));
        };
        let mut actions = Vec::with_capacity(2 * rows);
        for row in state.as_slice::<f32>()?.chunks_exact(4) {
            for axis in 0..2 {
                let velocity = self.0.gain * (row[2 + axis] - row[axis]);
                if !velocity.is_finite() {
                    return Err(Error::numerical(format!("`{}` has an entry that is not a number", names::STATE)));
                }
                actions.push(velocity.clamp(-1.0, 1.0));
            }
        }
        Ok(Batch::new()
            .with(names::ACTION, Tensor::from_vec(actions, &[rows, 1, 2]))
            .with(names::WEIGHTS_VERSION, Tensor::zeros::<i64>(&[rows])))
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    policies: { "{{name}}" => {{Type}}::create },
}
