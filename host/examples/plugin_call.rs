//! What one call through the plugin boundary costs, beside the same call made directly in Rust, in the same run.
//!
//! `cargo run -p twinhost --example plugin_call` after `cargo xtask build-plugins`. The empty call is `Reward::reset` of the bundle `rewards`
//! with no rows, which does nothing on the other side: what is measured is the boundary (vtable, `catch_unwind`, watch, results). The
//! call with data is `Reward::score` of a transition with 32 floats, and with a 128x128 RGB image beside them, in the host's process and in one of its own.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use twinhost::loader::{Loader, Terms, host_services, set_host_binary};
use twinhost_plugin_api::{Batch, Reward, RewardSpec, Tensor, names};

const ROUNDS: usize = 7;

/// The same reward, linked directly.
struct Direct;

impl Reward for Direct {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: Vec::new(), decides_success: false }
    }
    fn score(&mut self, transition: &Batch) -> twinhost_plugin_api::Result<Batch> {
        let action = transition.get(names::ACTION)?;
        let [rows, chunk, dim] = action.shape()[..] else { return Err(twinhost_plugin_api::Error::input("`action` must be [B, C, A]")) };
        let length = |step: &[f32]| -step.iter().map(|v| v * v).sum::<f32>();
        let scores = action.as_slice::<f32>()?.chunks_exact(dim).map(length).collect();
        Ok(Batch::new().with(names::REWARD, Tensor::from_vec(scores, &[rows, chunk])))
    }
}

/// Nanoseconds per call: the fastest of several rounds, which is the one least disturbed by other programs.
fn fastest(calls: u32, mut call: impl FnMut()) -> f64 {
    let mut round = || {
        let started = Instant::now();
        for _ in 0..calls {
            call();
        }
        started.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn empty(reward: &mut dyn Reward) -> f64 {
    fastest(5_000_000, || drop(black_box(reward.reset(black_box(&[])))))
}

fn score(reward: &mut dyn Reward, transition: &Batch, calls: u32) -> f64 {
    fastest(calls, || drop(black_box(reward.score(black_box(transition)))))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> twinhost_plugin_api::Result<()> {
    // Plugins and the host binary lie one folder up from an example.
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.to_path_buf()));
    if let Some(folder) = &beside {
        set_host_binary(folder.join("host"));
    }
    let loader = Loader::new(&beside.into_iter().collect::<Vec<_>>());
    let mut penalty = loader.reward("rewards:step_penalty", "", host_services(1, 0), &Terms::default())?;
    let direct = empty(&mut Direct);
    let through = empty(&mut penalty);
    println!("direct_call {direct:.2} ns (baseline: dynamic call in Rust)");
    println!("plugin_call {through:.2} ns");
    println!("plugin_overhead {:.2} ns (aim: at most 20)", through - direct);

    let floats = || Batch::new().with(names::ACTION, Tensor::from_vec((0..32).map(|i| i as f32 * 0.01).collect(), &[1, 4, 8]));
    let image = floats().with("observation.images.base", Tensor::zeros::<u8>(&[1, 128, 128, 3]));
    let mut here = loader.reward("rewards:action_smoothness", "", host_services(1, 0), &Terms::default())?;
    let mut there = loader.isolated_reward("rewards:action_smoothness", "", host_services(1, 0))?;
    println!("direct_32_floats {:.0} ns (the same arithmetic, linked)", score(&mut Direct, &floats(), 200_000));
    println!("plugin_32_floats {:.0} ns", score(&mut here, &floats(), 200_000));
    println!("isolated_32_floats {:.0} ns (aim: at most 15000, there and back)", score(&mut there, &floats(), 20_000));
    println!("plugin_image {:.0} ns (128x128 RGB beside the floats)", score(&mut here, &image, 200_000));
    println!("isolated_image {:.0} ns", score(&mut there, &image, 5_000));
    Ok(())
}
