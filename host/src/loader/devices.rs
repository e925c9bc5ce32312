//! Robots, cameras and teleoperation devices behind the boundary, as the other kinds in [`super::handles`].

use twinhost_plugin_api::v1::camera::CameraBox;
use twinhost_plugin_api::v1::robot::RobotBox;
use twinhost_plugin_api::v1::teleop::TeleopBox;
use twinhost_plugin_api::{Batch, Camera, CameraSpec, Result, Robot, RobotSpec, Teleop, TeleopSpec, Tensor};

use super::handles::Handle;
use super::watchdog::Call;
use twinhost_plugin_api::checks;

pub type RobotHandle = Handle<RobotBox, RobotSpec>;
pub type CameraHandle = Handle<CameraBox, CameraSpec>;
pub type TeleopHandle = Handle<TeleopBox, TeleopSpec>;

impl Robot for RobotHandle {
    fn spec(&self) -> RobotSpec {
        self.spec_ref().clone()
    }
    fn connect(&mut self) -> Result<()> {
        self.call(Call::Connect, |robot| robot.connect())
    }
    fn enable(&mut self) -> Result<()> {
        self.call(Call::Enable, |robot| robot.enable())
    }
    fn disable(&mut self) -> Result<()> {
        self.call(Call::Disable, |robot| robot.disable())
    }
    fn observe(&mut self) -> Result<Batch> {
        self.checked(Call::Observe, |robot| robot.observe(), checks::measurement)
    }
    fn command(&mut self, action: &Tensor) -> Result<()> {
        self.call(Call::Command, |robot| robot.command(action))
    }
    fn emergency_stop(&mut self) -> Result<()> {
        self.call(Call::EmergencyStop, |robot| robot.emergency_stop())
    }
}

impl Camera for CameraHandle {
    fn spec(&self) -> CameraSpec {
        self.spec_ref().clone()
    }
    fn start(&mut self) -> Result<()> {
        self.call(Call::Start, |camera| camera.start())
    }
    fn latest(&mut self, timeout_ms: u64) -> Result<Batch> {
        self.checked(Call::Latest, |camera| camera.latest(timeout_ms), checks::frame)
    }
    fn stop(&mut self) -> Result<()> {
        self.call(Call::Stop, |camera| camera.stop())
    }
}

impl Teleop for TeleopHandle {
    fn spec(&self) -> TeleopSpec {
        self.spec_ref().clone()
    }
    fn start(&mut self) -> Result<()> {
        self.call(Call::Start, |teleop| teleop.start())
    }
    fn poll(&mut self) -> Result<Batch> {
        self.checked(Call::Poll, |teleop| teleop.poll(), checks::intervention)
    }
    fn stop(&mut self) -> Result<()> {
        self.call(Call::Stop, |teleop| teleop.stop())
    }
}
