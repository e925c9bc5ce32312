//! `Teleop`: a device with which a person takes over (space mouse, leader arm, keyboard).

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RResult, RString};

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{guard, to_json};
use super::spec::TeleopSpec;

pub trait Teleop: Send {
    fn spec(&self) -> TeleopSpec;

    /// # Errors
    /// If the device cannot be opened; the message names it.
    fn start(&mut self) -> Result<()>;

    /// The person's input now: `action` f32 `[1, A]`, `is_intervention` bool `[1]` (the person is in control), and
    /// `event` i64 `[1]`: 0 none, 1 mark success, 2 mark failure, 3 discard the episode, 4 stop. Never blocks.
    ///
    /// # Errors
    /// If the device is gone.
    fn poll(&mut self) -> Result<Batch>;

    /// # Errors
    /// If the device could not be closed.
    fn stop(&mut self) -> Result<()>;
}

/// The frozen interface behind [`Teleop`].
#[sabi_trait]
pub trait TeleopAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn start(&mut self) -> RResult<(), Error>;
    fn poll(&mut self) -> RResult<Batch, Error>;
    #[sabi(last_prefix_field)]
    fn stop(&mut self) -> RResult<(), Error>;
}

pub type TeleopBox = TeleopAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Teleop> TeleopAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn start(&mut self) -> RResult<(), Error> {
        guard(|| self.0.start())
    }
    fn poll(&mut self) -> RResult<Batch, Error> {
        guard(|| self.0.poll())
    }
    fn stop(&mut self) -> RResult<(), Error> {
        guard(|| self.0.stop())
    }
}

/// Wraps an author's device for export.
pub fn boxed<T: Teleop + 'static>(teleop: T) -> TeleopBox {
    TeleopAbi_TO::from_value(Adapter(teleop), sabi_trait::TD_Opaque)
}
