//! What one call through the plugin boundary costs, beside the same call made directly in Rust, in the same run.
//!
//! `cargo run -p twinhost --example plugin_call` after `cargo xtask build-plugins`. The call is `Reward::reset` of the bundle
//! `rewards` with no rows, which does nothing on the other side: what is measured is the boundary (vtable, `catch_unwind`, results).

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;
use twinhost::loader::{Loader, host_services};
use twinhost_plugin_api::{Batch, Reward, RewardSpec, Tensor};

const CALLS: u32 = 5_000_000;
const ROUNDS: usize = 7;

/// The same reward, linked directly.
struct Direct;

impl Reward for Direct {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: Vec::new(), decides_success: false }
    }
    fn score(&mut self, _: &Batch) -> twinhost_plugin_api::Result<Batch> {
        Ok(Batch::new().with("next.reward", Tensor::zeros::<f32>(&[1, 1])))
    }
}

/// Nanoseconds per call: the fastest of several rounds, which is the one least disturbed by other programs.
fn measure(reward: &mut dyn Reward) -> f64 {
    let round = |reward: &mut dyn Reward| {
        let started = Instant::now();
        for _ in 0..CALLS {
            let _ = black_box(reward.reset(black_box(&[])));
        }
        started.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round(reward)).fold(f64::INFINITY, f64::min)
}

fn main() -> ExitCode {
    // Plugins lie beside the host binary, one folder up from an example.
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.to_path_buf()));
    let loader = Loader::new(&beside.into_iter().collect::<Vec<_>>());
    let mut through = match loader.reward("rewards:step_penalty", "", host_services(1, 0)) {
        Ok(reward) => reward,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let direct = measure(&mut Direct);
    let through = measure(&mut through);
    println!("direct_call {direct:.2} ns (baseline: dynamic call in Rust)");
    println!("plugin_call {through:.2} ns");
    println!("plugin_overhead {:.2} ns (aim: at most 20)", through - direct);
    ExitCode::SUCCESS
}
