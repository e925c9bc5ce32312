//! The arm: kinematics against the published table, and the delta-pose controller.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use twinhost_sim_tabletop::controller::{Controller, LEASH, MAX_TURN, WORKSPACE_LOW};
use twinhost_sim_tabletop::kinematics::*;
use twinhost_sim_tabletop::scene::{FINGER_CLOSED, FINGER_OPEN};

/// With q = 0 the arm stands upright with the flange pointing down; the offsets add up by hand:
/// x = 0.0825 - 0.0825 + 0.088, z = 0.333 + 0.316 + 0.384 - 0.107, and the tool is 0.1034 further down.
#[test]
fn zero_posture_matches_the_dh_table_by_hand() {
    let pose = forward(&JointVector::zeros());
    let expected = Vector3::new(BASE[0] + 0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107 - TCP);
    assert!((pose.translation.vector - expected).norm() < 1e-12, "{pose}");
    let approach = pose.rotation * Vector3::z();
    assert!((approach + Vector3::z()).norm() < 1e-12, "{approach}");
}

#[test]
fn rest_posture_points_down_over_the_table() {
    let pose = forward(&JointVector::from(REST));
    assert!((pose.rotation.angle_to(&pointing_down())) < 1e-9);
    assert!(pose.translation.z > 0.1 && pose.translation.z < 0.25, "{pose}");
}

#[test]
fn jacobian_matches_finite_differences() {
    let q = JointVector::from(REST) + JointVector::from([0.1, -0.2, 0.3, 0.1, -0.1, 0.2, 0.4]);
    let j = jacobian(&q);
    for i in 0..JOINTS {
        let h = 1e-6;
        let (mut low, mut high) = (q, q);
        low[i] -= h;
        high[i] += h;
        let numeric = pose_error(&forward(&low), &forward(&high)) / (2.0 * h);
        assert!((numeric - j.column(i)).norm() < 1e-7, "joint {i}: {numeric} vs {}", j.column(i));
    }
}

#[test]
fn inverse_reaches_poses_across_the_workspace() {
    let start = JointVector::from(REST);
    for (x, y, z, yaw) in [(0.1, 0.2, 0.05, 0.5), (-0.25, -0.3, 0.02, -0.7), (-0.1, 0.0, 0.3, 0.0), (0.12, -0.25, 0.1, 1.0)] {
        let rotation = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw) * pointing_down();
        let target = Isometry3::from_parts(Translation3::new(x, y, z), rotation);
        let mut q = start;
        for _ in 0..3 {
            q = inverse(&q, &target);
        }
        let error = pose_error(&forward(&q), &target);
        assert!(error.norm() < 1e-3, "({x}, {y}, {z}): {error}");
    }
}

#[test]
fn inverse_keeps_joint_limits_for_unreachable_targets() {
    let far = Isometry3::from_parts(Translation3::new(2.0, 2.0, -1.0), pointing_down());
    let q = inverse(&JointVector::from(REST), &far);
    for i in 0..JOINTS {
        assert!((JOINT_LOW[i]..=JOINT_HIGH[i]).contains(&q[i]), "joint {i}: {}", q[i]);
    }
}

fn at_rest() -> Controller {
    let q = JointVector::from(REST);
    Controller::at(q, forward(&q))
}

#[test]
fn deltas_accumulate_on_the_goal() {
    let mut c = at_rest();
    let start = c.goal;
    for _ in 0..2 {
        let measured = start; // the arm has not moved yet
        c.act(&[0.5, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0], (0.05, 0.2), &measured, 0);
    }
    let moved = pose_error(&start, &c.goal);
    let expected = [0.05, -0.1, 0.0, 0.0, 0.0, 0.4];
    for i in 0..6 {
        assert!((moved[i] - expected[i]).abs() < 1e-9, "{moved}");
    }
    assert!(pose_error(&forward(&c.joints), &c.goal).norm() < 1e-3);
}

#[test]
fn the_goal_stays_in_the_workspace_on_the_leash_and_upright() {
    let mut c = at_rest();
    for _ in 0..50 {
        c.act(&[0.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0], (0.06, 0.25), &forward(&JointVector::from(REST)), 0);
    }
    let start = forward(&JointVector::from(REST));
    assert!((start.translation.z - c.goal.translation.z) <= LEASH * 0.06 + 1e-9);
    assert!(c.goal.translation.z >= WORKSPACE_LOW[2]);
    assert!(c.goal.rotation.angle_to(&pointing_down()) <= MAX_TURN + 1e-9);
    assert!(!c.open);
}

#[test]
fn a_long_rotation_vector_is_shortened() {
    let mut c = at_rest();
    let start = c.goal;
    c.act(&[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0], (0.06, 0.25), &start, 0);
    assert!((pose_error(&start, &c.goal).norm() - 0.25).abs() < 1e-9);
}

#[test]
fn delayed_commands_arrive_in_order() {
    let mut c = at_rest();
    let goal = c.goal;
    c.act(&[0.0; 7], (0.06, 0.25), &goal, 2);
    c.act(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0], (0.06, 0.25), &goal, 3);
    let arrivals: Vec<_> = (0..5).map(|_| c.due().map(|command| command[7])).collect();
    assert_eq!(arrivals, [None, None, Some(FINGER_OPEN), Some(FINGER_CLOSED), None]);
}
