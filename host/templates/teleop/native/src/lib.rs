//! A device to take over with, to begin with: its person never does. Put your device's own calls where the comments say.

use serde::Deserialize;
use twinhost_plugin_api::{ActionSpec, Batch, ComponentConfig, Error, HostServices, Result, Teleop, TeleopSpec, Tensor, names};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Entries of an action: those of the robot it steers.
    action_dim: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { action_dim: 7 }
    }
}

pub struct {{Type}} {
    config: Config,
    started: bool,
}

impl {{Type}} {
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if config.action_dim == 0 {
            return Err(Error::config("action_dim", "must be at least 1"));
        }
        Ok(Self { config, started: false })
    }
}

impl Teleop for {{Type}} {
    fn spec(&self) -> TeleopSpec {
        let dim = self.config.action_dim;
        let names = (0..dim).map(|i| format!("axis_{i}")).collect();
        TeleopSpec { action: ActionSpec { names, low: vec![-1.0; dim], high: vec![1.0; dim], discrete: vec![false; dim] } }
    }

    fn start(&mut self) -> Result<()> {
        // Open the device here; name it in the error.
        self.started = true;
        Ok(())
    }

    fn poll(&mut self) -> Result<Batch> {
        if !self.started {
            return Err(Error::input("start the device before it is asked"));
        }
        // Read what the person does now, without waiting: the motion, whether they are in control, and a button if one was pressed
        // (1 success, 2 failure, 3 discard the episode, 4 stop).
        let (motion, in_control, event) = (vec![0f32; self.config.action_dim], false, 0i64);
        Ok(Batch::new()
            .with(names::ACTION, Tensor::from_vec(motion, &[1, self.config.action_dim]))
            .with(names::IS_INTERVENTION, Tensor::from_vec(vec![in_control], &[1]))
            .with("event", Tensor::from_vec(vec![event], &[1])))
    }

    fn stop(&mut self) -> Result<()> {
        // Close the device here; stopping twice is no error.
        self.started = false;
        Ok(())
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    teleops: { "{{name}}" => {{Type}}::create },
}
