//! What a call of a component costs, by the way it is built in: directly in Rust, through the plugin interface, and as a sandboxed component in
//! each language of `host plugin new`, beside a plain function in Python, all in one run.
//!
//! `cargo run -p twinhost --example sandbox_call` after `cargo build -p twinhost`. Two rewards: that of the templates, `1 - tanh(5 * distance to a
//! goal)`, on a state of 32 numbers, for one transition and for a batch of 256; and the mean brightness of a 128x128 RGB picture. A language whose
//! tools are not on this machine is left out, with the reason. With arguments `NAME=FILE.wasm` those rewards are measured instead of the templates'.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use twinhost::loader::{Catalog, Kind, Loader, Terms, host_services};
use twinhost_plugin_api::v1::reward::boxed;
use twinhost_plugin_api::{Batch, Error, Result, Reward, RewardSpec, Tensor, names};

const ROUNDS: usize = 7;
const LONG_ENOUGH: Duration = Duration::from_millis(100);
const WIDTH: usize = 32;
const GOAL: [f32; 3] = [0.5, 0.0, 0.1];
const IMAGE: &str = "observation.images.base";

/// Language, its main file in a project, and the brightness in it.
const LANGUAGES: [(&str, &str, &str); 4] = [
    ("rust", "src/lib.rs", include_str!("brightness/lib.rs")),
    ("c", "reward.c", include_str!("brightness/reward.c")),
    ("python", "reward.py", include_str!("brightness/reward.py")),
    ("js", "reward.js", include_str!("brightness/reward.js")),
];

/// The template's reward as a function of lists, without a sandbox: prints nanoseconds per call of the fastest round.
const PLAIN_PYTHON: &str = "\
import math, timeit
goal, scale, state = [0.5, 0.0, 0.1], 5.0, [i * 0.01 for i in range(32)]
def score(state):
    distance = math.dist(state[:3], goal)
    if not math.isfinite(distance):
        raise ValueError
    return [1.0 - math.tanh(scale * distance)], distance
print(1e9 * min(timeit.repeat(lambda: score(state), number=100000, repeat=7)) / 100000)
";

/// The reward of the templates, linked directly.
struct Near;

impl Reward for Near {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::STATE.into()], decides_success: false }
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let state = transition.get(names::STATE)?;
        let steps = transition.get(names::REWARD)?.dim(1);
        let mut rewards = Vec::with_capacity(state.dim(0) * steps);
        let mut sum = 0.0;
        for row in state.as_slice::<f32>()?.chunks_exact(state.row_len()) {
            let distance = row.iter().zip(&GOAL).map(|(x, goal)| (x - goal).powi(2)).sum::<f32>().sqrt();
            if !distance.is_finite() {
                return Err(Error::numerical("a position is not finite"));
            }
            sum += distance;
            rewards.extend(std::iter::repeat_n(1.0 - (5.0 * distance).tanh(), steps));
        }
        let mean = sum / state.dim(0) as f32;
        let rewards = Tensor::from_vec(rewards, &[state.dim(0), steps]);
        Ok(Batch::new().with(names::REWARD, rewards).with(format!("{}distance", names::METRICS), Tensor::from_vec(vec![mean], &[1])))
    }
}

/// The mean brightness, linked directly.
struct Bright;

impl Reward for Bright {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![IMAGE.into()], decides_success: false }
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let image = transition.get(IMAGE)?;
        let steps = transition.get(names::REWARD)?.dim(1);
        let bright = |picture: &[u8]| picture.iter().map(|&p| u32::from(p)).sum::<u32>() as f32 / (255.0 * image.row_len() as f32);
        let rewards = image.as_slice::<u8>()?.chunks_exact(image.row_len()).flat_map(|picture| std::iter::repeat_n(bright(picture), steps));
        let rewards = Tensor::from_vec(rewards.collect(), &[image.dim(0), steps]);
        Ok(Batch::new().with(names::REWARD, rewards))
    }
}

/// Time this thread has been on a processor, ns, which other programs do not lengthen. The kernel counts in ticks of some milliseconds.
fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(f64::NAN)
}

/// Nanoseconds per call: the fastest of several rounds.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut calls = 1;
    // Doubled until a round is long enough for the clock; what the first calls find cold is over by then.
    loop {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        if started.elapsed() > LONG_ENOUGH {
            break;
        }
        calls *= 2;
    }
    let mut round = || {
        let started = busy();
        (0..calls).for_each(|_| call());
        (busy() - started) / f64::from(calls)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// One chunk of a single step in `rows` environments.
fn transition(rows: usize) -> Batch {
    let state = (0..rows * WIDTH).map(|i| (i % 97) as f32 * 0.01).collect();
    Batch::new()
        .with(names::STATE, Tensor::from_vec(state, &[rows, WIDTH]))
        .with(names::ACTION, Tensor::zeros::<f32>(&[rows, 1, 7]))
        .with(names::REWARD, Tensor::zeros::<f32>(&[rows, 1]))
        .with(names::TERMINATED, Tensor::zeros::<bool>(&[rows, 1]))
}

fn picture() -> Batch {
    let pixels = (0..128 * 128 * 3).map(|i| (i % 251) as u8).collect();
    transition(1).with(IMAGE, Tensor::from_vec(pixels, &[1, 128, 128, 3]))
}

fn scored_image(name: &str, mut score: impl FnMut(&Batch)) {
    let transition = picture();
    println!("image_{name} {:.0} ns (128x128 RGB)", measure(|| score(black_box(&transition))));
}

fn scored(name: &str, mut score: impl FnMut(&Batch)) {
    for (rows, aim) in [(1, aim(name)), (256, batch_aim(name))] {
        let transition = transition(rows);
        let ns = measure(|| score(black_box(&transition)));
        println!("score_{rows}_{name} {ns:.0} ns {aim}");
    }
}

fn aim(name: &str) -> &'static str {
    match name {
        "wasm_rust" | "wasm_c" => "(aim: at most 1000)",
        "wasm_python" => "(aim: at most 20000)",
        _ => "",
    }
}

