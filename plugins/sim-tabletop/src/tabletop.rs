//! The environment component: checks requests, hands rows to the workers, assembles batches.

use std::sync::Arc;
use twinhost_plugin_api::{
    ActionSpec, Batch, ComponentConfig, Env, EnvKind, EnvSpec, Error, HostServices, ResetRequest, Result, Tensor, names,
};

use crate::cell::Cell;
use crate::config::{CAMERAS, TabletopConfig, Twin};
use crate::controller::ACTION_DIM;
use crate::instance::Mode;
use crate::observe::{self, Observation};
use crate::scene::MAX_RENDER;
use crate::snapshot::{Reader, Writer};
use crate::task::start::VARIANTS;
use crate::task::subtasks;
use crate::workers::Workers;

const MAGIC: u64 = u64::from_le_bytes(*b"tabltop2");

/// A vectorised table-top manipulation cell, one of a pair of twins. See [`TabletopConfig`] for its configuration.
pub struct Tabletop {
    cell: Arc<Cell>,
    workers: Workers,
    /// False until the first reset.
    started: bool,
}

impl Tabletop {
    /// # Errors
    /// `InvalidConfig` for a wrong field; `Unsupported` if images are asked for and the machine cannot render.
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        let cell = Arc::new(Cell::new(TabletopConfig::parse(config)?, services)?);
        let workers = Workers::start(&cell, services.threads as usize)?;
        Ok(Self { cell, workers, started: false })
    }

    fn camera(&self, name: &str) -> Result<usize> {
        let name = if name.is_empty() { CAMERAS[0] } else { name };
        let found = self.cell.ids.cameras.iter().find(|(n, _)| n == name);
        found.map(|(_, id)| *id).ok_or_else(|| Error::input(format!("there is no camera `{name}`; there are: {}", CAMERAS.join(", "))))
    }
}

impl Env for Tabletop {
    fn spec(&self) -> EnvSpec {
        let config = &self.cell.config;
        EnvSpec {
            kind: match config.twin {
                Twin::Sim => EnvKind::Simulated,
                Twin::Real => EnvKind::StandIn,
            },
            num_envs: config.num_envs,
            observation: observe::features(config),
            privileged: observe::privileged_features(),
            action: ActionSpec {
                names: observe::ACTION_NAMES.iter().map(ToString::to_string).collect(),
                low: vec![-1.0; ACTION_DIM],
                high: vec![1.0; ACTION_DIM],
                discrete: (0..ACTION_DIM).map(|i| i == ACTION_DIM - 1).collect(),
            },
            control_hz: config.control_hz,
            max_episode_steps: config.max_episode_steps,
            variants: VARIANTS.iter().map(|(name, _)| name.to_string()).collect(),
            subtasks: subtasks(config.task),
            pose_delta_scale: Some(config.max_delta),
        }
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        let count = self.cell.config.num_envs;
        if request.seeds.len() != count {
            return Err(Error::input(format!("reset needs one seed for each of {count} environments, got {}", request.seeds.len())));
        }
        let variant = if request.variant.is_empty() {
            VARIANTS[0].1
        } else {
            let known = VARIANTS.iter().find(|(name, _)| *name == request.variant.as_str());
            let list = || VARIANTS.map(|(name, _)| name).join(", ");
            known.ok_or_else(|| Error::input(format!("there is no variant `{}`; there are: {}", request.variant, list())))?.1
        };
        let mode = Mode { variant, auto_reset: request.auto_reset, privileged: request.privileged };
        let rows = self.workers.reset(&request.seeds, mode)?;
        self.started = true;
        let mut batch = Batch::new();
        observe::insert(&mut batch, "", &self.cell.config, &rows.iter().collect::<Vec<_>>());
        Ok(batch)
    }

    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        let config = &self.cell.config;
        let count = config.num_envs;
        if !self.started {
            return Err(Error::input("step was called before the first reset"));
        }
        let shape = actions.shape();
        if shape.len() != 3 || shape[0] != count || shape[1] == 0 || shape[2] != ACTION_DIM {
            return Err(Error::input(format!("actions must have the shape [{count}, C, {ACTION_DIM}] with C >= 1, got {shape:?}")));
        }
        let values = actions.as_slice::<f32>().map_err(|e| e.context("actions"))?;
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let (row, step, dim) = (at / (shape[1] * ACTION_DIM), at / ACTION_DIM % shape[1], at % ACTION_DIM);
            return Err(Error::input(format!(
                "action `{}` of environment {row}, step {step} of the chunk, is {}; actions must be finite",
                observe::ACTION_NAMES[dim],
                values[at]
            )));
        }
        let chunk = shape[1];
        let results = self.workers.step(values, chunk * ACTION_DIM)?;
        let flat = |field: fn(&crate::instance::ChunkResult) -> &Vec<bool>| -> Tensor {
            Tensor::from_vec(results.iter().flat_map(|r| field(r).iter().copied()).collect(), &[count, chunk])
        };
        let rewards = results.iter().flat_map(|r| r.reward.iter().copied()).collect();
        let mut batch = Batch::new()
            .with(names::REWARD, Tensor::from_vec(rewards, &[count, chunk]))
            .with(names::TERMINATED, flat(|r| &r.terminated))
            .with(names::TRUNCATED, flat(|r| &r.truncated))
            .with(names::SUCCESS, Tensor::from_vec(results.iter().map(|r| r.success).collect(), &[count]));
        observe::insert(&mut batch, "", config, &results.iter().map(|r| &r.observation).collect::<Vec<_>>());
        if results.iter().any(|r| r.last.is_some()) {
            let last: Vec<&Observation> = results.iter().map(|r| r.last.as_ref().unwrap_or(&r.observation)).collect();
            observe::insert(&mut batch, names::FINAL, config, &last);
        }
        Ok(batch)
    }

    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        if env >= self.cell.config.num_envs {
            return Err(Error::input(format!("there is no environment {env}; there are {}", self.cell.config.num_envs)));
        }
        if !(1..=MAX_RENDER).contains(&width) || !(1..=MAX_RENDER).contains(&height) {
            return Err(Error::input(format!("images can have edges from 1 to {MAX_RENDER} pixels, got {width} x {height}")));
        }
        let pixels = self.workers.picture(env, self.camera(camera)?, width, height)?;
        Ok(Tensor::from_vec(pixels, &[height, width, 3]))
    }

    fn save_state(&mut self) -> Result<Vec<u8>> {
        if !self.started {
            return Err(Error::input("there is no state to save before the first reset"));
        }
        let mut out = Writer::default();
        out.u64(MAGIC);
        out.u64(self.cell.fingerprint());
        for state in self.workers.save()? {
            out.bytes(&state);
        }
        Ok(out.0)
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let mut from = Reader(state);
        if from.u64()? != MAGIC {
            return Err(Error::input("these bytes are not a saved state of `tabletop`"));
        }
        if from.u64()? != self.cell.fingerprint() {
            return Err(Error::input("the saved state is from a differently configured environment"));
        }
        let states: Vec<&[u8]> = (0..self.cell.config.num_envs).map(|_| from.bytes()).collect::<Result<_>>()?;
        from.end()?;
        self.workers.load(&states)?;
        self.started = true;
        Ok(())
    }
}
