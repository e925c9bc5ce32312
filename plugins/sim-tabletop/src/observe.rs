//! Observations: names, shapes and how they are measured.

use nalgebra::{Isometry3, Matrix4, Rotation3, Translation3, UnitQuaternion};
use twinhost_plugin_api::{Batch, DType, FeatureSpec, Tensor, names};

use crate::config::TabletopConfig;
use crate::gap::Gap;
use crate::kinematics::pointing_down;
use crate::measure::Measured;
use crate::random::{Purpose, normal, rng};

/// What `observation.state` can hold: tool position (m) in the world, rotation vector (rad) from pointing straight down, both finger positions (m).
pub const STATE_NAMES: [&str; 8] = ["x", "y", "z", "rx", "ry", "rz", "finger_left", "finger_right"];
pub const ACTION_NAMES: [&str; 7] = ["dx", "dy", "dz", "rx", "ry", "rz", "gripper"];

pub const EEF_POSE: &str = "privileged.eef_pose";
pub const TARGET_POSE: &str = "privileged.target_pose";
pub const OBJECT_POSES: &str = "privileged.object_poses";
pub const OBJECT_HALF: &str = "privileged.object_half";
pub const SUBTASK_DONE: &str = "privileged.subtask_done";
pub const GRIPPER: &str = "privileged.gripper";
pub const TASK_KIND: &str = "privileged.task_kind";
pub const DELTA_SCALE: &str = "privileged.delta_scale";

/// Simulator-only ground truth.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Tool pose and the controller's goal, row-major 4 x 4.
    pub eef_pose: [f64; 16],
    pub target_pose: [f64; 16],
    /// The thing (object or handle) and its place (tray, target, cabinet), row-major 4 x 4 each.
    pub object_poses: [f64; 32],
    /// Half extents of the object, metres.
    pub object_half: [f64; 3],
    pub subtask_done: bool,
    /// Distance between the fingers, metres.
    pub gripper: f64,
    pub task_kind: i64,
    pub delta_scale: [f64; 2],
}

/// One row.
#[derive(Clone, Debug)]
pub struct Observation {
    pub state: [f32; 8],
    /// One u8 `[H, W, 3]` image per camera.
    pub images: Vec<Vec<u8>>,
    pub task: String,
    pub truth: Option<Truth>,
}

pub fn image_name(camera: &str) -> String {
    format!("{}{camera}", names::IMAGES)
}

pub fn features(config: &TabletopConfig) -> Vec<FeatureSpec> {
    let mut features = vec![
        FeatureSpec::new(names::STATE, DType::F32, &[config.state.len()])
            .named(&config.state.iter().map(String::as_str).collect::<Vec<_>>()),
    ];
    for camera in &config.cameras {
        features.push(
            FeatureSpec::new(image_name(camera), DType::U8, &[config.height, config.width, 3]).named(&["height", "width", "channel"]),
        );
    }
    features
}

pub fn privileged_features() -> Vec<FeatureSpec> {
    vec![
        FeatureSpec::new(EEF_POSE, DType::F64, &[4, 4]),
        FeatureSpec::new(TARGET_POSE, DType::F64, &[4, 4]),
        FeatureSpec::new(OBJECT_POSES, DType::F64, &[2, 4, 4]),
        FeatureSpec::new(OBJECT_HALF, DType::F64, &[3]),
        FeatureSpec::new(SUBTASK_DONE, DType::Bool, &[1]),
        FeatureSpec::new(GRIPPER, DType::F64, &[1]),
        FeatureSpec::new(TASK_KIND, DType::I64, &[1]),
        FeatureSpec::new(DELTA_SCALE, DType::F64, &[2]),
    ]
}

/// Row-major 4 x 4 matrix of a pose.
pub fn matrix(pose: &Isometry3<f64>) -> [f64; 16] {
    let m = pose.to_homogeneous();
    std::array::from_fn(|i| m[(i / 4, i % 4)])
}

