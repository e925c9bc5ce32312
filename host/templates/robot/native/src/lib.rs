//! A robot's driver to begin with: six joints that are at once where they are told to be. Put your robot's own calls where the comments say.
//!
//! Observation `observation.state` f32 `[6]`: joint angles, rad. Action `[6]`: target angles, rad.

use serde::Deserialize;
use twinhost_plugin_api::{
    ActionSpec, Batch, ComponentConfig, DType, Error, FeatureSpec, HostServices, Result, Robot, RobotSpec, Tensor, names,
};

const JOINTS: usize = 6;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Where the robot is found.
    address: String,
    /// Largest angle of every joint, rad.
    limit: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: "192.168.1.2".into(), limit: 2.9 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Disconnected,
    Connected,
    Enabled,
    /// The emergency stop was pressed; only `connect` leads out.
    Stopped,
}

pub struct {{Type}} {
    config: Config,
    services: HostServices,
    state: State,
    angles: [f32; JOINTS],
}

impl {{Type}} {
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if !(config.limit > 0.0 && config.limit.is_finite()) {
            return Err(Error::config("limit", format!("must be above 0, got {}", config.limit)));
        }
        Ok(Self { config, services, state: State::Disconnected, angles: [0.0; JOINTS] })
    }
}

impl Robot for {{Type}} {
    fn spec(&self) -> RobotSpec {
        RobotSpec {
            observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[JOINTS])],
            action: ActionSpec {
                names: (1..=JOINTS).map(|i| format!("joint_{i}")).collect(),
                low: vec![-self.config.limit; JOINTS],
                high: vec![self.config.limit; JOINTS],
                discrete: vec![false; JOINTS],
            },
            control_hz: 50.0,
        }
    }

    fn connect(&mut self) -> Result<()> {
        // Open the connection here; name the address in the error.
        if self.config.address.is_empty() {
            return Err(Error::io("the address is empty"));
        }
        self.state = State::Connected;
        Ok(())
    }

    fn enable(&mut self) -> Result<()> {
        match self.state {
            State::Disconnected => Err(Error::input("connect the robot before it is enabled")),
            State::Stopped => Err(Error::input("the emergency stop is pressed: release it and connect again")),
            State::Connected | State::Enabled => {
                // Release the brakes here.
                self.state = State::Enabled;
                Ok(())
            }
        }
    }

    fn disable(&mut self) -> Result<()> {
        // Stop the motion and set the brakes here; this must work in any state.
        if self.state == State::Enabled {
            self.state = State::Connected;
        }
        Ok(())
    }

    fn observe(&mut self) -> Result<Batch> {
        if self.state == State::Disconnected {
            return Err(Error::input("connect the robot before it is observed"));
        }
        // Read the newest measurement here, and the time at which it was taken, on the host's clock.
        let time = i64::try_from(self.services.monotonic_ns()).unwrap_or(i64::MAX);
        Ok(Batch::new()
            .with(names::STATE, Tensor::from_vec(self.angles.to_vec(), &[1, JOINTS]))
            .with("time_ns", Tensor::from_vec(vec![time], &[1])))
    }

    /// Runs in the control loop: it allocates nothing and does not wait.
    fn command(&mut self, action: &Tensor) -> Result<()> {
        if self.state != State::Enabled {
            return Err(Error::input("enable the robot before it is commanded"));
        }
        let target = action.as_slice::<f32>()?;
        let Ok(target) = <&[f32; JOINTS]>::try_from(target) else {
            return Err(Error::input(format!("{} numbers for {JOINTS} joints", target.len())));
        };
        if target.iter().any(|angle| !angle.is_finite()) {
            return Err(Error::input("a target angle is not a number"));
        }
        // Send the target here.
        self.angles = target.map(|angle| angle.clamp(-self.config.limit, self.config.limit));
        Ok(())
    }

    fn emergency_stop(&mut self) -> Result<()> {
        // Stop as fast as the hardware can here; this must work in any state.
        if self.state != State::Disconnected {
            self.state = State::Stopped;
        }
        Ok(())
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    robots: { "{{name}}" => {{Type}}::create },
}
