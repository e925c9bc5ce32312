//! Rigid-body arithmetic of MimicGen (Mandlekar et al. 2023, arXiv 2310.17596): moving a demonstrated segment to where the object is
//! now, joining segments, and turning poses into delta-pose actions.

use nalgebra::{Isometry3, Matrix3, Rotation3, Translation3, UnitQuaternion, Vector3};

pub type Pose = Isometry3<f64>;

/// Rotations smaller than this (rad) are not interpolated: the interpolation takes the final orientation at once.
const SMALL_ANGLE: f64 = 0.05;

/// From a homogeneous 4x4 matrix, row-major.
pub fn from_matrix(m: &[f64]) -> Option<Pose> {
    if m.len() != 16 || m.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let rotation = Matrix3::new(m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]);
    // A reflection or a scaling is no pose; the tolerance admits matrices that were stored as f32.
    if (rotation.determinant() - 1.0).abs() > 1e-3 {
        return None;
    }
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(rotation));
    Some(Pose::from_parts(Translation3::new(m[3], m[7], m[11]), rotation))
}

/// Where `poses`, demonstrated around an object at `source`, belong now that the object is at `now`:
/// `S' = T_now * T_source^-1 * S`.
pub fn transfer(poses: &[Pose], source: &Pose, now: &Pose) -> Vec<Pose> {
    let motion = now * source.inverse();
    poses.iter().map(|p| motion * p).collect()
}

/// `count` poses strictly between `from` and `to`: positions on the line, rotations about the fixed axis of `R_to * R_from^T`.
pub fn interpolate(from: &Pose, to: &Pose, count: usize) -> Vec<Pose> {
    let turn = (to.rotation * from.rotation.inverse()).scaled_axis();
    let step = to.translation.vector - from.translation.vector;
    let at = |i: usize| {
        let fraction = i as f64 / (count + 1) as f64;
        let rotation =
            if turn.norm() < SMALL_ANGLE { to.rotation } else { UnitQuaternion::from_scaled_axis(turn * fraction) * from.rotation };
        Pose::from_parts((from.translation.vector + step * fraction).into(), rotation)
    };
    (1..=count).map(at).collect()
}

/// `weights.0 * |p_a - p_b| + weights.1 * angle(R_a, R_b)`.
pub fn distance(a: &Pose, b: &Pose, weights: (f64, f64)) -> f64 {
    weights.0 * (a.translation.vector - b.translation.vector).norm() + weights.1 * a.rotation.angle_to(&b.rotation)
}

/// Largest translation (m) and rotation (rad) that an action of 1 commands.
pub type DeltaScale = (f64, f64);

/// Longer rotation vectors than 1 are shortened, which keeps their axis, as delta-pose controllers do.
fn shortened(rotation: Vector3<f64>) -> Vector3<f64> {
    let length = rotation.norm();
    if length > 1.0 { rotation / length } else { rotation }
}

/// The goal that the first six entries of an action command, on top of `base`, in world axes:
/// `p + a_p * max_dp`, `exp(a_r * max_dr) * R`.
pub fn goal_of_action(base: &Pose, action: &[f64], scale: DeltaScale) -> Pose {
    let a = |i: usize| action[i].clamp(-1.0, 1.0);
    let turn = shortened(Vector3::new(a(3), a(4), a(5))) * scale.1;
    let position = base.translation.vector + Vector3::new(a(0), a(1), a(2)) * scale.0;
    Pose::from_parts(position.into(), UnitQuaternion::from_scaled_axis(turn) * base.rotation)
}

/// The action that moves the goal from `base` to `goal`, as far as one action reaches; the inverse of [`goal_of_action`].
pub fn action_to_goal(base: &Pose, goal: &Pose, scale: DeltaScale) -> [f64; 6] {
    let step = (goal.translation.vector - base.translation.vector) / scale.0;
    let turn = shortened((goal.rotation * base.rotation.inverse()).scaled_axis() / scale.1);
    std::array::from_fn(|i| if i < 3 { step[i] } else { turn[i - 3] }.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pose() -> impl Strategy<Value = Pose> {
        (prop::array::uniform3(-1.0f64..1.0), prop::array::uniform3(-1.5f64..1.5))
            .prop_map(|(p, r)| Pose::new(Vector3::from(p), Vector3::from(r)))
    }

    fn close(a: &Pose, b: &Pose) -> bool {
        distance(a, b, (1.0, 1.0)) < 1e-9
    }

    proptest! {
        #[test]
        fn an_action_and_its_goal_are_inverse(base in pose(), p in prop::array::uniform3(-1.0f64..1.0), r in prop::array::uniform3(-0.57f64..0.57)) {
            let action = [p[0], p[1], p[2], r[0], r[1], r[2]];
            let goal = goal_of_action(&base, &action, (0.05, 0.3));
            for (back, given) in action_to_goal(&base, &goal, (0.05, 0.3)).iter().zip(action) {
                prop_assert!((back - given).abs() < 1e-9, "{back} {given}");
            }
        }

        #[test]
        fn a_goal_out_of_reach_is_approached_along_its_axis(base in pose(), goal in pose()) {
            let action = action_to_goal(&base, &goal, (0.05, 0.3));
            prop_assert!(action.iter().all(|a| a.abs() <= 1.0));
            let next = goal_of_action(&base, &action, (0.05, 0.3));
            let left = next.rotation.angle_to(&goal.rotation);
            let before = base.rotation.angle_to(&goal.rotation);
            prop_assert!((left - (before - 0.3).max(0.0)).abs() < 1e-9, "{before} -> {left}");
        }

        #[test]
        fn a_transfer_keeps_the_pose_relative_to_the_object(source in pose(), now in pose(), eef in pose()) {
            let moved = transfer(&[eef], &source, &now)[0];
            prop_assert!(close(&(now.inverse() * moved), &(source.inverse() * eef)));
        }
    }

    #[test]
    fn what_is_no_pose_is_refused() {
        let mut m = [1.0, 0.0, 0.0, 0.1, 0.0, 1.0, 0.0, 0.2, 0.0, 0.0, 1.0, 0.3, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(from_matrix(&m).unwrap().translation.vector, Vector3::new(0.1, 0.2, 0.3));
        m[0] = -1.0;
        assert!(from_matrix(&m).is_none(), "a reflection");
        m[0] = f64::NAN;
        assert!(from_matrix(&m).is_none());
        assert!(from_matrix(&[0.0; 16]).is_none());
    }
}
