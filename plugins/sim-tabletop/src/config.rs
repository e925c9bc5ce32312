//! What a recipe can set about the environment, and the checks that make a wrong value a sentence.

use serde::Deserialize;
use twinhost_plugin_api::{ComponentConfig, Error, Result};

use crate::gap::{Gap, GapOverride};
use crate::objects::{Split, catalogue};
use crate::observe::STATE_NAMES;
use crate::randomization::Randomization;
use crate::render::Format;

/// Physics step, seconds.
pub const TIMESTEP: f64 = 0.002;
/// Largest observation image edge, pixels.
pub const MAX_IMAGE: usize = 224;
pub const CAMERAS: [&str; 2] = ["base", "wrist"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TaskKind {
    /// Pick up an object and put it into the tray.
    PickPlace,
    /// Push a cube onto a target disc.
    PushCube,
    OpenDrawer,
    CloseDrawer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Twin {
    /// The simulated twin.
    Sim,
    /// The stand-in for the real cell; its data is labelled `StandIn`.
    Real,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum RewardMode {
    /// Events only; see each task.
    Sparse,
    /// Shaped reward in the task's own units.
    Dense,
    /// `Dense` divided by its value on success.
    NormalizedDense,
    /// `Sparse` plus what `NormalizedDense` has gained since the last control step: potential-based shaping (Ng, Harada and Russell, 1999),
    /// which tells good steps from bad ones at once and pays nothing for lingering.
    Shaped,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TabletopConfig {
    pub task: TaskKind,
    pub twin: Twin,
    /// Instances simulated side by side (B).
    pub num_envs: usize,
    /// Control steps per second; 500 must be a multiple of it.
    pub control_hz: f64,
    pub max_episode_steps: usize,
    /// Cameras to render, of `base` and `wrist`; none switches rendering off.
    pub cameras: Vec<String>,
    pub width: usize,
    pub height: usize,
    /// Entries of `observation.state`, of `x`, `y`, `z`, `rx`, `ry`, `rz`, `finger_left`, `finger_right`. A policy that imitates demonstrations
    /// tends to read the hand's position instead of looking where the object is; without it, it has to look.
    pub state: Vec<String>,
    /// Smooth edges in observations (four samples per pixel), at about twice the rendering time on a CPU.
    pub antialias: bool,
    pub reward: RewardMode,
    /// End an episode when it succeeds; otherwise only the time limit ends it.
    pub terminate_on_success: bool,
    /// Largest translation (m) and rotation (rad) of the controller's goal in one control step.
    pub max_delta: (f64, f64),
    /// Factor on the size of the regions where episodes start.
    pub spread: f64,
    /// Names of the objects that may appear in the training variant; empty = every training object.
    pub objects: Vec<String>,
    /// Instruction templates with `{object}` and `{colour}`; empty = the task's own.
    pub instructions: Vec<String>,
    /// Overrides of the twin's gap parameters.
    pub gap: GapOverride,
    /// Versions of the scene that episodes draw from.
    pub randomization: Randomization,
}

impl Default for TabletopConfig {
    fn default() -> Self {
        Self {
            task: TaskKind::PickPlace,
            twin: Twin::Sim,
            num_envs: 8,
            control_hz: 10.0,
            max_episode_steps: 60,
            cameras: vec!["base".into()],
            width: 64,
            height: 64,
            state: STATE_NAMES.map(String::from).to_vec(),
            antialias: false,
            reward: RewardMode::Sparse,
            terminate_on_success: true,
            max_delta: (0.06, 0.25),
            spread: 1.0,
            objects: Vec::new(),
            instructions: Vec::new(),
            gap: GapOverride::default(),
            randomization: Randomization::default(),
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display + Copy>(field: &str, value: T, low: T, high: T) -> Result<()> {
    if value >= low && value <= high {
        return Ok(());
    }
    Err(Error::config(field, format!("must be from {low} to {high}, got {value}")))
}

impl TabletopConfig {
    /// # Errors
    /// `InvalidConfig` that names the field, its value and what is allowed.
    pub fn parse(config: ComponentConfig<'_>) -> Result<Self> {
        let parsed: Self = config.parse()?;
        parsed.validate()?;
        Ok(parsed)
    }

    fn validate(&self) -> Result<()> {
        within("num_envs", self.num_envs, 1, 4096)?;
        within("control_hz", self.control_hz, 5.0, 20.0)?;
        let substeps = 1.0 / (self.control_hz * TIMESTEP);
        if (substeps - substeps.round()).abs() > 1e-9 {
            return Err(Error::config(
                "control_hz",
                format!("{} does not divide the 500 Hz of the physics; 5, 6.25, 10, 12.5 and 20 do", self.control_hz),
            ));
        }
        within("max_episode_steps", self.max_episode_steps, 1, 10_000)?;
        within("width", self.width, 16, MAX_IMAGE)?;
        within("height", self.height, 16, MAX_IMAGE)?;
        within("max_delta.0", self.max_delta.0, 1e-3, 0.2)?;
        within("max_delta.1", self.max_delta.1, 1e-3, 1.0)?;
        within("spread", self.spread, 0.0, 1.25)?;
        for (i, camera) in self.cameras.iter().enumerate() {
            if !CAMERAS.contains(&camera.as_str()) {
                return Err(Error::config(
                    format!("cameras[{i}]"),
                    format!("there is no camera `{camera}`; there are: {}", CAMERAS.join(", ")),
                ));
            }
            if self.cameras[..i].contains(camera) {
                return Err(Error::config(format!("cameras[{i}]"), format!("`{camera}` is listed twice")));
            }
        }
        if self.state.is_empty() {
            return Err(Error::config("state", format!("name at least one entry of: {}", STATE_NAMES.join(", "))));
        }
        for (i, name) in self.state.iter().enumerate() {
            if !STATE_NAMES.contains(&name.as_str()) {
                return Err(Error::config(
                    format!("state[{i}]"),
                    format!("there is no entry `{name}`; there are: {}", STATE_NAMES.join(", ")),
                ));
            }
            if self.state[..i].contains(name) {
                return Err(Error::config(format!("state[{i}]"), format!("`{name}` is listed twice")));
            }
        }
        let known = catalogue();
        for (i, name) in self.objects.iter().enumerate() {
            if !known.iter().any(|o| o.split == Split::Train && o.name == *name) {
                let names: Vec<_> = known.iter().filter(|o| o.split == Split::Train).map(|o| o.name.as_str()).collect();
                return Err(Error::config(
                    format!("objects[{i}]"),
                    format!("there is no training object `{name}`; there are: {}", names.join(", ")),
                ));
            }
        }
        for (i, text) in self.instructions.iter().enumerate() {
            if text.trim().is_empty() {
                return Err(Error::config(format!("instructions[{i}]"), "an instruction must not be empty"));
            }
        }
        self.randomization.validate()?;
        self.gap().map(|_| ())
    }

    /// The twin's parameters with the overrides applied.
    ///
    /// # Errors
    /// If an override is out of range.
    pub fn gap(&self) -> Result<Gap> {
        let base = match self.twin {
            Twin::Sim => Gap::neutral(),
            Twin::Real => Gap::real(),
        };
        base.with(&self.gap)
    }

    pub(crate) fn format(&self) -> Format {
        Format { width: self.width, height: self.height, antialias: self.antialias }
    }

    /// Physics steps in one control step.
    pub fn substeps(&self) -> usize {
        (1.0 / (self.control_hz * TIMESTEP)).round() as usize
    }
}
