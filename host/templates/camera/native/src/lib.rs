//! A camera's driver to begin with: a test pattern that moves one pixel a frame. Put your camera's own calls where the comments say.

use serde::Deserialize;
use std::time::Duration;
use twinhost_plugin_api::{Batch, Camera, CameraSpec, ComponentConfig, Error, ErrorKind, HostServices, Result, Tensor};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    width: usize,
    height: usize,
    /// Frames a second.
    fps: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 64, height: 48, fps: 30.0 }
    }
}

pub struct {{Type}} {
    config: Config,
    services: HostServices,
    /// Number of the last frame that was handed out; `None` while stopped.
    last: Option<u64>,
}

impl {{Type}} {
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if config.width == 0 || config.height == 0 {
            return Err(Error::config("width", "`width` and `height` must be at least 1"));
        }
        if !(config.fps > 0.0 && config.fps <= 1000.0) {
            return Err(Error::config("fps", format!("must be above 0 and at most 1000, got {}", config.fps)));
        }
        Ok(Self { config, services, last: None })
    }

    /// Number of the newest frame there is.
    fn newest(&self) -> u64 {
        (self.services.monotonic_ns() as f64 * 1e-9 * self.config.fps) as u64
    }

    fn picture(&self, frame: u64) -> Tensor {
        let (width, height) = (self.config.width, self.config.height);
        let pixel = |i: usize| {
            let (x, y) = ((i + frame as usize) % width, i / width);
            [(255 * x / width) as u8, (255 * y / height) as u8, 128]
        };
        Tensor::from_vec((0..width * height).flat_map(pixel).collect(), &[1, height, width, 3])
    }
}

impl Camera for {{Type}} {
    fn spec(&self) -> CameraSpec {
        CameraSpec { width: self.config.width, height: self.config.height, fps: self.config.fps }
    }

    fn start(&mut self) -> Result<()> {
        // Open the device here; name it in the error.
        self.last = Some(self.newest());
        Ok(())
    }

    fn latest(&mut self, timeout_ms: u64) -> Result<Batch> {
        let Some(last) = self.last else { return Err(Error::input("start the camera before a frame is asked for")) };
        let deadline = self.services.monotonic_ns().saturating_add(timeout_ms.saturating_mul(1_000_000));
        // Wait for the device here, no longer than asked, and stop when the host wants to.
        while self.newest() == last {
            if self.services.cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "stopped on request"));
            }
            if self.services.monotonic_ns() >= deadline {
                return Err(Error::io(format!("no frame within {timeout_ms} ms")));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let frame = self.newest();
        self.last = Some(frame);
        let exposed = (frame as f64 / self.config.fps * 1e9) as i64;
        Ok(Batch::new()
            .with("image", self.picture(frame))
            .with("time_ns", Tensor::from_vec(vec![exposed], &[1]))
            .with("dropped", Tensor::from_vec(vec![(frame - last - 1) as i64], &[1])))
    }

    fn stop(&mut self) -> Result<()> {
        // Close the device here; stopping twice is no error.
        self.last = None;
        Ok(())
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    cameras: { "{{name}}" => {{Type}}::create },
}
