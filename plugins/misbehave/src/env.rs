//! `faulty_env`: B points on a line that shall come near 0. State `[position]`, action `[velocity]` in [-1, 1], 10 Hz.

use std::sync::atomic::{AtomicU32, Ordering};
use twinhost_plugin_api::{
    ActionSpec, Batch, ComponentConfig, DType, Env, EnvKind, EnvSpec, Error, FeatureSpec, HostServices, ResetRequest, Result, Tensor, names,
};

use crate::fault::{Config, Fault, Trigger, When};

static DICE: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Default)]
struct Row {
    position: f32,
    seed: u64,
    steps: usize,
    done: bool,
    success: bool,
}

pub struct FaultyEnv {
    trigger: Trigger,
    rows: Vec<Row>,
    auto_reset: bool,
}

impl FaultyEnv {
    pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<Self> {
        let trigger = Trigger::new(config.parse::<Config>()?, services)?;
        let rows = vec![Row::default(); trigger.config.num_envs];
        Ok(Self { trigger, rows, auto_reset: false })
    }

    fn observe(&self) -> Batch {
        let positions = self.rows.iter().map(|r| r.position).collect();
        let mut out = Batch::new().with(names::STATE, Tensor::from_vec(positions, &[self.rows.len(), 1]));
        out.insert_text(names::TASK, vec!["go to the middle".into(); self.rows.len()]);
        out
    }

    fn bend(&self, mut out: Batch) -> Batch {
        let rows = self.rows.len();
        if self.trigger.is(Fault::Nan) {
            out.insert(names::STATE, Tensor::from_vec(vec![f32::NAN; rows], &[rows, 1]));
        }
        if self.trigger.is(Fault::WrongShape) {
            out.insert(names::STATE, Tensor::zeros::<f32>(&[rows + 1, 1]));
        }
        if self.trigger.is(Fault::Missing) {
            out.remove(names::STATE);
        }
        if self.trigger.is(Fault::Dice) {
            let dice = DICE.fetch_add(1, Ordering::Relaxed) as f32;
            out.insert(names::STATE, Tensor::from_vec(vec![dice; rows], &[rows, 1]));
        }
        out
    }
}

impl Row {
    fn begin(seed: u64) -> Self {
        // A few bits of the seed, spread over [-1, 1).
        let position = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        Self { position, seed, ..Self::default() }
    }
}

impl Env for FaultyEnv {
    fn spec(&self) -> EnvSpec {
        self.trigger.spec();
        EnvSpec {
            kind: EnvKind::Simulated,
            num_envs: self.rows.len(),
            observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[1]).named(&["position"])],
            privileged: Vec::new(),
            action: ActionSpec { names: vec!["velocity".into()], low: vec![-1.0], high: vec![1.0], discrete: vec![false] },
            control_hz: 10.0,
            max_episode_steps: self.trigger.config.episode,
            variants: vec!["train".into()],
            subtasks: Vec::new(),
            pose_delta_scale: None,
        }
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        self.trigger.pull(When::Reset)?;
        if !self.trigger.is(Fault::Careless) {
            if request.seeds.len() != self.rows.len() {
                return Err(Error::input(format!("{} seeds for {} environments", request.seeds.len(), self.rows.len())));
            }
            if !["", "train"].contains(&request.variant.as_str()) {
                return Err(Error::input(format!("no variant `{}` (there is: train)", request.variant)));
            }
        }
        self.auto_reset = request.auto_reset;
        for (row, seed) in self.rows.iter_mut().zip(&request.seeds) {
            *row = Row::begin(*seed);
        }
        Ok(self.observe())
    }

    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        self.trigger.pull(When::Main)?;
        let (rows, chunk) = (self.rows.len(), actions.dim(1));
        if actions.shape() != [rows, chunk, 1] {
            return Err(Error::input(format!("actions must be [{rows}, C, 1], got {:?}", actions.shape())));
        }
        let actions = actions.as_slice::<f32>()?;
        let careless = self.trigger.is(Fault::Careless);
        if let Some(bad) = actions.iter().find(|a| !careless && !a.is_finite()) {
            return Err(Error::input(format!("an action is {bad}")));
        }
        let (mut reward, mut terminated, mut truncated) = (vec![0f32; rows * chunk], vec![false; rows * chunk], vec![false; rows * chunk]);
        for (i, row) in self.rows.iter_mut().enumerate() {
            for at in (i * chunk..(i + 1) * chunk).take_while(|_| !row.done) {
                row.position += 0.1 * actions[at].clamp(-1.0, 1.0);
                row.steps += 1;
                row.success = row.position.abs() < 0.05;
                reward[at] = f32::from(u8::from(row.success));
                terminated[at] = row.success;
                truncated[at] = !row.success && row.steps >= self.trigger.config.episode;
                if terminated[at] || truncated[at] {
                    row.done = true;
                    break;
                }
            }
        }
        let ended = self.rows.iter().any(|r| r.done);
        let success = self.rows.iter().map(|r| r.success).collect();
        let last = self.observe();
        if self.auto_reset {
            for row in self.rows.iter_mut().filter(|r| r.done) {
                *row = Row::begin(row.seed.wrapping_add(1));
            }
        }
        let mut out = self.observe();
        if ended && self.auto_reset {
            out.insert(format!("{}{}", names::FINAL, names::STATE), last.get(names::STATE)?.try_clone()?);
        }
        out.insert(names::REWARD, Tensor::from_vec(reward, &[rows, chunk]));
        out.insert(names::TERMINATED, Tensor::from_vec(terminated, &[rows, chunk]));
        out.insert(names::TRUNCATED, Tensor::from_vec(truncated, &[rows, chunk]));
        out.insert(names::SUCCESS, Tensor::from_vec(success, &[rows]));
        Ok(self.bend(out))
    }
}