/// The pose of a row-major 4 x 4 matrix with an orthonormal rotation.
pub fn pose(row_major: &[f64]) -> Isometry3<f64> {
    let m = Matrix4::from_row_slice(row_major);
    let rotation = Rotation3::from_matrix_unchecked(m.fixed_view::<3, 3>(0, 0).into_owned());
    Isometry3::from_parts(Translation3::new(m[(0, 3)], m[(1, 3)], m[(2, 3)]), UnitQuaternion::from_rotation_matrix(&rotation))
}

/// Proprioception as this twin's sensors report it: truth, plus the calibration error, plus noise of this step.
pub fn state(measured: &Measured, gap: &Gap, seed: u64, step: u64) -> [f32; 8] {
    let position = measured.tcp.translation.vector;
    let turn = (measured.tcp.rotation * pointing_down().inverse()).scaled_axis();
    let mut values = [
        position.x + gap.calibration_offset[0],
        position.y + gap.calibration_offset[1],
        position.z + gap.calibration_offset[2],
        turn.x,
        turn.y,
        turn.z,
        measured.fingers[0],
        measured.fingers[1],
    ];
    if gap.position_noise > 0.0 || gap.rotation_noise > 0.0 || gap.gripper_noise > 0.0 {
        let mut draws = rng(seed, Purpose::Sensors, 2 * step);
        for (i, value) in values.iter_mut().enumerate() {
            let deviation = [gap.position_noise, gap.rotation_noise, gap.gripper_noise][[0, 0, 0, 1, 1, 1, 2, 2][i]];
            *value += deviation * normal(&mut draws);
        }
    }
    values.map(|v| v as f32)
}

/// Adds the rows to `batch`, every name prefixed.
pub fn insert(batch: &mut Batch, prefix: &str, config: &TabletopConfig, rows: &[&Observation]) {
    let count = rows.len();
    let name = |feature: &str| format!("{prefix}{feature}");
    let entries: Vec<usize> = config.state.iter().filter_map(|wanted| STATE_NAMES.iter().position(|n| n == wanted)).collect();
    batch.insert(
        name(names::STATE),
        Tensor::from_vec(rows.iter().flat_map(|r| entries.iter().map(|&i| r.state[i])).collect(), &[count, entries.len()]),
    );
    for (i, camera) in config.cameras.iter().enumerate() {
        let mut pixels = Vec::with_capacity(count * config.height * config.width * 3);
        for row in rows {
            pixels.extend_from_slice(&row.images[i]);
        }
        batch.insert(name(&image_name(camera)), Tensor::from_vec(pixels, &[count, config.height, config.width, 3]));
    }
    batch.insert_text(name(names::TASK), rows.iter().map(|r| r.task.clone()).collect());
    let truths: Vec<&Truth> = rows.iter().filter_map(|r| r.truth.as_ref()).collect();
    if truths.len() != count {
        return;
    }
    fn gather<T: twinhost_plugin_api::Element, const N: usize>(
        truths: &[&Truth],
        field: impl Fn(&Truth) -> [T; N],
        shape: &[usize],
    ) -> Tensor {
        Tensor::from_vec(truths.iter().flat_map(|t| field(t)).collect(), &[&[truths.len()], shape].concat())
    }
    batch.insert(name(EEF_POSE), gather(&truths, |t| t.eef_pose, &[4, 4]));
    batch.insert(name(TARGET_POSE), gather(&truths, |t| t.target_pose, &[4, 4]));
    batch.insert(name(OBJECT_POSES), gather(&truths, |t| t.object_poses, &[2, 4, 4]));
    batch.insert(name(OBJECT_HALF), gather(&truths, |t| t.object_half, &[3]));
    batch.insert(name(SUBTASK_DONE), gather(&truths, |t| [t.subtask_done], &[1]));
    batch.insert(name(GRIPPER), gather(&truths, |t| [t.gripper], &[1]));
    batch.insert(name(TASK_KIND), gather(&truths, |t| [t.task_kind], &[1]));
    batch.insert(name(DELTA_SCALE), gather(&truths, |t| t.delta_scale, &[2]));
}
