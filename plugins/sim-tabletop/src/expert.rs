//! `tabletop_expert`: a scripted planner that solves every task from privileged state, with human-like variation.
//!
//! It plays the demonstrator on the stand-in twin and the upper bound in evaluations. Every row carries a small memory (which
//! phase of the plan it is in); `reset` starts a new plan. Equal seeds and observations give equal actions.

mod plan;

use nalgebra::Vector3;
use serde::Deserialize;
use twinhost_plugin_api::{ActRequest, Batch, ComponentConfig, Error, HostServices, Policy, PolicySpec, Result, Tensor, names};

use crate::config::TaskKind;
use crate::controller::ACTION_DIM;
use crate::observe::{self, pose};
use crate::random::{Purpose, normal, rng};
use plan::{Mind, Scene};

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpertConfig {
    /// Control steps per call (C).
    pub chunk: usize,
    /// Slowest and fastest demonstrator, as shares of the largest step.
    pub speed: (f64, f64),
    /// Standard deviation of the noise on every motion command, in action units.
    pub noise: f64,
    /// Size of the waypoints' variation: 0 is a machine, 1 a person.
    pub variation: f64,
}

impl Default for ExpertConfig {
    fn default() -> Self {
        Self { chunk: 1, speed: (0.75, 1.0), noise: 0.03, variation: 1.0 }
    }
}

pub struct Expert {
    config: ExpertConfig,
    minds: Vec<Mind>,
}

impl Expert {
    /// # Errors
    /// `InvalidConfig` for a value out of range.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: ExpertConfig = config.parse()?;
        if !(1..=64).contains(&config.chunk) {
            return Err(Error::config("chunk", format!("must be from 1 to 64 control steps, got {}", config.chunk)));
        }
        let (slow, fast) = config.speed;
        if !(slow >= 0.1 && slow <= fast && fast <= 1.0) {
            return Err(Error::config("speed", format!("must be two shares with 0.1 <= slowest <= fastest <= 1, got ({slow}, {fast})")));
        }
        if !(0.0..=0.5).contains(&config.noise) {
            return Err(Error::config("noise", format!("must be from 0 to 0.5, got {}", config.noise)));
        }
        if !(0.0..=2.0).contains(&config.variation) {
            return Err(Error::config("variation", format!("must be from 0 to 2, got {}", config.variation)));
        }
        Ok(Self { config, minds: Vec::new() })
    }

    fn mind(&mut self, row: usize, seed: u64) -> &mut Mind {
        while self.minds.len() <= row {
            let next = seed.wrapping_add(self.minds.len() as u64);
            self.minds.push(Mind::new(next, self.config.speed, self.config.variation));
        }
        &mut self.minds[row]
    }
}

const NEEDS: [&str; 7] = [
    observe::EEF_POSE,
    observe::TARGET_POSE,
    observe::OBJECT_POSES,
    observe::OBJECT_HALF,
    observe::GRIPPER,
    observe::TASK_KIND,
    observe::DELTA_SCALE,
];

/// Reads one row of privileged state.
fn scene(observation: &Batch, row: usize) -> Result<Scene> {
    let slice = |name: &str, width: usize| -> Result<&[f64]> {
        let (tensor, values) = (observation.get(name)?, observation.slice::<f64>(name)?);
        if tensor.row_len() != width {
            return Err(Error::input(format!("feature `{name}` must have {width} numbers a row, got the shape {:?}", tensor.shape())));
        }
        values
            .get(row * width..(row + 1) * width)
            .ok_or_else(|| Error::input(format!("feature `{name}` has no row {row} of {width} numbers")))
    };
    let objects = slice(observe::OBJECT_POSES, 32)?;
    let kinds = observation.slice::<i64>(observe::TASK_KIND)?;
    if kinds.len() != observation.get(observe::EEF_POSE)?.dim(0) {
        return Err(Error::input(format!("feature `{}` must have one number a row, got {}", observe::TASK_KIND, kinds.len())));
    }
    let task = match kinds.get(row) {
        Some(0) => TaskKind::PickPlace,
        Some(1) => TaskKind::PushCube,
        Some(2) => TaskKind::OpenDrawer,
        Some(3) => TaskKind::CloseDrawer,
        other => return Err(Error::input(format!("feature `{}` holds the unknown task {other:?}", observe::TASK_KIND))),
    };
    let half = slice(observe::OBJECT_HALF, 3)?;
    let scale = slice(observe::DELTA_SCALE, 2)?;
    Ok(Scene {
        task,
        eef: pose(slice(observe::EEF_POSE, 16)?),
        goal: pose(slice(observe::TARGET_POSE, 16)?),
        thing: pose(&objects[..16]),
        place: pose(&objects[16..]),
        half: Vector3::new(half[0], half[1], half[2]),
        gripper: slice(observe::GRIPPER, 1)?[0],
        scale: (scale[0], scale[1]),
    })
}

impl Policy for Expert {
    fn spec(&self) -> PolicySpec {
        PolicySpec {
            action_dim: ACTION_DIM,
            chunk: self.config.chunk,
            observation: NEEDS.map(String::from).to_vec(),
            texts: Vec::new(),
            differentiable: false,
            parameters: 0,
            temperature: None,
        }
    }

    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        if rows.len() != seeds.len() {
            return Err(Error::input(format!("reset got {} rows and {} seeds", rows.len(), seeds.len())));
        }
        for (&row, &seed) in rows.iter().zip(seeds) {
            if row > 1 << 16 {
                return Err(Error::input(format!("row {row} is out of range")));
            }
            let (speed, variation) = (self.config.speed, self.config.variation);
            *self.mind(row, seed) = Mind::new(seed, speed, variation);
        }
        Ok(())
    }

    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        let rows = observation.get(observe::EEF_POSE).map_err(|e| e.context("the expert needs `privileged` observations"))?.dim(0);
        let (chunk, noise) = (self.config.chunk, self.config.noise);
        let mut actions = Vec::with_capacity(rows * chunk * ACTION_DIM);
        for row in 0..rows {
            let mut scene = scene(observation, row)?;
            let mind = self.mind(row, request.seed);
            for _ in 0..chunk {
                let mut action = mind.next(&scene);
                let mut tremor = rng(mind.seed, Purpose::Tremor, mind.step);
                for value in &mut action[..6] {
                    *value = (*value + noise * normal(&mut tremor)).clamp(-1.0, 1.0);
                }
                scene.predict(&action);
                actions.extend(action.map(|v| v as f32));
            }
        }
        Ok(Batch::new()
            .with(names::ACTION, Tensor::from_vec(actions, &[rows, chunk, ACTION_DIM]))
            .with(names::WEIGHTS_VERSION, Tensor::zeros::<i64>(&[rows])))
    }
}
