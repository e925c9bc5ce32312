//! Speed of the environment against bare `mj_step` of the same scene in the same run:
//! `cargo run --example tabletop_bench -- [THREADS] [SECONDS]`. Prints one `name value unit` line per figure.

use mujoco_rs::prelude::{MjData, MjModel};
use std::sync::Arc;
use std::time::{Duration, Instant};
use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, Env, HostServices, Policy, ResetRequest, Result, names};
use twinhost_sim_tabletop::{Expert, Tabletop, config::TaskKind, gap::Gap, kinematics::REST, objects::catalogue, scene};

/// Physics steps per second of `threads` threads that do nothing but step, with the arm holding its start posture.
fn bare_steps(model: &Arc<MjModel>, start: &[f64], control: &[f64], threads: usize, time: Duration) -> f64 {
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let run = || {
            let mut data = MjData::new(model.clone());
            data.qpos_mut().copy_from_slice(start);
            data.ctrl_mut().copy_from_slice(control);
            data.mocap_pos_mut()[0] = [-0.148, 0.06, 0.0];
            let begin = Instant::now();
            let mut steps = 0;
            while begin.elapsed() < time {
                (0..500).for_each(|_| data.step());
                steps += 500;
            }
            steps
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles.into_iter().map(|h| h.join().expect("stepping does not panic")).collect()
    });
    counts.iter().sum::<u64>() as f64 / time.as_secs_f64()
}

/// Control steps per second of the environment under the expert's recorded actions.
fn control_steps(text: &str, threads: usize, time: Duration) -> Result<f64> {
    let services = HostServices::standalone(threads as u32, 0);
    let mut env = Tabletop::create(ComponentConfig::new(text), services)?;
    let count = env.spec().num_envs;
    let mut expert = Expert::create(ComponentConfig::new(""), services)?;
    let seeds: Vec<u64> = (0..count as u64).collect();
    let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 0, training: false };
    let mut observed = env.reset(&ResetRequest::new(seeds.clone()).privileged())?;
    let mut actions = Vec::new();
    for _ in 0..30 {
        let mut batch = expert.act(&observed, &request)?;
        let action = batch.remove(names::ACTION).expect("the expert returns actions");
        observed = env.step(&action)?;
        actions.push(action);
    }
    env.reset(&ResetRequest::new(seeds).auto_reset())?;
    let (begin, mut steps) = (Instant::now(), 0);
    while begin.elapsed() < time {
        env.step(&actions[steps / count % actions.len()])?;
        steps += count;
    }
    Ok(steps as f64 / begin.elapsed().as_secs_f64())
}

fn main() -> Result<()> {
    // SAFETY: the only thread of the program so far; Mesa reads the variable when the first context opens.
    unsafe { std::env::set_var("LP_NUM_THREADS", "1") };
    let argument = |n: usize| std::env::args().nth(n).and_then(|a| a.parse::<f64>().ok());
    let threads = argument(1).map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |t| t as usize);
    let time = Duration::from_secs_f64(argument(2).unwrap_or(3.0));

    let object = &catalogue()[0];
    let model = Arc::new(scene::compile(TaskKind::PickPlace, &Gap::neutral(), object)?);
    // At rest: the arm over the table, fingers open, the object on the table, the tray beside it.
    let start = [&REST[..], &[0.04, 0.04, -0.1, -0.165, object.half[2], 1.0, 0.0, 0.0, 0.0]].concat();
    let control = [&REST[..], &[0.04]].concat();
    for hz in [10.0, 20.0] {
        let substeps = 500.0 / hz;
        let bare = bare_steps(&model, &start, &control, threads, time);
        println!("bare_mj_step_{hz}hz {bare:.0} physics_steps/s");
        let text = |rest: &str| format!("(num_envs: 8, control_hz: {hz}, {rest})");
        let blind = control_steps(&text("cameras: []"), threads, time)?;
        println!("blind_{hz}hz {blind:.0} control_steps/s");
        println!("blind_share_{hz}hz {:.3} of_bare", blind * substeps / bare);
        for size in [64, 96, 128] {
            let rendered = control_steps(&text(&format!("width: {size}, height: {size}")), threads, time)?;
            println!("rendered_{size}px_{hz}hz {rendered:.0} control_steps/s");
        }
    }
    Ok(())
}
