//! Version 1 of the plugin interface. Frozen once shipped: changes go into a `v2` beside it.

pub mod algorithm;
pub mod batch;
pub mod camera;
pub mod config;
pub mod env;
pub mod error;
pub mod export;
pub mod guard;
pub mod module;
pub mod policy;
pub mod reward;
pub mod robot;
pub mod services;
pub mod spec;
pub mod teleop;
pub mod tensor;

pub use algorithm::{Algorithm, Anchor, BatchSource, BatchSource_TO, BatchSourceBox, Metrics, UpdateRequest};
pub use batch::{Batch, names};
pub use camera::Camera;
pub use config::ComponentConfig;
pub use env::{Env, ResetRequest};
pub use error::{Error, ErrorKind, Result};
pub use policy::{ActMode, ActRequest, Policy};
pub use reward::Reward;
pub use robot::Robot;
pub use services::{HostServices, LogLevel};
pub use spec::{
    ActionSpec, AlgorithmSpec, CameraSpec, DatasetStatistics, EnvKind, EnvSpec, FeatureSpec, FeatureStatistics, Paradigm, PolicySpec,
    RewardSpec, RobotSpec, SubtaskSpec, TeleopSpec,
};
pub use teleop::Teleop;
pub use tensor::{DType, Device, Element, Tensor};
