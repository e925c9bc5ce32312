//! `Camera`: a source of timestamped frames.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RBox, RResult, RString};

use super::batch::Batch;
use super::error::{Error, Result};
use super::guard::{guard, to_json};
use super::spec::CameraSpec;

pub trait Camera: Send {
    fn spec(&self) -> CameraSpec;

    /// # Errors
    /// If the device cannot be opened; the message names it.
    fn start(&mut self) -> Result<()>;

    /// The newest frame: `image` u8 `[1, H, W, 3]`, `time_ns` i64 `[1]` (host's clock, at exposure), `dropped` i64 `[1]`
    /// (frames lost since the last call). Waits at most `timeout_ms`.
    ///
    /// # Errors
    /// If no frame arrives in time.
    fn latest(&mut self, timeout_ms: u64) -> Result<Batch>;

    /// # Errors
    /// If the device could not be closed.
    fn stop(&mut self) -> Result<()>;
}

/// The frozen interface behind [`Camera`].
#[sabi_trait]
pub trait CameraAbi: Send {
    fn spec(&self) -> RResult<RString, Error>;
    fn start(&mut self) -> RResult<(), Error>;
    fn latest(&mut self, timeout_ms: u64) -> RResult<Batch, Error>;
    #[sabi(last_prefix_field)]
    fn stop(&mut self) -> RResult<(), Error>;
}

pub type CameraBox = CameraAbi_TO<'static, RBox<()>>;

struct Adapter<T>(T);

impl<T: Camera> CameraAbi for Adapter<T> {
    fn spec(&self) -> RResult<RString, Error> {
        guard(|| to_json(&self.0.spec()))
    }
    fn start(&mut self) -> RResult<(), Error> {
        guard(|| self.0.start())
    }
    fn latest(&mut self, timeout_ms: u64) -> RResult<Batch, Error> {
        guard(|| self.0.latest(timeout_ms))
    }
    fn stop(&mut self) -> RResult<(), Error> {
        guard(|| self.0.stop())
    }
}

/// Wraps an author's camera for export.
pub fn boxed<T: Camera + 'static>(camera: T) -> CameraBox {
    CameraAbi_TO::from_value(Adapter(camera), sabi_trait::TD_Opaque)
}
