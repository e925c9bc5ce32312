//! A kinematic cell for tests: a gripper that goes exactly where it is told, an object with a handle, a place to bring it to.
//!
//! The object attaches when the gripper closes at the handle, whose position depends on the object's orientation, so only a correct
//! object-centric transfer can grasp it. Success: the object rests, released, at the place.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use twinhost_plugin_api::{
    ActRequest, ActionSpec, Batch, DType, Env, EnvKind, EnvSpec, Error, FeatureSpec, Policy, PolicySpec, ResetRequest, Result, SubtaskSpec,
    Tensor,
};

type Pose = Isometry3<f64>;
const SCALE: (f64, f64) = (0.05, 0.3);
/// The handle in the object's frame.
const HANDLE: [f64; 3] = [0.06, 0.02, 0.0];
const MAX_STEPS: usize = 60;

struct Row {
    eef: Pose,
    object: Pose,
    place: Pose,
    /// The object in the frame of the gripper that holds it.
    held: Option<Pose>,
    grasped: bool,
    steps: usize,
    success: bool,
    done: bool,
}

pub struct PointMass {
    rows: Vec<Row>,
    /// Metres by which the gripper may miss the handle.
    pub tolerance: f64,
}

fn pose(x: f64, y: f64, z: f64, yaw: f64) -> Pose {
    Pose::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_scaled_axis(Vector3::z() * yaw))
}

impl PointMass {
    pub fn new(envs: usize, tolerance: f64) -> Self {
        Self { rows: (0..envs).map(|_| Row::new(0)).collect(), tolerance }
    }

    fn observe(&self) -> Batch {
        let n = self.rows.len();
        let gather = |f: &dyn Fn(&Row) -> Vec<f32>, shape: &[usize]| {
            Tensor::from_vec(self.rows.iter().flat_map(f).collect::<Vec<f32>>(), &[&[n], shape].concat())
        };
        let state = |r: &Row| {
            [r.eef.translation.x, r.eef.translation.y, r.eef.translation.z, f64::from(u8::from(r.held.is_some()))]
                .map(|v| v as f32)
                .to_vec()
        };
        let pixels: Vec<u8> = self.rows.iter().flat_map(|r| vec![(100.0 * r.eef.translation.x + 128.0) as u8; 4 * 4 * 3]).collect();
        let mut batch = Batch::new()
            .with("observation.state", gather(&state, &[4]))
            .with("observation.images.base", Tensor::from_vec(pixels, &[n, 4, 4, 3]))
            .with("privileged.eef_pose", gather(&|r| matrix(&r.eef), &[4, 4]))
            .with("privileged.target_pose", gather(&|r| matrix(&r.eef), &[4, 4]))
            .with("privileged.object_poses", gather(&|r| [matrix(&r.object), matrix(&r.place)].concat(), &[2, 4, 4]))
            .with("privileged.subtask_done", Tensor::from_vec(self.rows.iter().map(|r| r.grasped).collect(), &[n, 1]));
        batch.insert_text("task", vec!["bring the object to its place".into(); n]);
        batch
    }
}

fn matrix(p: &Pose) -> Vec<f32> {
    p.to_homogeneous().transpose().iter().map(|&v| v as f32).collect()
}

impl Row {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut around = |x: f64, y: f64, turn: f64| {
            pose(x + random.random_range(-0.15..0.15), y + random.random_range(-0.15..0.15), 0.0, random.random_range(-turn..turn))
        };
        let (object, place) = (around(-0.2, 0.0, 1.5), around(0.25, 0.1, 0.1));
        Self { eef: pose(0.0, 0.0, 0.3, 0.0), object, place, held: None, grasped: false, steps: 0, success: false, done: false }
    }

    fn step(&mut self, action: &[f32], tolerance: f64) {
        let a: Vec<f64> = action.iter().map(|&v| f64::from(v)).collect();
        let turn = UnitQuaternion::from_scaled_axis(Vector3::new(a[3], a[4], a[5]) * SCALE.1);
        let position = self.eef.translation.vector + Vector3::new(a[0], a[1], a[2]) * SCALE.0;
        self.eef = Pose::from_parts(position.into(), turn * self.eef.rotation);
        let close = a[6] < 0.0;
        let handle = self.object * nalgebra::Point3::from(HANDLE);
        if close && self.held.is_none() && (handle.coords - position).norm() < tolerance {
            self.held = Some(self.eef.inverse() * self.object);
            self.grasped = true;
        }
        if !close {
            self.held = None;
        }
        if let Some(held) = self.held {
            self.object = self.eef * held;
        }
        self.steps += 1;
        self.success =
            self.grasped && self.held.is_none() && (self.object.translation.vector - self.place.translation.vector).norm() < 0.03;
    }
}

