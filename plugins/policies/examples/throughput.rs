//! Samples per second of the tiny `openvla` preset: supervised steps (forward, backward, AdamW) and acting.
//!
//! `cargo run -p twinhost-policies --example throughput [-- ROWS [STEPS [CONFIG]]]`, e.g. `-- 64 10 '(chunk: 5)'`.

use std::time::Instant;
use tch::Tensor as Torch;
use twinhost_plugin_api::{
    ActMode, ActRequest, Batch, ComponentConfig, DatasetStatistics, FeatureStatistics, HostServices, Result, Tensor, names,
};
use twinhost_plugin_torch::TorchPolicy;
use twinhost_policies::openvla::Openvla;
use twinhost_policies::openvla::config::OpenvlaConfig;

const LEARNING_RATE: f64 = 3e-4;

fn statistics(dim: usize) -> FeatureStatistics {
    FeatureStatistics {
        mean: vec![0.0; dim],
        std: vec![1.0; dim],
        min: vec![-1.0; dim],
        max: vec![1.0; dim],
        q01: vec![-1.0; dim],
        q99: vec![1.0; dim],
        mask: vec![true; dim],
    }
}

/// Noise images, states and actions in equal parts of three instructions.
fn batch(rows: usize, side: usize, config: &OpenvlaConfig, tasks: &[String]) -> Batch {
    let noise = |count: usize, scale: f32| (0..count).map(|i| ((i * 7919) % 2003) as f32 / 1001.5 * scale - scale).collect::<Vec<f32>>();
    let mut batch = Batch::new()
        .with(
            names::ACTION,
            Tensor::from_vec(noise(rows * config.chunk * config.action_dim, 1.0), &[rows, config.chunk, config.action_dim]),
        )
        .with(names::STATE, Tensor::from_vec(noise(rows * config.state_dim, 1.0), &[rows, config.state_dim]));
    for camera in &config.cameras {
        let pixels = (0..rows * side * side * 3).map(|i| ((i * 31 + i / 97) % 256) as u8).collect();
        batch.insert(format!("{}{camera}", names::IMAGES), Tensor::from_vec(pixels, &[rows, side, side, 3]));
    }
    batch.insert_text(names::TASK, (0..rows).map(|i| tasks[i % tasks.len()].clone()).collect());
    batch
}

/// AdamW's moments of one parameter.
struct Moments {
    parameter: Torch,
    first: Torch,
    second: Torch,
}

fn adamw(moments: &mut [Moments], step: i32) {
    let _no_grad = tch::no_grad_guard();
    let (decay1, decay2) = (0.9f64, 0.999f64);
    for m in moments {
        let gradient = m.parameter.grad();
        if !gradient.defined() {
            continue;
        }
        let _ = m.first.g_mul_scalar_(decay1).g_add_(&(&gradient * (1.0 - decay1)));
        let _ = m.second.g_mul_scalar_(decay2).addcmul_(&gradient, &gradient);
        let scale = LEARNING_RATE / (1.0 - decay1.powi(step));
        let denominator = (&m.second * ((1.0 - decay2) / (1.0 - decay2.powi(step)))).sqrt() + 1e-8;
        let _ = m.parameter.g_mul_scalar_(1.0 - LEARNING_RATE * 0.01).g_sub_(&(&m.first / denominator * scale));
        m.parameter.zero_grad();
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rows, steps) = (number(0, 64), number(1, 8));
    let config: OpenvlaConfig = ComponentConfig::new(arguments.get(2).map_or("", String::as_str)).parse()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
    let mut policy = Openvla::new(config.clone(), HostServices::standalone(threads as u32, 1))?;
    let tasks: Vec<String> =
        ["Pick up the red cube and place it into the white tray", "Push the cube to the goal", "Open the drawer"].map(String::from).into();
    policy.set_statistics(&DatasetStatistics {
        action: statistics(config.action_dim),
        state: statistics(config.state_dim),
        tasks: tasks.clone(),
        num_transitions: 1,
        num_trajectories: 1,
    })?;
    let side = policy.architecture().image_size as usize;
    let batch = batch(rows, side, &config, &tasks);
    println!("{} parameters, {rows} rows of {side} px, {threads} threads", policy.spec().parameters);

    let trained = policy.parameters().into_iter().filter(|p| p.tensor.requires_grad());
    let mut moments: Vec<Moments> =
        trained.map(|p| Moments { first: p.tensor.zeros_like(), second: p.tensor.zeros_like(), parameter: p.tensor }).collect();
    let mut clocks = [0.0; 3];
    for step in 0..=steps {
        let start = Instant::now();
        let loss = policy.sft_loss(&batch)?;
        let forward = start.elapsed().as_secs_f64();
        loss.backward();
        let backward = start.elapsed().as_secs_f64() - forward;
        adamw(&mut moments, step as i32 + 1);
        // The first step fills caches and is not counted.
        if step > 0 {
            let whole = start.elapsed().as_secs_f64();
            for (clock, seconds) in clocks.iter_mut().zip([forward, backward, whole - forward - backward]) {
                *clock += seconds;
            }
        } else {
            println!("first loss {:.3}", loss.double_value(&[]));
        }
    }
    let per_second = |seconds: f64| (rows * steps) as f64 / seconds;
    println!(
        "train: {:.0} samples/s (forward {:.1} ms, backward {:.1} ms, AdamW {:.1} ms a step)",
        per_second(clocks.iter().sum()),
        clocks[0] * 1e3 / steps as f64,
        clocks[1] * 1e3 / steps as f64,
        clocks[2] * 1e3 / steps as f64
    );

    let request = ActRequest { mode: ActMode::Sample, temperature: config.temperature, seed: 1, training: true };
    policy.act(&batch, &request)?;
    let start = Instant::now();
    for _ in 0..steps {
        policy.act(&batch, &request)?;
    }
    println!("act: {:.0} samples/s", per_second(start.elapsed().as_secs_f64()));
    Ok(())
}
