//! Off-screen rendering. An OpenGL context belongs to the thread that made it, so every worker has its own [`Renderer`].

use mujoco_rs::prelude::{MjModel, MjvCamera};
use mujoco_rs::renderer::MjRenderer;
use twinhost_plugin_api::{Error, Result};

use crate::frustum::cull;
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
