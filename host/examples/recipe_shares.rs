//! Where the wall time of a recipe goes: simulation, rendering, inference, training, and what is none of these.
//!
//! `cargo run -p twinhost --example recipe_shares [-- RECIPE [--full]]` after `cargo xtask build-plugins`. Without `--full` a short run of
//! every stage is timed and each stage's seconds per step are scaled to the recipe's own number of steps. Rendering is told apart from
//! physics by stepping the recipe's simulator with and without cameras in the same run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use twinhost::loader::{Loader, host_services};
use twinhost::observe::metrics::{Record, SINCE_PREVIOUS, read_records};
use twinhost::recipe::{LoadedRecipe, Recipe};
use twinhost_plugin_api::{Env, ResetRequest, Tensor};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Sizes of the short run; the first steps of a stage are not counted.
const SHORT: [&str; 6] = [
    "stages.demos.real.episodes=10",
    "stages.demos.sim.episodes=60",
    "stages.sft.steps=80",
    "stages.rl.iterations=8",
    "stages.rl.algorithm.config.critic_warmup=1",
    "stages.eval.episodes=16",
];

/// Seconds of one stage.
#[derive(Clone, Copy, Debug, Default)]
struct Seconds {
    wall: f64,
    simulation: f64,
    inference: f64,
    training: f64,
    loading: f64,
}

impl Seconds {
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let mut sum = Self::default();
        for record in records {
            let time = |name: &str| record.time.get(name).copied().unwrap_or(0.0);
            sum.wall += time(SINCE_PREVIOUS);
            sum.simulation += time("time/simulation");
            sum.inference += time("time/inference");
            sum.training += time("time/training");
            sum.loading += time("time/loading");
        }
        sum
    }

    fn scaled(self, factor: f64) -> Self {
        let Self { wall, simulation, inference, training, loading } = self;
        Self {
            wall: wall * factor,
            simulation: simulation * factor,
            inference: inference * factor,
            training: training * factor,
            loading: loading * factor,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            simulation: self.simulation + other.simulation,
            inference: self.inference + other.inference,
            training: self.training + other.training,
            loading: self.loading + other.loading,
        }
    }
}

/// Seconds a number of control steps takes in the recipe's simulator, as it stands and without cameras.
fn stepping(loader: &Loader, recipe: &Path, env: &str, threads: u32) -> Result<[f64; 2]> {
    let mut seconds = [0.0; 2];
    for (at, sets) in [vec![], vec![format!("envs.{env}.config.cameras=[]")]].into_iter().enumerate() {
        let loaded = Recipe::load(recipe, &sets, None)?;
        let component = &loaded.recipe.envs[env];
        let mut env = loader.env(&component.component, &component.config.ron, host_services(threads, 1))?;
        let spec = env.spec();
        env.reset(&ResetRequest::new((0..spec.num_envs as u64).collect()).auto_reset())?;
        let actions = Tensor::zeros::<f32>(&[spec.num_envs, 4, spec.action.dim()]);
        for round in 0..12 {
            let started = Instant::now();
            env.step(&actions)?;
            // The first calls fill caches.
            seconds[at] += if round < 2 { 0.0 } else { started.elapsed().as_secs_f64() };
        }
    }
    Ok(seconds)
}

/// Runs the recipe with the host that lies beside this program.
fn run(host: &Path, recipe: &Path, folder: &Path, sets: &[&str]) -> Result<()> {
    let mut command = Command::new(host);
    command.arg("run").arg(recipe).args(["--arms", "rlco", "--run-dir"]).arg(folder.join("run"));
    // A full run finds the demonstrations of an earlier one and would not show what making them costs.
    command.arg("--data-dir").arg(folder.join("data"));
    command.args(sets.iter().flat_map(|set| ["--set", set])).stdout(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("`host run` failed with {status}").into()) }
}

