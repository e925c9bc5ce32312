//! The compiled scenes: kinematics and limits of the arm in MuJoCo, and what the twins' gap changes.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use mujoco_rs::prelude::{MjData, MjtObjBase};
use std::sync::Arc;
use twinhost_plugin_api::{Batch, ComponentConfig, Env, HostServices, ResetRequest, Tensor, names};
use twinhost_sim_tabletop::Tabletop;
use twinhost_sim_tabletop::config::TaskKind;
use twinhost_sim_tabletop::controller::Controller;
use twinhost_sim_tabletop::gap::Gap;
use twinhost_sim_tabletop::kinematics::{JOINT_HIGH, JOINT_LOW, JOINTS, JointVector, REST, TORQUE_LIMIT, forward};
use twinhost_sim_tabletop::objects::catalogue;
use twinhost_sim_tabletop::scene::compile;

const TASKS: [TaskKind; 4] = [TaskKind::PickPlace, TaskKind::PushCube, TaskKind::OpenDrawer, TaskKind::CloseDrawer];

/// MuJoCo's kinematics of the generated bodies and the table's arithmetic must agree in any posture.
#[test]
fn the_generated_arm_has_the_published_kinematics() {
    let model = Arc::new(compile(TaskKind::PickPlace, &Gap::neutral(), &[0.0], &catalogue()[0]).unwrap());
    let site = model.name_to_id(MjtObjBase::mjOBJ_SITE, "tcp").unwrap();
    let mut data = MjData::new(model);
    for k in 0..20 {
        // Spread over the joint ranges by irrational steps.
        let q: [f64; JOINTS] = std::array::from_fn(|i| {
            let share = (0.61803 * (k * JOINTS + i) as f64).fract();
            JOINT_LOW[i] + share * (JOINT_HIGH[i] - JOINT_LOW[i])
        });
        data.qpos_mut()[..JOINTS].copy_from_slice(&q);
        data.forward();
        let expected = forward(&JointVector::from(q));
        for axis in 0..3 {
            assert!((data.site_xpos()[site][axis] - expected.translation.vector[axis]).abs() < 1e-9, "posture {k}");
        }
        let rotation = expected.rotation.to_rotation_matrix();
        for (i, value) in data.site_xmat()[site].iter().enumerate() {
            assert!((value - rotation[(i / 3, i % 3)]).abs() < 1e-9, "posture {k}");
        }
    }
}

#[test]
fn the_generated_arm_has_the_published_limits() {
    for task in TASKS {
        let model = compile(task, &Gap::real(), &[0.25], &catalogue()[0]).unwrap();
        for i in 0..JOINTS {
            assert_eq!(model.jnt_range()[i], [JOINT_LOW[i], JOINT_HIGH[i]]);
            assert_eq!(model.jnt_actfrcrange()[i], [-TORQUE_LIMIT[i], TORQUE_LIMIT[i]]);
            assert!(model.jnt_limited()[i] && model.jnt_actfrclimited()[i]);
        }
    }
}

/// Commands as hard as they come: torques and joint positions stay within their limits at every physics step.
#[test]
fn limits_hold_under_the_hardest_commands() {
    let model = Arc::new(compile(TaskKind::PickPlace, &Gap::neutral(), &[0.0], &catalogue()[0]).unwrap());
    let mut data = MjData::new(model);
    let rest = JointVector::from(REST);
    data.qpos_mut()[..JOINTS].copy_from_slice(rest.as_slice());
    let mut controller = Controller::at(rest, forward(&rest));
    // MuJoCo's limits are soft; a joint that runs into one at full speed overshoots it by this much at most.
    const SOFT: f64 = 0.05;
    let mut peak = [0.0f64; JOINTS];
    for step in 0..60 {
        let sign = if step / 15 % 2 == 0 { 1.0 } else { -1.0 };
        let measured = forward(&JointVector::from_column_slice(&data.qpos()[..JOINTS]));
        controller.act(&[sign, -sign, -sign, sign, sign, -sign, -sign], (0.06, 0.25), &measured, 0);
        for _ in 0..50 {
            if let Some(command) = controller.due() {
                data.ctrl_mut().copy_from_slice(&command);
            }
            data.step();
            for i in 0..JOINTS {
                peak[i] = peak[i].max(data.qfrc_actuator()[i].abs());
                assert!(data.qpos()[i] > JOINT_LOW[i] - SOFT && data.qpos()[i] < JOINT_HIGH[i] + SOFT, "joint {i}: {}", data.qpos()[i]);
            }
        }
    }
    for i in 0..JOINTS {
        assert!(peak[i] <= TORQUE_LIMIT[i] + 1e-9, "joint {i}: {} N m", peak[i]);
    }
    assert!(peak.iter().zip(TORQUE_LIMIT).any(|(p, limit)| *p > 0.99 * limit), "the test never reached a limit: {peak:?}");
}

