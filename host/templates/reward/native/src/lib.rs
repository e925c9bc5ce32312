//! A constant bonus for every control step.

use serde::Deserialize;
use twinhost_plugin_api::{Batch, ComponentConfig, Error, HostServices, Result, Reward, RewardSpec, Tensor, names};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Reward of every step, >= 0.
    bonus: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { bonus: 0.01 }
    }
}

struct {{Type}}(Config);

impl {{Type}} {
    fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if !(config.bonus >= 0.0 && config.bonus.is_finite()) {
            return Err(Error::config("bonus", format!("must be a finite number >= 0, got {}", config.bonus)));
        }
        Ok(Self(config))
    }
}

impl Reward for {{Type}} {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::TERMINATED.into()], decides_success: false }
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let shape = transition.get(names::TERMINATED)?.shape();
        let steps = shape.iter().product();
        Ok(Batch::new().with(names::REWARD, Tensor::from_vec(vec![self.0.bonus; steps], &shape)))
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    rewards: { "{{name}}" => {{Type}}::create },
}