/// The stages' seconds, scaled from what was run to what the recipe asks for.
fn stages(records: &[Record], ran: &LoadedRecipe, asked: &LoadedRecipe, full: bool) -> Vec<(&'static str, Seconds)> {
    let of = |stage: &'static str, skip: usize| records.iter().filter(move |r| r.stage == stage).skip(skip);
    let skip = usize::from(!full);
    let (sft, rl) = (of("sft", skip), of("rl", 2 * skip));
    let scale = |records: usize, per_record: f64, wanted: f64| if full { 1.0 } else { wanted / (records as f64 * per_record) };
    let (ran, asked) = (&ran.recipe.stages, &asked.recipe.stages);
    let mut out = Vec::new();
    let demos =
        |s: &twinhost::recipe::Stages| s.demos.real.as_ref().map_or(0, |d| d.episodes) + s.demos.sim.as_ref().map_or(0, |d| d.episodes);
    let made = of("demos", 0).map(|r| r.time.get("time/demos").copied().unwrap_or(0.0)).sum::<f64>();
    let seconds = made * demos(asked) as f64 / demos(ran).max(1) as f64;
    out.push(("demos", Seconds { wall: seconds, simulation: seconds, ..Seconds::default() }));
    if let Some(stage) = &asked.sft {
        let sum = Seconds::of(sft.clone());
        out.push(("sft", sum.scaled(scale(sft.count(), 10.0, stage.steps as f64))));
    }
    if let Some(stage) = &asked.rl {
        let sum = Seconds::of(rl.clone());
        out.push(("rl", sum.scaled(scale(rl.count(), 1.0, stage.iterations as f64))));
    }
    if let (Some(short), Some(stage)) = (&ran.eval, &asked.eval) {
        let sum = Seconds::of(of("eval", 0));
        out.push(("eval", sum.scaled(if full { 1.0 } else { stage.episodes as f64 / short.episodes as f64 })));
    }
    out
}

fn measure() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let full = arguments.iter().any(|a| a == "--full");
    let recipe = PathBuf::from(arguments.iter().find(|a| !a.starts_with("--")).map_or("recipes/rlco_openvla.ron", String::as_str));
    let exe = std::env::current_exe()?;
    let beside = exe.parent().and_then(Path::parent).ok_or("this program lies in no target folder")?;
    let loader = Loader::new(&[beside.to_path_buf()]);
    let folder = tempfile::tempdir()?;
    let sets: &[&str] = if full { &[] } else { &SHORT };
    run(&beside.join("host"), &recipe, folder.path(), sets)?;

    let asked = Recipe::load(&recipe, &[], Some("rlco"))?;
    let ran = Recipe::load(&recipe, &sets.iter().map(ToString::to_string).collect::<Vec<_>>(), Some("rlco"))?;
    let records = read_records(&folder.path().join("run/metrics.jsonl"))?;
    let stages = stages(&records, &ran, &asked, full);
    let total = stages.iter().fold(Seconds::default(), |sum, (_, s)| sum.plus(*s));
    let env =
        asked.recipe.stages.rl.as_ref().map_or_else(|| asked.recipe.envs.keys().next().cloned().unwrap_or_default(), |rl| rl.env.clone());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    let [seeing, blind] = stepping(&loader, &recipe, &env, threads)?;
    let rendering = (1.0 - blind / seeing).clamp(0.0, 1.0);

    for (stage, seconds) in &stages {
        println!("{stage} {:.1} s", seconds.wall);
    }
    println!("whole_recipe {:.1} s{}", total.wall, if full { "" } else { " (scaled from a short run)" });
    let share = |name: &str, seconds: f64| println!("{name} {:.1} % of the wall time", 100.0 * seconds / total.wall);
    share("physics", total.simulation * (1.0 - rendering));
    share("rendering", total.simulation * rendering);
    share("inference", total.inference);
    share("training", total.training);
    share("batches", total.loading);
    share("other", total.wall - total.simulation - total.inference - total.training - total.loading);
    Ok(())
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
