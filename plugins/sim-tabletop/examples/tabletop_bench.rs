//! Speed of the environment against bare `mj_step` of the same scene along the same trajectory, in the same run:
//! `cargo run --example tabletop_bench -- [THREADS] [SECONDS]`. Prints one `name value unit` line per figure.

use mujoco_rs::prelude::{MjData, MjModel};
use std::sync::Arc;
use std::time::{Duration, Instant};
use twinhost_plugin_api::{ActMode, ActRequest, Batch, ComponentConfig, Env, HostServices, Policy, ResetRequest, Result, Tensor, names};
use twinhost_sim_tabletop::kinematics::{JointVector, REST, inverse};
use twinhost_sim_tabletop::observe::{OBJECT_POSES, TARGET_POSE, pose};
use twinhost_sim_tabletop::scene::{self, FINGER_CLOSED, FINGER_OPEN};
use twinhost_sim_tabletop::{Expert, Tabletop, config::TaskKind, gap::Gap, objects::catalogue};

const ENVS: usize = 8;
const EPISODE: usize = 20;

/// One expert episode in every environment: the actions, and for each environment its start and its commands.
struct Demonstration {
    actions: Vec<Tensor>,
    /// `qpos` at the start and the tray's position, per environment.
    starts: Vec<(Vec<f64>, [f64; 3])>,
    /// Controls of each control step, per environment.
    controls: Vec<Vec<[f64; 8]>>,
}

fn config(hz: f64, rest: &str) -> String {
    format!("(num_envs: {ENVS}, control_hz: {hz}, objects: [\"red cube\"], {rest})")
}

fn demonstrate(hz: f64) -> Result<Demonstration> {
    let services = HostServices::standalone(1, 0);
    let mut env = Tabletop::create(ComponentConfig::new(&config(hz, "cameras: []")), services)?;
    let mut expert = Expert::create(ComponentConfig::new(""), services)?;
    let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 0, training: false };
    let mut observed = env.reset(&ResetRequest::new((0..ENVS as u64).collect()).privileged())?;
    let rows = |batch: &Batch, name: &str, width: usize| -> Result<Vec<Vec<f64>>> {
        Ok(batch.slice::<f64>(name)?.chunks_exact(width).map(<[f64]>::to_vec).collect())
    };
    let arm = |goal: &[f64]| inverse(&JointVector::from(REST), &pose(goal));
    let goals = rows(&observed, TARGET_POSE, 16)?;
    let objects = rows(&observed, OBJECT_POSES, 32)?;
    let starts = objects.iter().zip(&goals).map(|(objects, goal)| {
        let (object, tray) = (pose(&objects[..16]), pose(&objects[16..]));
        let (p, r) = (object.translation, object.rotation);
        let qpos = [arm(goal).as_slice(), &[FINGER_OPEN, FINGER_OPEN], &[p.x, p.y, p.z, r.w, r.i, r.j, r.k]].concat();
        (qpos, tray.translation.vector.into())
    });
    let starts = starts.collect();
    let (mut actions, mut controls) = (Vec::new(), vec![Vec::new(); ENVS]);
    let steps = (EPISODE as f64 * hz / 10.0) as usize;
    for _ in 0..steps {
        let mut batch = expert.act(&observed, &request)?;
        let action = batch.remove(names::ACTION).expect("the expert returns actions");
        observed = env.step(&action)?;
        let grippers = action.as_slice::<f32>()?.chunks_exact(7).map(|a| if a[6] < 0.0 { FINGER_CLOSED } else { FINGER_OPEN });
        for ((control, goal), gripper) in controls.iter_mut().zip(rows(&observed, TARGET_POSE, 16)?).zip(grippers) {
            let joints = arm(&goal);
            control.push(std::array::from_fn(|i| if i < 7 { joints[i] } else { gripper }));
        }
        actions.push(action);
    }
    Ok(Demonstration { actions, starts, controls })
}

/// Physics steps per second of threads that do nothing but `mj_step` along the demonstrated episodes.
fn bare(model: &Arc<MjModel>, demo: &Demonstration, substeps: usize, threads: usize, time: Duration) -> f64 {
    let run = |first: usize| {
        let mut data = MjData::new(model.clone());
        let (begin, mut steps, mut episode) = (Instant::now(), 0u64, first);
        while begin.elapsed() < time {
            let (qpos, tray) = &demo.starts[episode % ENVS];
            data.reset();
            data.qpos_mut().copy_from_slice(qpos);
            data.mocap_pos_mut()[0] = *tray;
            for control in &demo.controls[episode % ENVS] {
                data.ctrl_mut().copy_from_slice(control);
                (0..substeps).for_each(|_| data.step());
                steps += substeps as u64;
            }
            episode += 1;
        }
        steps as f64 / begin.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
        handles.into_iter().map(|h| h.join().expect("stepping does not panic")).sum()
    })
}

/// Control steps per second of the environment along the demonstrated episodes.
fn env_steps(text: &str, demo: &Demonstration, threads: usize, time: Duration) -> Result<f64> {
    let mut env = Tabletop::create(ComponentConfig::new(text), HostServices::standalone(threads as u32, 0))?;
    let request = ResetRequest::new((0..ENVS as u64).collect());
    let (begin, mut steps) = (Instant::now(), 0);
    while begin.elapsed() < time {
        env.reset(&request)?;
        for action in &demo.actions {
            env.step(action)?;
            steps += ENVS;
        }
    }
    Ok(steps as f64 / begin.elapsed().as_secs_f64())
}

fn main() -> Result<()> {
    // SAFETY: the only thread of the program so far; Mesa reads the variable when the first context opens.
    unsafe { std::env::set_var("LP_NUM_THREADS", "0") };
    let argument = |n: usize| std::env::args().nth(n).and_then(|a| a.parse::<f64>().ok());
    let threads = argument(1).map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |t| t as usize);
    let time = Duration::from_secs_f64(argument(2).unwrap_or(3.0));
    let model = Arc::new(scene::compile(TaskKind::PickPlace, &Gap::neutral(), &[0.0], &catalogue()[0])?);
    for hz in [10.0, 20.0] {
        let substeps = (500.0 / hz) as usize;
        let demo = demonstrate(hz)?;
        // No episode may end early here: an environment that waits would look fast.
        let endless = "terminate_on_success: false, max_episode_steps: 1000";
        // Alternate, so that whatever else the machine does meets both alike.
        let (mut raw, mut blind) = (0.0, 0.0);
        for _ in 0..4 {
            raw += bare(&model, &demo, substeps, threads, time / 4) / 4.0;
            blind += env_steps(&config(hz, &format!("cameras: [], {endless}")), &demo, threads, time / 4)? / 4.0;
        }
        println!("bare_mj_step_{hz}hz {raw:.0} physics_steps/s");
        println!("blind_{hz}hz {blind:.0} control_steps/s");
        println!("blind_share_{hz}hz {:.3} of_bare aim: 0.85", blind * substeps as f64 / raw);
        for size in [64, 96, 128] {
            let text = config(hz, &format!("width: {size}, height: {size}, {endless}"));
            let aim = if size == 96 && hz > 10.0 { " aim: 1200 on two cores" } else { "" };
            println!("rendered_{size}px_{hz}hz {:.0} control_steps/s{aim}", env_steps(&text, &demo, threads, time)?);
        }
    }
    Ok(())
}