/// With gravity compensated, an arm that is told to hold still does.
#[test]
fn the_arm_holds_still() {
    let mut env = Tabletop::create(ComponentConfig::new("(num_envs: 1, cameras: [])"), HostServices::standalone(1, 0)).unwrap();
    let first = env.reset(&ResetRequest::new(vec![1])).unwrap();
    let mut action = vec![0f32; 7];
    action[6] = 1.0;
    let mut last = None;
    for _ in 0..20 {
        last = Some(env.step(&Tensor::from_vec(action.clone(), &[1, 1, 7])).unwrap());
    }
    let (before, after) = (first.slice::<f32>(names::STATE).unwrap(), last.unwrap());
    for (b, a) in before.iter().zip(after.slice::<f32>(names::STATE).unwrap()) {
        assert!((b - a).abs() < 5e-4, "{b} became {a}");
    }
}

/// All that a short episode shows: sensors, pixels and truth. The hand moves down, closes, and moves on.
fn story(task: &str, gap: &str) -> Vec<Vec<u8>> {
    let text = format!(
        "(task: {task}, num_envs: 1, width: 32, height: 32, cameras: [\"base\", \"wrist\"], terminate_on_success: false, gap: ({gap}))"
    );
    let services = HostServices::standalone(1, 0);
    let mut env = Tabletop::create(ComponentConfig::new(&text), services).unwrap();
    let mut expert = twinhost_sim_tabletop::Expert::create(ComponentConfig::new("(noise: 0, variation: 0)"), services).unwrap();
    let mut observed = env.reset(&ResetRequest::new(vec![2]).privileged()).unwrap();
    let request =
        twinhost_plugin_api::ActRequest { mode: twinhost_plugin_api::ActMode::Sample, temperature: 1.0, seed: 0, training: false };
    let bytes = |b: &Batch| b.iter().flat_map(|(_, t)| t.bytes().unwrap().to_vec()).collect::<Vec<u8>>();
    let mut seen = vec![bytes(&observed)];
    for _ in 0..20 {
        use twinhost_plugin_api::Policy;
        let action = expert.act(&observed, &request).unwrap();
        observed = env.step(action.get(names::ACTION).unwrap()).unwrap();
        seen.push(bytes(&observed));
    }
    seen
}

#[test]
fn every_gap_parameter_changes_what_happens() {
    let pick_place = story("PickPlace", "");
    assert_eq!(pick_place, story("PickPlace", ""), "the story itself must be reproducible");
    for gap in [
        "table_rgb: (0.1, 0.5, 0.1)",
        "table_pattern: 0.8",
        "robot_rgb: (0.1, 0.1, 0.8)",
        "hand_rgb: (0.8, 0.1, 0.1)",
        "tray_rgb: (0.3, 0.3, 0.9)",
        "fading: 0.6",
        "light_position: (-1.0, 1.0, 0.5)",
        "light_diffuse: 0.9",
        "light_ambient: 0.1",
        "white_balance: (1.2, 1.0, 0.7)",
        "contrast: 0.6",
        "brightness: 0.2",
        "saturation: 0.3",
        "hue: 0.1",
        "camera_offset: (0.05, 0.0, 0.0)",
        "camera_tilt: (0.0, 3.0, 0.0)",
        "wrist_offset: (0.01, 0.0, 0.0)",
        "wrist_tilt: (0.0, 3.0, 0.0)",
        "friction: 0.3",
        "mass: 4.0",
        "stiffness: 0.5",
        "damping: 2.0",
        "action_delay: 0.5",
        "calibration_offset: (0.01, 0.0, 0.0)",
        "position_noise: 0.002",
        "rotation_noise: 0.01",
        "gripper_noise: 0.001",
        "pixel_noise: 0.05",
    ] {
        assert!(pick_place != story("PickPlace", gap), "{gap} changes nothing");
    }
    // The base camera of pick and place looks down at the table only; the drawer's sees what is behind it.
    let drawer = story("OpenDrawer", "");
    for gap in ["background_rgb: (0.9, 0.1, 0.1)", "drawer_friction: 6.0"] {
        assert!(drawer != story("OpenDrawer", gap), "{gap} changes nothing");
    }
}

#[test]
fn sensor_noise_has_the_configured_size() {
    let deviation = |gap: &str| {
        let text = format!("(num_envs: 200, cameras: [], spread: 0, gap: ({gap}))");
        let mut env = Tabletop::create(ComponentConfig::new(&text), HostServices::standalone(1, 0)).unwrap();
        let batch = env.reset(&ResetRequest::new((0..200).collect()).privileged()).unwrap();
        let states = batch.slice::<f32>(names::STATE).unwrap();
        let poses = batch.slice::<f64>("privileged.eef_pose").unwrap();
        let errors: Vec<f64> = (0..200).map(|r| f64::from(states[8 * r + 2]) - poses[16 * r + 11]).collect();
        let mean = errors.iter().sum::<f64>() / 200.0;
        (mean, (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / 199.0).sqrt())
    };
    let (mean, std) = deviation("");
    assert!(mean.abs() < 1e-6 && std < 1e-6);
    // 200 draws: the standard error of the mean is 0.01 / sqrt(200) = 0.0007, of the deviation about 5 %.
    let (mean, std) = deviation("position_noise: 0.01, calibration_offset: (0, 0, 0.02)");
    assert!((mean - 0.02).abs() < 0.003 && (std - 0.01).abs() < 0.002, "mean {mean}, deviation {std}");
}
