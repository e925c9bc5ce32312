//! Off-screen rendering. An OpenGL context belongs to the thread that made it, so every worker has its own [`Renderer`].

use mujoco_rs::prelude::{MjModel, MjvCamera};
use mujoco_rs::renderer::MjRenderer;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use twinhost_plugin_api::{Error, Result};

use crate::frustum::cull;
use crate::gap::Gap;
use crate::measure::Data;

const REMEDY: &str =
    "install Mesa's software device with `apt install libegl1 libegl-mesa0 libgl1-mesa-dri`, or train without images (`cameras: []`)";

/// What an OpenGL context is made for: MuJoCo clears the whole off-screen buffer for every image, so each image size has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub width: usize,
    pub height: usize,
    /// Four samples per pixel; doubles the time of an image on a CPU.
    pub antialias: bool,
}

/// One OpenGL context per format, made on first use.
#[derive(Default)]
pub struct Renderer {
    contexts: Vec<(Format, MjRenderer)>,
}

impl Renderer {
    /// Opens the context for one format.
    ///
    /// # Errors
    /// If there is no EGL device; the message names the Debian packages that bring one.
    pub fn open(&mut self, model: &MjModel, format: Format) -> Result<&mut MjRenderer> {
        if let Some(at) = self.contexts.iter().position(|(made_for, _)| *made_for == format) {
            return Ok(&mut self.contexts[at].1);
        }
        let mut sized = model.clone();
        let settings = sized.vis_mut();
        settings.global.offwidth = format.width as i32;
        settings.global.offheight = format.height as i32;
        settings.quality.offsamples = if format.antialias { 4 } else { 0 };
        let renderer = MjRenderer::new(&sized, format.width, format.height, 0)
            .map_err(|e| Error::unsupported(format!("cannot render off-screen ({}): {REMEDY}", cause(&e))))?;
        self.contexts.push((format, renderer));
        Ok(&mut self.contexts.last_mut().expect("pushed above").1)
    }

    /// Draws the scene as one camera sees it, u8 `[height, width, 3]`. Positions in `data` must be current.
    ///
    /// # Errors
    /// As [`Renderer::open`], or if OpenGL fails.
    pub fn draw(&mut self, data: &mut Data, camera: usize, format: Format) -> Result<Vec<u8>> {
        let failed = |e: mujoco_rs::renderer::RendererError| Error::internal(format!("rendering failed: {e}"));
        let model = data.model_clone();
        let renderer = self.open(&model, format)?;
        renderer.set_camera(MjvCamera::new_fixed(camera));
        cull(data, camera, format.width, format.height, renderer.opts_mut());
        renderer.sync_data(data).map_err(failed)?;
        renderer.render().map_err(failed)?;
        Ok(renderer.rgb_flat().expect("colour rendering is on by default").to_vec())
    }
}

/// The innermost reason of an error: the outer ones only say that OpenGL failed.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

/// What the camera's electronics do to the image: gain per channel and noise of every pixel value.
///
/// The noise is the sum of four uniform bytes, which is close to normal and cheap enough for every frame.
pub fn develop(pixels: &mut [u8], gap: &Gap, rng: &mut ChaCha8Rng) {
    if gap.white_balance != [1.0; 3] {
        let tables =
            gap.white_balance.map(|gain| -> Vec<u8> { (0..=255u8).map(|v| (f64::from(v) * gain).round().min(255.0) as u8).collect() });
        for pixel in pixels.chunks_exact_mut(3) {
            for (value, table) in pixel.iter_mut().zip(&tables) {
                *value = table[usize::from(*value)];
            }
        }
    }
    if gap.pixel_noise > 0.0 {
        // Variance of the sum of four uniform bytes: 4 (256^2 - 1) / 12.
        let scale = (gap.pixel_noise * 255.0 / (4.0 * 65535.0f64 / 12.0).sqrt()) as f32;
        let mut bytes = vec![0u8; 4 * pixels.len()];
        rng.fill_bytes(&mut bytes);
        for (value, draw) in pixels.iter_mut().zip(bytes.chunks_exact(4)) {
            let sum: i32 = draw.iter().map(|b| i32::from(*b)).sum();
            *value = (f32::from(*value) + scale * (sum - 510) as f32).round().clamp(0.0, 255.0) as u8;
        }
    }
}
