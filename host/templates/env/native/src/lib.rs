//! Points on a table: each shall come within `tolerance` of its goal. A small simulator to begin with.
//!
//! Observation `observation.state` f32 `[4]`: position x, y and goal x, y, in metres, within [-1, 1]. Action `[2]`: velocity in m/s, [-1, 1].

use serde::Deserialize;
use twinhost_plugin_api::{
    ActionSpec, Batch, ComponentConfig, DType, Env, EnvKind, EnvSpec, Error, FeatureSpec, HostServices, ResetRequest, Result, Tensor, names,
};

const CONTROL_HZ: f32 = 10.0;
const TASK: &str = "go to the goal";

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Instances side by side (B).
    num_envs: usize,
    max_episode_steps: usize,
    /// Distance to the goal that counts as success, m.
    tolerance: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { num_envs: 4, max_episode_steps: 50, tolerance: 0.05 }
    }
}

/// One instance.
#[derive(Clone, Default)]
struct Point {
    position: [f32; 2],
    goal: [f32; 2],
    seed: u64,
    steps: usize,
    success: bool,
    over: bool,
}

pub struct {{Type}} {
    config: Config,
    points: Vec<Point>,
    auto_reset: bool,
}

/// Uniform in [-1, 1), a function of seed and counter (SplitMix64): equal seeds give equal episodes.
fn uniform(seed: u64, counter: u64) -> f32 {
    let mut z = seed.wrapping_add((counter + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

impl Point {
    fn new(seed: u64) -> Self {
        let draw = |k| uniform(seed, k);
        Self { position: [draw(0), draw(1)], goal: [draw(2), draw(3)], seed, ..Self::default() }
    }

    /// One control step; returns its reward.
    fn step(&mut self, velocity: &[f32], config: &Config) -> f32 {
        for (x, v) in self.position.iter_mut().zip(velocity) {
            *x = (*x + v.clamp(-1.0, 1.0) / CONTROL_HZ).clamp(-1.0, 1.0);
        }
        self.steps += 1;
        let distance = (self.position[0] - self.goal[0]).hypot(self.position[1] - self.goal[1]);
        self.success = distance < config.tolerance;
        self.over = self.success || self.steps >= config.max_episode_steps;
        f32::from(u8::from(self.success))
    }
}

impl {{Type}} {
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if config.num_envs == 0 || config.max_episode_steps == 0 {
            return Err(Error::config("num_envs", "`num_envs` and `max_episode_steps` must be at least 1"));
        }
        if !(config.tolerance > 0.0 && config.tolerance.is_finite()) {
            return Err(Error::config("tolerance", format!("must be above 0, got {}", config.tolerance)));
        }
        let points = vec![Point::default(); config.num_envs];
        Ok(Self { config, points, auto_reset: false })
    }

    fn states(&self) -> Tensor {
        let values = self.points.iter().flat_map(|p| [p.position[0], p.position[1], p.goal[0], p.goal[1]]).collect();
        Tensor::from_vec(values, &[self.points.len(), 4])
    }

    fn observe(&self) -> Batch {
        let mut out = Batch::new().with(names::STATE, self.states());
        out.insert_text(names::TASK, vec![TASK.into(); self.points.len()]);
        out
    }
}

impl Env for {{Type}} {
    fn spec(&self) -> EnvSpec {
        EnvSpec {
            kind: EnvKind::Simulated,
            num_envs: self.points.len(),
            observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[4]).named(&["x", "y", "goal_x", "goal_y"])],
            privileged: Vec::new(),
            action: ActionSpec {
                names: vec!["vx".into(), "vy".into()],
                low: vec![-1.0; 2],
                high: vec![1.0; 2],
                discrete: vec![false; 2],
            },
            control_hz: f64::from(CONTROL_HZ),
            max_episode_steps: self.config.max_episode_steps,
            variants: vec!["train".into()],
            subtasks: Vec::new(),
            pose_delta_scale: None,
        }
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        if request.seeds.len() != self.points.len() {
            return Err(Error::input(format!("{} seeds for {} environments", request.seeds.len(), self.points.len())));
        }
        if !["", "train"].contains(&request.variant.as_str()) {
            return Err(Error::input(format!("there is no variant `{}`; there is: train", request.variant)));
        }
        self.auto_reset = request.auto_reset;
        self.points = request.seeds.iter().map(|&seed| Point::new(seed)).collect();
        Ok(self.observe())
    }

    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        let (rows, chunk) = (self.points.len(), actions.dim(1));
        if actions.shape() != [rows, chunk, 2] {
            return Err(Error::input(format!("actions must be [{rows}, C, 2], got {:?}", actions.shape())));
        }
        let actions = actions.as_slice::<f32>()?;
        if let Some(bad) = actions.iter().find(|a| !a.is_finite()) {
            return Err(Error::input(format!("an action is {bad}")));
        }
        let (mut reward, mut terminated, mut truncated) = (vec![0f32; rows * chunk], vec![false; rows * chunk], vec![false; rows * chunk]);
        for (row, point) in self.points.iter_mut().enumerate() {
            for at in row * chunk..(row + 1) * chunk {
                // Steps after the end of an episode are not executed.
                if point.over {
                    break;
                }
                reward[at] = point.step(&actions[2 * at..2 * at + 2], &self.config);
                terminated[at] = point.success;
                truncated[at] = point.over && !point.success;
            }
        }
        let success = self.points.iter().map(|p| p.success).collect();
        let last = self.auto_reset && self.points.iter().any(|p| p.over);
        let last = last.then(|| self.states());
        if self.auto_reset {
            for point in self.points.iter_mut().filter(|p| p.over) {
                *point = Point::new(point.seed.wrapping_add(1));
            }
        }
        let mut out = self.observe();
        if let Some(last) = last {
            out.insert(format!("{}{}", names::FINAL, names::STATE), last);
        }
        out.insert(names::REWARD, Tensor::from_vec(reward, &[rows, chunk]));
        out.insert(names::TERMINATED, Tensor::from_vec(terminated, &[rows, chunk]));
        out.insert(names::TRUNCATED, Tensor::from_vec(truncated, &[rows, chunk]));
        out.insert(names::SUCCESS, Tensor::from_vec(success, &[rows]));
        Ok(out)
    }
}

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    envs: { "{{name}}" => {{Type}}::create },
}