fn batch_aim(name: &str) -> &'static str {
    if name == "wasm_rust" { "(aim: at most twice the plugin)" } else { "" }
}

/// Plain Python on this machine.
fn plain_python() -> std::result::Result<(), String> {
    let output = Command::new("python3").args(["-c", PLAIN_PYTHON]).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let ns: f64 = said.trim().parse().map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    println!("score_1_python_function {ns:.0} ns (lists, no sandbox)");
    Ok(())
}

/// Makes a project from a language's template, with another main file if one is given, and packs it with the host binary beside the plugins;
/// returns the component file.
fn guest(host: &Path, language: &str, main: Option<(&str, &str)>, folder: &Path) -> std::result::Result<PathBuf, String> {
    let name = if main.is_some() { "bright" } else { "near" };
    let (project, packed) = (folder.join(format!("{name}_{language}")), folder.join(format!("{name}_{language}_packed")));
    std::fs::create_dir_all(&packed).map_err(|e| e.to_string())?;
    let run = |command: &mut Command| {
        let output = command.output().map_err(|e| e.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
    };
    run(Command::new(host).args(["plugin", "new", "--kind", "reward", "--lang", language, name, "--into"]).arg(&project))?;
    if let Some((file, text)) = main {
        std::fs::write(project.join(file), text).map_err(|e| e.to_string())?;
    }
    run(Command::new(host).args(["plugin", "pack"]).arg(&project).arg("--into").arg(&packed))?;
    let mut files = std::fs::read_dir(&packed).map_err(|e| e.to_string())?.flatten().map(|entry| entry.path());
    files.find(|file| file.extension().is_some_and(|e| e == "wasm")).ok_or_else(|| "nothing was packed".to_owned())
}

/// The reward in a component file.
fn sandboxed(file: PathBuf) -> std::result::Result<impl FnMut(&Batch), String> {
    let loader = Loader::of(Catalog::only(&[file]));
    let found = loader.catalog.components(Kind::Reward).next().map(|(_, component)| component.name.clone());
    let name = found.ok_or_else(|| format!("no reward in the file: {:?}", loader.catalog.candidates))?;
    let mut reward = loader.reward(&name, "", host_services(1, 0), &Terms::default()).map_err(|e| e.to_string())?;
    reward.score(&picture()).map_err(|e| e.to_string())?;
    Ok(move |transition: &Batch| drop(black_box(reward.score(transition))))
}

fn report(what: &str, outcome: std::result::Result<(), String>) {
    if let Err(reason) = outcome {
        eprintln!("{what} is left out: {reason}");
    }
}

fn main() -> ExitCode {
    // The host binary lies one folder up from an example.
    let Some(host) = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join("host"))) else {
        eprintln!("the place of this executable is unknown");
        return ExitCode::FAILURE;
    };
    let mut near: Box<dyn Reward> = Box::new(Near);
    scored("direct", |transition| drop(black_box(near.score(transition))));
    let mut plugin = boxed(Near);
    scored("plugin", |transition| drop(black_box(plugin.score(transition))));
    let mut bright: Box<dyn Reward> = Box::new(Bright);
    scored_image("direct", |transition| drop(black_box(bright.score(transition))));
    let mut plugin = boxed(Bright);
    scored_image("plugin", |transition| drop(black_box(plugin.score(transition))));
    report("plain Python", plain_python());
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("no folder for the sandboxed components: {error}");
            return ExitCode::FAILURE;
        }
    };
    let given: Vec<(String, PathBuf)> =
        std::env::args().skip(1).filter_map(|arg| arg.split_once('=').map(|(name, file)| (name.to_owned(), file.into()))).collect();
    for (name, file) in &given {
        report(name, sandboxed(file.clone()).map(|score| scored(&format!("wasm_{name}"), score)));
    }
    for (language, file, brightness) in LANGUAGES.into_iter().filter(|_| given.is_empty()) {
        let name = format!("wasm_{language}");
        let made = |main| guest(&host, language, main, folder.path()).and_then(sandboxed);
        report(language, made(None).map(|score| scored(&name, score)));
        report(language, made(Some((file, brightness))).map(|score| scored_image(&name, score)));
    }
    ExitCode::SUCCESS
}
