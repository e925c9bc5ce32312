//! From a demonstrated segment to the poses that an attempt steers through.

use super::pose::{Pose, interpolate};

/// One control step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Waypoint {
    /// Goal of the controller, world frame.
    pub pose: Pose,
    /// What follows the six pose entries of the action.
    pub gripper: Vec<f64>,
    /// Standard deviation of the noise on the six pose entries.
    pub noise: f64,
}

/// How a segment is joined to what came before.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    pub interpolation_steps: usize,
    /// Extra steps that hold the first pose.
    pub fixed_steps: usize,
    pub noise: f64,
    pub noise_during_interpolation: bool,
}

/// The poses of a segment before its transfer, and the gripper commands that go with them.
///
/// With `from_eef`, the segment begins at the measured end-effector pose, then follows the goals. Without, it is the goals alone, and
/// the gripper lags one step behind them: public MimicGen does so, and its data sets have it.
pub fn segment(eef: &Pose, goals: &[Pose], grippers: &[Vec<f64>], from_eef: bool) -> (Vec<Pose>, Vec<Vec<f64>>) {
    let poses: Vec<Pose> = from_eef.then_some(*eef).into_iter().chain(goals.iter().copied()).collect();
    let commands = grippers.first().into_iter().chain(grippers).take(poses.len()).cloned().collect();
    (poses, commands)
}

/// Interpolation from `start` to the first pose, the optional hold, then the segment.
pub fn join(start: &Pose, poses: &[Pose], grippers: &[Vec<f64>], joining: &Joining) -> Vec<Waypoint> {
    let (Some(first), Some(gripper)) = (poses.first(), grippers.first()) else { return Vec::new() };
    let quiet = if joining.noise_during_interpolation { joining.noise } else { 0.0 };
    let way_in = interpolate(start, first, joining.interpolation_steps).into_iter().chain(std::iter::repeat_n(*first, joining.fixed_steps));
    let way_in = way_in.map(|pose| Waypoint { pose, gripper: gripper.clone(), noise: quiet });
    let segment =
        poses.iter().zip(grippers).map(|(pose, gripper)| Waypoint { pose: *pose, gripper: gripper.clone(), noise: joining.noise });
    way_in.chain(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pose::{from_matrix, transfer};
    use super::*;
    use safetensors::SafeTensors;

    /// `mimicgen_io.safetensors` was recorded from the public implementation (f64).
    struct Recorded(Vec<u8>);

    impl Recorded {
        fn open() -> Self {
            Self(std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/mimicgen_io.safetensors")).unwrap())
        }
        fn numbers(&self, name: &str) -> Vec<f64> {
            let file = SafeTensors::deserialize(&self.0).unwrap();
            file.tensor(name).unwrap().data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
        }
        fn poses(&self, name: &str) -> Vec<Pose> {
            self.numbers(name).chunks_exact(16).map(|m| from_matrix(m).unwrap()).collect()
        }
        fn pose(&self, name: &str) -> Pose {
            self.poses(name)[0]
        }
        fn grippers(&self, name: &str) -> Vec<Vec<f64>> {
            self.numbers(name).into_iter().map(|g| vec![g]).collect()
        }
        fn check(&self, name: &str, found: &[Pose]) {
            let expected = self.numbers(name);
            assert_eq!(found.len() * 16, expected.len(), "{name}");
            let found = found.iter().flat_map(|p| p.to_homogeneous().transpose().as_slice().to_vec());
            for (i, (f, e)) in found.zip(&expected).enumerate() {
                assert!((f - e).abs() < 1e-9, "{name}: entry {} of pose {}: {f} instead of {e}", i % 16, i / 16);
            }
        }
    }

    #[test]
    fn interpolation_matches_the_public_implementation() {
        let io = Recorded::open();
        for (to, recorded) in [("interp.b", "interp.ab5"), ("interp.small", "interp.small5")] {
            let (a, b) = (io.pose("interp.a"), io.pose(to));
            // The recording includes both ends; with the small angle its first pose already has the final orientation.
            let start = if to == "interp.small" { Pose::from_parts(a.translation, b.rotation) } else { a };
            let all: Vec<Pose> = std::iter::once(start).chain(interpolate(&a, &b, 5)).chain([b]).collect();
            io.check(recorded, &all);
        }
    }

    #[test]
    fn the_object_centric_transfer_matches_the_public_implementation() {
        let io = Recorded::open();
        io.check("tr.out", &transfer(&io.poses("tr.segment"), &io.pose("tr.obj_src"), &io.pose("tr.obj_new")));
    }

    #[test]
    fn two_subtasks_match_the_public_implementation() {
        let io = Recorded::open();
        let joining = Joining { interpolation_steps: 5, fixed_steps: 0, noise: 0.05, noise_during_interpolation: false };
        let mut start = io.pose("wp.cur");
        for (subtask, from_eef) in [("wp.0", true), ("wp.1", false)] {
            let name = |part: &str| format!("{subtask}.{part}");
            let (poses, grippers) = segment(&io.pose("wp.eef0"), &io.poses(&name("target")), &io.grippers(&name("gripper")), from_eef);
            let moved = transfer(&poses, &io.pose(&name("obj_src")), &io.pose(&name("obj_new")));
            let waypoints = join(&start, &moved, &grippers, &joining);
            io.check(&name("out_pose"), &waypoints.iter().map(|w| w.pose).collect::<Vec<_>>());
            assert_eq!(waypoints.iter().map(|w| w.gripper[0]).collect::<Vec<_>>(), io.numbers(&name("out_gripper")));
            assert_eq!(waypoints.iter().map(|w| w.noise).collect::<Vec<_>>(), io.numbers(&name("out_noise")));
            start = waypoints.last().unwrap().pose;
        }
    }

    #[test]
    fn a_hold_repeats_the_first_pose_with_its_gripper() {
        let p = |x: f64| Pose::translation(x, 0.0, 0.0);
        let joining = Joining { interpolation_steps: 1, fixed_steps: 2, noise: 0.1, noise_during_interpolation: true };
        let plan = join(&p(0.0), &[p(1.0), p(2.0)], &[vec![1.0], vec![-1.0]], &joining);
        let expected = [(0.5, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (2.0, -1.0)];
        assert_eq!(plan.iter().map(|w| (w.pose.translation.x, w.gripper[0])).collect::<Vec<_>>(), expected);
        assert!(plan.iter().all(|w| w.noise == 0.1));
        assert!(join(&p(0.0), &[], &[], &joining).is_empty());
    }
}
