//! `Robot`: one arm with its gripper. Only the host's safety gate calls `command`.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RResult, RString};

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{guard, to_json};
use super::spec::RobotSpec;
use super::tensor::Tensor;

/// A robot driver. Life cycle: created (disconnected) -> `connect` -> `enable` -> `command`* -> `disable`.
pub trait Robot: Send {
    fn spec(&self) -> RobotSpec;

    /// # Errors
    /// If the robot cannot be reached; the message names the address tried.
    fn connect(&mut self) -> Result<()>;

    /// Releases brakes and accepts commands from now on.
    ///
    /// # Errors
    /// If the robot reports a fault or its emergency stop is pressed.
    fn enable(&mut self) -> Result<()>;

    /// Stops motion and refuses commands. Must succeed in any state and return quickly.
    ///
    /// # Errors
    /// Only if the robot could not be told.
    fn disable(&mut self) -> Result<()>;

    /// The newest measurement: the features of the spec with a leading axis of 1, and `time_ns` i64 `[1]` of the host's clock.
    ///
    /// # Errors
    /// If no fresh measurement arrives within the control period.
    fn observe(&mut self) -> Result<Batch>;

    /// Commands one control step, f32 `[A]`. Returns without waiting for the motion.
    ///
    /// # Errors
    /// If the robot is not enabled or refuses.
    fn command(&mut self, action: &Tensor) -> Result<()>;

    /// Stops as fast as the hardware can. Callable in any state.
    ///
    /// # Errors
    /// Only if the robot could not be told.
    fn emergency_stop(&mut self) -> Result<()>;
}

/// The frozen interface behind [`Robot`].
#[sabi_trait]
pub trait RobotAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn connect(&mut self) -> RResult<(), Error>;
    fn enable(&mut self) -> RResult<(), Error>;
    fn disable(&mut self) -> RResult<(), Error>;
    fn observe(&mut self) -> RResult<Batch, Error>;
    fn command(&mut self, action: &Tensor) -> RResult<(), Error>;
    #[sabi(last_prefix_field)]
    fn emergency_stop(&mut self) -> RResult<(), Error>;
}

pub type RobotBox = RobotAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Robot> RobotAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn connect(&mut self) -> RResult<(), Error> {
        guard(|| self.0.connect())
    }
    fn enable(&mut self) -> RResult<(), Error> {
        guard(|| self.0.enable())
    }
    fn disable(&mut self) -> RResult<(), Error> {
        guard(|| self.0.disable())
    }
    fn observe(&mut self) -> RResult<Batch, Error> {
        guard(|| self.0.observe())
    }
    fn command(&mut self, action: &Tensor) -> RResult<(), Error> {
        guard(|| self.0.command(action))
    }
    fn emergency_stop(&mut self) -> RResult<(), Error> {
        guard(|| self.0.emergency_stop())
    }
}

/// Wraps an author's driver for export.
pub fn boxed<T: Robot + 'static>(robot: T) -> RobotBox {
    RobotAbi_TO::from_value(Adapter(robot), sabi_trait::TD_Opaque)
}
