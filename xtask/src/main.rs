//! `cargo xtask`: the chores of this checkout, in Rust, so that they need nothing but cargo.

mod bench;
mod failure;
mod plugins;
mod setup;
mod testing;
mod tidy;
mod workspace;

use failure::{During, Failure, Result};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use workspace::Workspace;

const USAGE: &str = "\
Chores of the Twinhost checkout. Usage: cargo xtask TASK

  setup                        get and verify libtorch and MuJoCo, install missing Debian packages
  run [RECIPE] [-- ARGS]       set up, build everything, then `host run RECIPE ARGS` (default recipes/rlco_openvla.ron)
  test [FILTER ...]            set up, build everything, run every test (or those the test runner's FILTER names)
  build-plugins [--pack DIR]   build every plugin; with --pack also copy each as a bundle into DIR
  bench [NAME]                 set up, run the benchmarks of all crates (or one) and print a table
  tidy                         check the rules of the house (also a test)
  help                         print this";

const DEFAULT_RECIPE: &str = "recipes/rlco_openvla.ron";

fn main() -> ExitCode {
    match dispatch(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(mut words: Vec<OsString>) -> Result<()> {
    // What follows `--` belongs to the host, whatever it looks like.
    let for_host = words.iter().position(|word| word == "--").map(|at| words.split_off(at).split_off(1)).unwrap_or_default();
    let mut words = lexopt::Parser::from_args(words);
    let task = match words.next().map_err(refuse)? {
        Some(lexopt::Arg::Value(task)) => task.to_string_lossy().into_owned(),
        None | Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help")) => "help".to_owned(),
        Some(other) => return Err(refuse(other.unexpected())),
    };
    let task = task.as_str();
    if !for_host.is_empty() && task != "run" {
        return Err(Failure::new(format!("`cargo xtask {task}` passes nothing on, so `--` has no meaning there")));
    }
    let (mut values, mut pack) = (Vec::new(), None);
    while let Some(word) = words.next().map_err(refuse)? {
        match word {
            lexopt::Arg::Value(value) if matches!(task, "run" | "test" | "bench") => values.push(value.to_string_lossy().into_owned()),
            lexopt::Arg::Long("pack") if task == "build-plugins" => pack = Some(PathBuf::from(words.value().map_err(refuse)?)),
            other => return Err(refuse(other.unexpected())),
        }
    }
    if task == "help" {
        println!("{USAGE}");
        return Ok(());
    }
    let workspace = Workspace::find()?;
    match task {
        "setup" => setup::setup(&workspace, true),
        "run" => run(&workspace, &values, &for_host),
        "test" => {
            setup::setup(&workspace, false)?;
            testing::test(&workspace, &values)
        }
        "build-plugins" => {
            setup::setup(&workspace, false)?;
            for library in plugins::build_plugins(&workspace)? {
                println!("built {}", library.display());
            }
            pack.map_or(Ok(()), |folder| plugins::pack(&workspace, &folder))
        }
        "bench" => {
            setup::setup(&workspace, false)?;
            bench::bench(&workspace, values.first().map(String::as_str))
        }
        "tidy" => tidy::tidy(&workspace),
        other => Err(Failure::new(format!("there is no task `{other}`; `cargo xtask help` lists them"))),
    }
}

fn refuse(error: lexopt::Error) -> Failure {
    Failure::new(format!("{error}; `cargo xtask help` shows the usage"))
}

/// Builds what a run needs and becomes the host, so that Ctrl-C and the exit code are the host's own affair.
fn run(workspace: &Workspace, values: &[String], for_host: &[OsString]) -> Result<()> {
    let recipe = match values {
        [] => workspace.root().join(DEFAULT_RECIPE),
        [recipe] => PathBuf::from(recipe),
        [_, second, ..] => return Err(Failure::new(format!("`run` takes one recipe; pass `{second}` to the host after `--`"))),
    };
    setup::setup(workspace, false)?;
    plugins::build_with_host(workspace)?;
    let host = workspace.dev_folder()?.join("host");
    let error = Command::new(&host).arg("run").arg(&recipe).args(for_host).exec();
    Err(error).during(|| format!("start {}", host.display()))
}
