//! `joint`, `grey`, `nobody`: a robot, a camera and a device to take over with.

use twinhost_plugin_api::{
    ActionSpec, Batch, Camera, CameraSpec, ComponentConfig, DType, Error, FeatureSpec, HostServices, Result, Robot, RobotSpec, Teleop,
    TeleopSpec, Tensor, names,
};

fn one_axis() -> ActionSpec {
    ActionSpec { names: vec!["axis".into()], low: vec![-1.0], high: vec![1.0], discrete: vec![false] }
}

fn time(services: &HostServices) -> Tensor {
    Tensor::from_vec(vec![i64::try_from(services.monotonic_ns()).unwrap_or(i64::MAX)], &[1])
}

pub struct Joint {
    services: HostServices,
    connected: bool,
    enabled: bool,
    stopped: bool,
    angle: f32,
}

impl Joint {
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self { services, connected: false, enabled: false, stopped: false, angle: 0.0 })
    }
}

impl Robot for Joint {
    fn spec(&self) -> RobotSpec {
        RobotSpec { observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[1])], action: one_axis(), control_hz: 50.0 }
    }
    fn connect(&mut self) -> Result<()> {
        self.connected = true;
        Ok(())
    }
    fn enable(&mut self) -> Result<()> {
        if !self.connected || self.stopped {
            return Err(Error::input("not connected, or stopped"));
        }
        self.enabled = true;
        Ok(())
    }
    fn disable(&mut self) -> Result<()> {
        self.enabled = false;
        Ok(())
    }
    fn observe(&mut self) -> Result<Batch> {
        if !self.connected {
            return Err(Error::input("not connected"));
        }
        Ok(Batch::new().with(names::STATE, Tensor::from_vec(vec![self.angle], &[1, 1])).with("time_ns", time(&self.services)))
    }
    fn command(&mut self, action: &Tensor) -> Result<()> {
        let target = match action.as_slice::<f32>()? {
            [target] if self.enabled && target.is_finite() => *target,
            _ => return Err(Error::input("not enabled, or not one finite number")),
        };
        self.angle = target;
        Ok(())
    }
    fn emergency_stop(&mut self) -> Result<()> {
        (self.enabled, self.stopped) = (false, true);
        Ok(())
    }
}

pub struct Grey {
    services: HostServices,
    started: bool,
}

impl Grey {
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self { services, started: false })
    }
}

impl Camera for Grey {
    fn spec(&self) -> CameraSpec {
        CameraSpec { width: 4, height: 3, fps: 1000.0 }
    }
    fn start(&mut self) -> Result<()> {
        self.started = true;
        Ok(())
    }
    fn latest(&mut self, _: u64) -> Result<Batch> {
        if !self.started {
            return Err(Error::input("not started"));
        }
        Ok(Batch::new()
            .with("image", Tensor::from_vec(vec![128u8; 36], &[1, 3, 4, 3]))
            .with("time_ns", time(&self.services))
            .with("dropped", Tensor::zeros::<i64>(&[1])))
    }
    fn stop(&mut self) -> Result<()> {
        self.started = false;
        Ok(())
    }
}

pub struct Nobody {
    started: bool,
}

impl Nobody {
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self { started: false })
    }
}

impl Teleop for Nobody {
    fn spec(&self) -> TeleopSpec {
        TeleopSpec { action: one_axis() }
    }
    fn start(&mut self) -> Result<()> {
        self.started = true;
        Ok(())
    }
    fn poll(&mut self) -> Result<Batch> {
        if !self.started {
            return Err(Error::input("not started"));
        }
        Ok(Batch::new()
            .with(names::ACTION, Tensor::zeros::<f32>(&[1, 1]))
            .with(names::IS_INTERVENTION, Tensor::zeros::<bool>(&[1]))
            .with("event", Tensor::zeros::<i64>(&[1])))
    }
    fn stop(&mut self) -> Result<()> {
        self.started = false;
        Ok(())
    }
}
