//! `faulty_robot`: one joint that is at once where it is told to be.

use twinhost_plugin_api::{
    ActionSpec, Batch, ComponentConfig, DType, Error, FeatureSpec, HostServices, Result, Robot, RobotSpec, Tensor, names,
};

use crate::fault::{Config, Fault, Trigger, When};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Disconnected,
    Connected,
    Enabled,
    Stopped,
}

pub struct FaultyRobot {
    trigger: Trigger,
    state: State,
    position: f32,
}

impl FaultyRobot {
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        Ok(Self { trigger: Trigger::new(config.parse::<Config>()?, services)?, state: State::Disconnected, position: 0.0 })
    }
}

impl Robot for FaultyRobot {
    fn spec(&self) -> RobotSpec {
        self.trigger.spec();
        RobotSpec {
            observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[1])],
            action: ActionSpec { names: vec!["joint".into()], low: vec![-1.0], high: vec![1.0], discrete: vec![false] },
            control_hz: 100.0,
        }
    }

    fn connect(&mut self) -> Result<()> {
        self.state = State::Connected;
        Ok(())
    }

    fn enable(&mut self) -> Result<()> {
        match self.state {
            State::Disconnected => Err(Error::input("the robot is not connected")),
            State::Stopped => Err(Error::input("the emergency stop is pressed")),
            _ => {
                self.state = State::Enabled;
                Ok(())
            }
        }
    }

    fn disable(&mut self) -> Result<()> {
        if self.state == State::Enabled {
            self.state = State::Connected;
        }
        Ok(())
    }

    fn observe(&mut self) -> Result<Batch> {
        if self.state == State::Disconnected {
            return Err(Error::input("the robot is not connected"));
        }
        let time = i64::try_from(self.trigger.services.monotonic_ns()).unwrap_or(i64::MAX);
        Ok(Batch::new()
            .with(names::STATE, Tensor::from_vec(vec![self.position], &[1, 1]))
            .with("time_ns", Tensor::from_vec(vec![time], &[1])))
    }

    fn command(&mut self, action: &Tensor) -> Result<()> {
        self.trigger.pull(When::Main)?;
        let careless = self.trigger.is(Fault::Careless);
        if self.state != State::Enabled && !careless {
            return Err(Error::input("the robot is not enabled"));
        }
        if action.len() != 1 {
            return Err(Error::input("the robot has one joint"));
        }
        let target = action.as_slice::<f32>()?[0];
        if !target.is_finite() && !careless {
            return Err(Error::input("the target is not a number"));
        }
        if self.trigger.is(Fault::Allocate) {
            drop(std::hint::black_box(vec![target; 32]));
        }
        self.position = target.clamp(-1.0, 1.0);
        Ok(())
    }

    fn emergency_stop(&mut self) -> Result<()> {
        if self.state != State::Disconnected {
            self.state = State::Stopped;
        }
        Ok(())
    }
}