impl Env for PointMass {
    fn spec(&self) -> EnvSpec {
        let names: Vec<String> = ["dx", "dy", "dz", "rx", "ry", "rz", "gripper"].map(String::from).to_vec();
        let discrete = names.iter().map(|n| n == "gripper").collect();
        EnvSpec {
            kind: EnvKind::Simulated,
            num_envs: self.rows.len(),
            observation: vec![
                FeatureSpec::new("observation.state", DType::F32, &[4]),
                FeatureSpec::new("observation.images.base", DType::U8, &[4, 4, 3]),
            ],
            privileged: vec![
                FeatureSpec::new("privileged.eef_pose", DType::F32, &[4, 4]),
                FeatureSpec::new("privileged.target_pose", DType::F32, &[4, 4]),
                FeatureSpec::new("privileged.object_poses", DType::F32, &[2, 4, 4]),
                FeatureSpec::new("privileged.subtask_done", DType::Bool, &[1]),
            ],
            action: ActionSpec { low: vec![-1.0; 7], high: vec![1.0; 7], names, discrete },
            control_hz: 10.0,
            max_episode_steps: MAX_STEPS,
            variants: vec!["train".into()],
            subtasks: vec![
                SubtaskSpec { name: "grasp".into(), object: Some(0), termination_signal: Some(0) },
                SubtaskSpec { name: "place".into(), object: Some(1), termination_signal: None },
            ],
            pose_delta_scale: Some(SCALE),
        }
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        if request.seeds.len() != self.rows.len() || !request.privileged || request.auto_reset {
            return Err(Error::input("the test environment wants a seed per row, ground truth, and no auto-reset"));
        }
        self.rows = request.seeds.iter().map(|&seed| Row::new(seed)).collect();
        Ok(self.observe())
    }

    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        assert_eq!(actions.shape(), [self.rows.len(), 1, 7]);
        let actions = actions.as_slice::<f32>()?;
        assert!(actions.iter().all(|a| a.abs() <= 1.0));
        let mut rewards = Vec::new();
        for (row, action) in self.rows.iter_mut().zip(actions.chunks(7)) {
            rewards.push(f32::from(u8::from(
                !row.done && {
                    row.step(action, self.tolerance);
                    row.success
                },
            )));
            row.done |= row.success || row.steps == MAX_STEPS;
        }
        let n = self.rows.len();
        let flags = |f: &dyn Fn(&Row) -> bool| self.rows.iter().map(f).collect::<Vec<bool>>();
        Ok(self
            .observe()
            .with("next.reward", Tensor::from_vec(rewards, &[n, 1]))
            .with("next.terminated", Tensor::from_vec(flags(&|r| r.success), &[n, 1]))
            .with("next.truncated", Tensor::from_vec(flags(&|r| r.done && !r.success), &[n, 1]))
            .with("next.success", Tensor::from_vec(flags(&|r| r.success), &[n])))
    }
}

/// Reaches for the handle, then for the place, in chunks of `chunk` steps with the tempo of its row's seed.
pub struct Planner {
    pub chunk: usize,
    speed: Vec<f64>,
}

impl Planner {
    pub fn new(chunk: usize) -> Self {
        Self { chunk, speed: Vec::new() }
    }
}

impl Policy for Planner {
    fn spec(&self) -> PolicySpec {
        PolicySpec {
            action_dim: 7,
            chunk: self.chunk,
            observation: vec![],
            texts: vec![],
            differentiable: false,
            parameters: 0,
            temperature: None,
        }
    }

    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        self.speed = rows.iter().zip(seeds).map(|(_, s)| ChaCha8Rng::seed_from_u64(*s).random_range(0.5..0.9)).collect();
        Ok(())
    }

    fn act(&mut self, observation: &Batch, _: &ActRequest) -> Result<Batch> {
        let poses = |name: &str| -> Result<Vec<Pose>> {
            let numbers = observation.slice::<f32>(name)?;
            Ok(numbers.chunks(16).map(pose_of).collect())
        };
        let (eefs, objects) = (poses("privileged.eef_pose")?, poses("privileged.object_poses")?);
        let states = observation.slice::<f32>("observation.state")?;
        let mut actions = Vec::new();
        for (row, &speed) in self.speed.iter().enumerate() {
            let (mut eef, object, place) = (eefs[row], objects[2 * row], objects[2 * row + 1]);
            let holds = states[4 * row + 3] > 0.5;
            let goal = if holds { place * (object.inverse() * eef) } else { object * pose(HANDLE[0], HANDLE[1], HANDLE[2], 0.0) };
            for _ in 0..self.chunk {
                let step = (goal.translation.vector - eef.translation.vector) / SCALE.0;
                let turn = (goal.rotation * eef.rotation.inverse()).scaled_axis() / SCALE.1;
                let arrived = step.norm() * SCALE.0 < 0.004;
                let limited = |v: Vector3<f64>| if v.norm() > speed { v * (speed / v.norm()) } else { v };
                let (step, turn) = (limited(step), limited(turn));
                eef = Pose::from_parts(
                    (eef.translation.vector + step * SCALE.0).into(),
                    UnitQuaternion::from_scaled_axis(turn * SCALE.1) * eef.rotation,
                );
                // Close at the handle, open at the place.
                let gripper = if holds == arrived { 1.0 } else { -1.0 };
                actions.extend([step.x, step.y, step.z, turn.x, turn.y, turn.z, gripper].map(|v| v as f32));
            }
        }
        Ok(Batch::new().with("action", Tensor::from_vec(actions, &[self.speed.len(), self.chunk, 7])))
    }
}

fn pose_of(m: &[f32]) -> Pose {
    twinhost::data::mimicgen::pose::from_matrix(&m.iter().map(|&v| f64::from(v)).collect::<Vec<_>>()).unwrap()
}
