//! `line`: two points. State `[position, steps]`; a step adds the action, in [-1, 1], to the position; an episode has ten steps.

use twinhost_plugin_api::{
    ActionSpec, Batch, ComponentConfig, DType, Env, EnvKind, EnvSpec, Error, FeatureSpec, HostServices, ResetRequest, Result, Tensor, names,
};

const ROWS: usize = 2;
const EPISODE: usize = 10;

#[derive(Clone, Copy, Default)]
struct Point {
    position: f32,
    steps: usize,
    seed: u64,
}

pub struct Line {
    points: [Point; ROWS],
    auto_reset: bool,
}

impl Line {
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self { points: [Point::default(); ROWS], auto_reset: false })
    }

    fn states(&self) -> Tensor {
        Tensor::from_vec(self.points.iter().flat_map(|p| [p.position, p.steps as f32]).collect(), &[ROWS, 2])
    }

    fn observe(&self) -> Batch {
        let mut out = Batch::new().with(names::STATE, self.states());
        out.insert_text(names::TASK, vec!["move".into(); ROWS]);
        out
    }
}

fn begin(seed: u64) -> Point {
    Point { position: (seed % 7) as f32, steps: 0, seed }
}

impl Env for Line {
    fn spec(&self) -> EnvSpec {
        EnvSpec {
            kind: EnvKind::Simulated,
            num_envs: ROWS,
            observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[2]).named(&["position", "steps"])],
            privileged: Vec::new(),
            action: ActionSpec { names: vec!["move".into()], low: vec![-1.0], high: vec![1.0], discrete: vec![false] },
            control_hz: 10.0,
            max_episode_steps: EPISODE,
            variants: vec!["train".into()],
            subtasks: Vec::new(),
            pose_delta_scale: None,
        }
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        let Ok(seeds) = <[u64; ROWS]>::try_from(request.seeds.as_slice()) else {
            return Err(Error::input(format!("{} seeds for {ROWS} environments", request.seeds.len())));
        };
        if !["", "train"].contains(&request.variant.as_str()) {
            return Err(Error::input(format!("no variant `{}`", request.variant)));
        }
        self.auto_reset = request.auto_reset;
        self.points = seeds.map(begin);
        Ok(self.observe())
    }

    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        let chunk = actions.dim(1);
        if actions.shape() != [ROWS, chunk, 1] {
            return Err(Error::input(format!("actions must be [{ROWS}, C, 1], got {:?}", actions.shape())));
        }
        let actions = actions.as_slice::<f32>()?;
        if actions.iter().any(|a| !a.is_finite()) {
            return Err(Error::input("an action is not a number"));
        }
        let (mut reward, mut truncated) = (vec![0f32; ROWS * chunk], vec![false; ROWS * chunk]);
        for (row, point) in self.points.iter_mut().enumerate() {
            for at in row * chunk..(row + 1) * chunk {
                if point.steps == EPISODE {
                    break;
                }
                point.position += actions[at];
                point.steps += 1;
                reward[at] = actions[at];
                truncated[at] = point.steps == EPISODE;
            }
        }
        let ended = self.auto_reset && truncated.contains(&true);
        let last = ended.then(|| self.states());
        if self.auto_reset {
            for point in self.points.iter_mut().filter(|p| p.steps == EPISODE) {
                *point = begin(point.seed + 1);
            }
        }
        let mut out = self.observe();
        if let Some(last) = last {
            out.insert(format!("{}{}", names::FINAL, names::STATE), last);
        }
        out.insert(names::REWARD, Tensor::from_vec(reward, &[ROWS, chunk]));
        out.insert(names::TERMINATED, Tensor::zeros::<bool>(&[ROWS, chunk]));
        out.insert(names::TRUNCATED, Tensor::from_vec(truncated, &[ROWS, chunk]));
        out.insert(names::SUCCESS, Tensor::zeros::<bool>(&[ROWS]));
        Ok(out)
    }

    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        if env >= ROWS || !camera.is_empty() {
            return Err(Error::input(format!("no environment {env} or no camera `{camera}`")));
        }
        Ok(Tensor::from_vec(vec![200u8; width * height * 3], &[height, width, 3]))
    }

    fn save_state(&mut self) -> Result<Vec<u8>> {
        let number = |p: &Point| [u64::from(p.position.to_bits()), p.steps as u64, p.seed];
        let words = self.points.iter().flat_map(number).chain([u64::from(self.auto_reset)]);
        Ok(words.flat_map(u64::to_le_bytes).collect())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let words: Vec<u64> = state.chunks_exact(8).map(|w| w.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))).collect();
        if state.len() != 8 * (3 * ROWS + 1) {
            return Err(Error::input(format!("{} bytes are no state of this environment", state.len())));
        }
        for (point, w) in self.points.iter_mut().zip(words.chunks_exact(3)) {
            *point = Point { position: f32::from_bits(w[0] as u32), steps: w[1] as usize, seed: w[2] };
        }
        self.auto_reset = words[3 * ROWS] != 0;
        Ok(())
    }
}
