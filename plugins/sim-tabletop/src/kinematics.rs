//! Kinematics of the arm: forward kinematics and Jacobian from the published Denavit-Hartenberg table, and the damped
//! least-squares inverse that the controller uses.
//!
//! Source of the numbers: Franka Emika's robot and interface specifications (Craig's convention, metres and radians).

use nalgebra::{Isometry3, Matrix6, SMatrix, SVector, Translation3, UnitQuaternion, Vector3, Vector6};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

pub const JOINTS: usize = 7;
pub type JointVector = SVector<f64, JOINTS>;

/// One row of the table: frame i is reached from frame i-1 by Rot_x(alpha) Trans_x(a) Rot_z(q) Trans_z(d).
pub struct DhRow {
    pub a: f64,
    pub d: f64,
    pub alpha: f64,
}

pub const DH: [DhRow; JOINTS] = [
    DhRow { a: 0.0, d: 0.333, alpha: 0.0 },
    DhRow { a: 0.0, d: 0.0, alpha: -FRAC_PI_2 },
    DhRow { a: 0.0, d: 0.316, alpha: FRAC_PI_2 },
    DhRow { a: 0.0825, d: 0.0, alpha: FRAC_PI_2 },
    DhRow { a: -0.0825, d: 0.384, alpha: -FRAC_PI_2 },
    DhRow { a: 0.0, d: 0.0, alpha: FRAC_PI_2 },
    DhRow { a: 0.088, d: 0.0, alpha: FRAC_PI_2 },
];
/// Joint 7 to the flange, along z.
pub const FLANGE: f64 = 0.107;
/// The hand is mounted turned by -45 degrees about the flange's z axis.
pub const HAND_YAW: f64 = -FRAC_PI_4;
/// Hand frame to the point between the fingertips, along z.
pub const TCP: f64 = 0.1034;

pub const JOINT_LOW: [f64; JOINTS] = [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973];
pub const JOINT_HIGH: [f64; JOINTS] = [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973];
/// Largest joint torques, N m.
pub const TORQUE_LIMIT: [f64; JOINTS] = [87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0];
/// Where the robot's base stands in the world (the table top is z = 0).
pub const BASE: [f64; 3] = [-0.615, 0.0, 0.0];
/// Rest posture: the hand points straight down over the middle of the table.
pub const REST: [f64; JOINTS] = [0.0, FRAC_PI_4 / 2.0, 0.0, -5.0 * FRAC_PI_4 / 2.0, 0.0, 3.0 * FRAC_PI_4, FRAC_PI_4];

/// Damping of the least-squares step.
const DAMPING: f64 = 1e-4;
const MAX_ITERATIONS: usize = 8;
const POSITION_TOLERANCE: f64 = 1e-5;
const ROTATION_TOLERANCE: f64 = 1e-4;
/// Share of the distance to the rest posture that the redundant joint recovers in one iteration.
const POSTURE_GAIN: f64 = 0.02;

/// Pose of the tool centre point in the world, with the joint axes' origins and directions on the way.
struct Chain {
    tcp: Isometry3<f64>,
    axes: [(Vector3<f64>, Vector3<f64>); JOINTS],
}

fn chain(q: &JointVector) -> Chain {
    let mut frame = Isometry3::translation(BASE[0], BASE[1], BASE[2]);
    let mut axes = [(Vector3::zeros(), Vector3::zeros()); JOINTS];
    for (i, row) in DH.iter().enumerate() {
        frame *= UnitQuaternion::from_axis_angle(&Vector3::x_axis(), row.alpha);
        frame *= Translation3::new(row.a, 0.0, 0.0);
        frame *= UnitQuaternion::from_axis_angle(&Vector3::z_axis(), q[i]);
        frame *= Translation3::new(0.0, 0.0, row.d);
        axes[i] = (frame.translation.vector, frame.rotation * Vector3::z());
    }
    frame *= Translation3::new(0.0, 0.0, FLANGE);
    frame *= UnitQuaternion::from_axis_angle(&Vector3::z_axis(), HAND_YAW);
    frame *= Translation3::new(0.0, 0.0, TCP);
    Chain { tcp: frame, axes }
}

/// World pose of the tool centre point.
pub fn forward(q: &JointVector) -> Isometry3<f64> {
    chain(q).tcp
}

/// World-frame geometric Jacobian `[linear; angular]` of the tool centre point, 6 x 7.
pub fn jacobian(q: &JointVector) -> SMatrix<f64, 6, JOINTS> {
    let chain = chain(q);
    let mut jacobian = SMatrix::<f64, 6, JOINTS>::zeros();
    for (i, (origin, axis)) in chain.axes.iter().enumerate() {
        let linear = axis.cross(&(chain.tcp.translation.vector - origin));
        jacobian.fixed_view_mut::<3, 1>(0, i).copy_from(&linear);
        jacobian.fixed_view_mut::<3, 1>(3, i).copy_from(axis);
    }
    jacobian
}

/// `[translation; rotation vector]` that leads from `from` to `to`, both in the world frame.
pub fn pose_error(from: &Isometry3<f64>, to: &Isometry3<f64>) -> Vector6<f64> {
    let linear = to.translation.vector - from.translation.vector;
    let angular = (to.rotation * from.rotation.inverse()).scaled_axis();
    Vector6::new(linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
}

/// Joint positions whose tool pose is `target`, starting from `start`: the damped least-squares step
/// dq = (J'J + 1e-4 I)^-1 J' e, written as J'(JJ' + 1e-4 I)^-1 e, repeated until the error is negligible. The redundant seventh
/// degree of freedom drifts towards the rest posture; joint limits hold throughout.
pub fn inverse(start: &JointVector, target: &Isometry3<f64>) -> JointVector {
    let rest = JointVector::from(REST);
    let mut q = *start;
    for _ in 0..MAX_ITERATIONS {
        let error = pose_error(&forward(&q), target);
        if error.fixed_rows::<3>(0).norm() < POSITION_TOLERANCE && error.fixed_rows::<3>(3).norm() < ROTATION_TOLERANCE {
            break;
        }
        let j = jacobian(&q);
        let damped = j * j.transpose() + Matrix6::identity() * DAMPING;
        let Some(factor) = damped.cholesky() else { break };
        let posture = (rest - q) * POSTURE_GAIN;
        // J'(..)^-1 (e - J p) + p: the posture term acts in the null space only.
        let step = j.transpose() * factor.solve(&(error - j * posture)) + posture;
        for i in 0..JOINTS {
            q[i] = (q[i] + step[i]).clamp(JOINT_LOW[i], JOINT_HIGH[i]);
        }
    }
    q
}

/// Orientation of a hand that points straight down, fingers opening along the world's y axis.
pub fn pointing_down() -> UnitQuaternion<f64> {
    UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI)
}
