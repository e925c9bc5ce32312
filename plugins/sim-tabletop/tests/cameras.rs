//! What the cameras see, and that images do not depend on who draws them.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use mujoco_rs::prelude::{MjData, MjvCamera, MjvOption};
use mujoco_rs::renderer::MjRenderer;
use std::sync::Arc;
use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, Env, HostServices, Policy, ResetRequest, Tensor, names};
use twinhost_sim_tabletop::config::TaskKind;
use twinhost_sim_tabletop::frustum::cull;
use twinhost_sim_tabletop::gap::Gap;
use twinhost_sim_tabletop::kinematics::{JOINT_HIGH, JOINT_LOW, JOINTS};
use twinhost_sim_tabletop::objects::catalogue;
use twinhost_sim_tabletop::render::{Format, Renderer};
use twinhost_sim_tabletop::scene::compile;
use twinhost_sim_tabletop::{Expert, Tabletop};

/// Centre (column, row) and number of the pixels that are clearly red, in an image `[H, W, 3]`.
fn red(pixels: &[u8], width: usize) -> (f64, f64, usize) {
    let hits: Vec<usize> =
        pixels.as_chunks::<3>().0.iter().enumerate().filter(|(_, [r, g, b])| *r > 90 && r / 2 > *g && r / 2 > *b).map(|(i, _)| i).collect();
    let count = hits.len();
    let (x, y) = hits.iter().fold((0.0, 0.0), |(x, y), i| (x + (i % width) as f64, y + (i / width) as f64));
    (x / count as f64, y / count as f64, count)
}

/// The base camera faces the robot: the robot's +x leads down in its image, +y to the right, by the amount that perspective gives.
#[test]
fn the_base_camera_shows_where_the_object_is() {
    let text = "(num_envs: 12, objects: [\"red cube\"], width: 96, height: 96)";
    let mut env = Tabletop::create(ComponentConfig::new(text), HostServices::standalone(2, 0)).unwrap();
    let batch = env.reset(&ResetRequest::new((0..12).collect()).privileged()).unwrap();
    let images = batch.slice::<u8>("observation.images.base").unwrap();
    let poses = batch.slice::<f64>("privileged.object_poses").unwrap();
    // The camera of the scene: eye, target, vertical field of view.
    let (eye, target, fovy) = ([0.42, -0.05, 0.56], [-0.14, -0.045, 0.05], 33.0f64);
    let sub = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let unit = |a: [f64; 3]| a.map(|v| v / dot(a, a).sqrt());
    let forward = unit(sub(target, eye));
    let right = unit([forward[1], -forward[0], 0.0]);
    let up = [
        right[1] * forward[2] - right[2] * forward[1],
        right[2] * forward[0] - right[0] * forward[2],
        right[0] * forward[1] - right[1] * forward[0],
    ];
    let focal = 48.0 / (fovy / 2.0).to_radians().tan();
    for row in 0..12 {
        let (x, y, count) = red(&images[row * 96 * 96 * 3..(row + 1) * 96 * 96 * 3], 96);
        assert!(count > 15, "environment {row}: {count} red pixels");
        let pose = &poses[32 * row..];
        let offset = sub([pose[3], pose[7], pose[11]], eye);
        let depth = dot(offset, forward);
        let expected = (47.5 + focal * dot(offset, right) / depth, 47.5 - focal * dot(offset, up) / depth);
        assert!((x - expected.0).abs() < 1.5 && (y - expected.1).abs() < 1.5, "environment {row}: ({x:.1}, {y:.1}), not {expected:.1?}");
    }
}

#[test]
fn the_wrist_camera_sees_the_object_between_the_fingers() {
    let services = HostServices::standalone(1, 0);
    let text = "(num_envs: 1, objects: [\"red cube\"], cameras: [\"wrist\"])";
    let mut env = Tabletop::create(ComponentConfig::new(text), services).unwrap();
    let mut expert = Expert::create(ComponentConfig::new("(noise: 0, variation: 0)"), services).unwrap();
    let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 0, training: false };
    let mut observed = env.reset(&ResetRequest::new(vec![5]).privileged()).unwrap();
    let far = red(observed.slice::<u8>("observation.images.wrist").unwrap(), 64).2;
    for _ in 0..6 {
        let action = expert.act(&observed, &request).unwrap();
        observed = env.step(action.get(names::ACTION).unwrap()).unwrap();
    }
    let near = red(observed.slice::<u8>("observation.images.wrist").unwrap(), 64).2;
    assert!(near > 150 && near > 2 * far, "{far} red pixels from afar, {near} from close by");
}

/// Film pictures share the scene with observations but neither their noise nor their context.
#[test]
fn films_are_clean_and_leave_observations_alone() {
    let text = "(twin: Real, num_envs: 1)";
    let observe = |film: bool| {
        let mut env = Tabletop::create(ComponentConfig::new(text), HostServices::standalone(1, 0)).unwrap();
        env.reset(&ResetRequest::new(vec![1])).unwrap();
        let film = film.then(|| [env.render(0, "base", 64, 64).unwrap(), env.render(0, "base", 64, 64).unwrap()]);
        let batch = env.step(&Tensor::zeros::<f32>(&[1, 1, 7])).unwrap();
        (batch.slice::<u8>("observation.images.base").unwrap().to_vec(), film)
    };
    let (plain, _) = observe(false);
    let (with_film, film) = observe(true);
    assert!(plain == with_film);
    let [first, second] = film.unwrap();
    assert!(first.bytes().unwrap() == second.bytes().unwrap() && first.bytes().unwrap() != plain);
}

/// Leaving out what a camera cannot see must not change a pixel of what MuJoCo draws with everything switched on.
#[test]
fn culling_never_changes_an_image() {
    let object = &catalogue()[0];
    let mut hidden = 0;
    for task in [TaskKind::PickPlace, TaskKind::PushCube, TaskKind::OpenDrawer] {
        let model = Arc::new(compile(task, &Gap::neutral(), &[0.0], object).unwrap());
        let mut sized = model.as_ref().clone();
        (sized.vis_mut().global.offwidth, sized.vis_mut().global.offheight, sized.vis_mut().quality.offsamples) = (80, 48, 0);
        let mut plain = MjRenderer::new(&sized, 80, 48, 0).unwrap();
        let mut renderer = Renderer::default();
        let mut data = MjData::new(model.clone());
        for posture in 0..12 {
            for i in 0..JOINTS {
                let share = (0.61803 * (posture * JOINTS + i) as f64).fract();
                data.qpos_mut()[i] = JOINT_LOW[i] + share * (JOINT_HIGH[i] - JOINT_LOW[i]);
            }
            data.forward();
            for camera in 0..2 {
                let culled = renderer.draw(&mut data, camera, Format { width: 80, height: 48, antialias: false }).unwrap();
                plain.set_camera(MjvCamera::new_fixed(camera));
                plain.opts_mut().geomgroup.fill(1);
                plain.sync_data(&mut data).unwrap();
                plain.render().unwrap();
                assert!(culled == plain.rgb_flat().unwrap(), "{task:?}, posture {posture}, camera {camera}");
                let mut options = MjvOption::default();
                cull(&data, camera, 80, 48, &mut options);
                hidden += options.geomgroup.iter().skip(1).take(4).filter(|g| **g == 0).count();
            }
        }
    }
    assert!(hidden > 100, "culling hid only {hidden} of 288 groups");
}
