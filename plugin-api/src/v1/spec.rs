//! What a component says about itself. Specs cross the boundary as JSON, so they can gain optional fields without a new ABI.

use serde::{Deserialize, Serialize};

use super::tensor::DType;

/// One named feature of an observation, without the batch axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSpec {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Names of the last axis' entries (LeRobot's `names`), may be empty.
    #[serde(default)]
    pub names: Vec<String>,
}

impl FeatureSpec {
    pub fn new(name: impl Into<String>, dtype: DType, shape: &[usize]) -> Self {
        Self { name: name.into(), dtype, shape: shape.to_vec(), names: Vec::new() }
    }
    #[must_use]
    pub fn named(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(ToString::to_string).collect();
        self
    }
}

/// The action of one control step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionSpec {
    pub names: Vec<String>,
    pub low: Vec<f32>,
    pub high: Vec<f32>,
    /// Entries that are discrete in nature (a gripper) and must not be normalised by quantiles.
    #[serde(default)]
    pub discrete: Vec<bool>,
}

impl ActionSpec {
    pub fn dim(&self) -> usize {
        self.names.len()
    }
}

/// Whether data from an environment may be called real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvKind {
    /// A simulator.
    Simulated,
    /// A simulator that plays the part of a real robot; every report labels it so.
    StandIn,
    /// Hardware.
    Real,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvSpec {
    pub kind: EnvKind,
    pub num_envs: usize,
    pub observation: Vec<FeatureSpec>,
    /// Ground truth available on request (`ResetRequest::privileged`).
    #[serde(default)]
    pub privileged: Vec<FeatureSpec>,
    pub action: ActionSpec,
    pub control_hz: f64,
    pub max_episode_steps: usize,
    /// Names accepted in `ResetRequest::variant`; the first is the training distribution.
    pub variants: Vec<String>,
    /// Ordered subtasks for object-centric data generation, empty if not supported.
    #[serde(default)]
    pub subtasks: Vec<SubtaskSpec>,
    /// Largest translation (m) and rotation (rad) that an action of 1 commands, for pose-delta actions.
    #[serde(default)]
    pub pose_delta_scale: Option<(f64, f64)>,
}

/// One object-centric subtask (MimicGen).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubtaskSpec {
    pub name: String,
    /// Index of the reference object in `privileged.object_poses`, `None` for a segment in the world frame.
    pub object: Option<usize>,
    /// Column of `privileged.subtask_done` that ends the subtask, `None` for the last one.
    pub termination_signal: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicySpec {
    pub action_dim: usize,
    /// Control steps per call (C).
    pub chunk: usize,
    /// Observation features that `act` reads.
    pub observation: Vec<String>,
    /// Texts that `act` reads.
    #[serde(default)]
    pub texts: Vec<String>,
    /// Has a differentiable side, so algorithms can train it.
    pub differentiable: bool,
    #[serde(default)]
    pub parameters: u64,
    /// Softmax temperature at which the differentiable side scores actions; training rollouts must sample at the same one. `None`: any.
    #[serde(default)]
    pub temperature: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmSpec {
    pub paradigm: Paradigm,
    /// Features the training batch must have.
    pub needs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Paradigm {
    /// `update` gets a batch of demonstration rows.
    Supervised,
    /// `update` gets the time-major rollout `[T, B, ...]` of the current weights.
    OnPolicy,
    /// `update` gets sampled transitions.
    OffPolicy,
}

/// Per-dimension statistics of the training data, computed once and fixed for every later stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureStatistics {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    /// Exact 1 % and 99 % quantiles over all frames.
    pub q01: Vec<f64>,
    pub q99: Vec<f64>,
    /// Dimensions to normalise (false for a discrete gripper).
    pub mask: Vec<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetStatistics {
    pub action: FeatureStatistics,
    pub state: FeatureStatistics,
    /// Every distinct instruction.
    pub tasks: Vec<String>,
    pub num_transitions: u64,
    pub num_trajectories: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardSpec {
    /// Features `score` reads besides the `next.*` ones.
    pub needs: Vec<String>,
    /// `score` also decides `next.success`.
    #[serde(default)]
    pub decides_success: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobotSpec {
    pub observation: Vec<FeatureSpec>,
    pub action: ActionSpec,
    pub control_hz: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CameraSpec {
    pub width: usize,
    pub height: usize,
    pub fps: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeleopSpec {
    pub action: ActionSpec,
}
