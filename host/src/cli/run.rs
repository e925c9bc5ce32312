//! `host run`: runs a recipe, or continues a run.

use clap::Args;
use std::path::{Path, PathBuf};

use super::check::shown;
use super::{Failure, Overrides, PluginPaths};
use crate::loader::Loader;
use crate::observe::{ArmAbout, Logging, Progress, RunAbout, RunDir, RunPhase};
use crate::pipeline::{self, Arm, Session};
use crate::recipe::{LoadedRecipe, Recipe, lock};

#[derive(Args, Debug)]
pub struct RunArgs {
    /// The recipe (.ron).
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    recipe: Option<PathBuf>,
    /// Folder of the run; a new one under runs/ when left out. An existing run of the same recipe is continued; further arms may join it.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    run_dir: Option<PathBuf>,
    /// Continue the run in this folder.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Arms to compare, e.g. sft_real,sft_cotrain,rlco,rlco_no_anchor,no_sim_sft. Without it: the recipe before and after stage II.
    #[arg(long, value_delimiter = ',', value_name = "ARM,...", conflicts_with = "resume")]
    arms: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
    /// Where demonstrations are stored and looked for; the user's cache when left out.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    paths: PluginPaths,
}

/// # Errors
/// With exit code 2 for whatever the user can mend, 130 if the run was stopped.
pub fn run(args: &RunArgs, progress: &Progress, logging: &Logging) -> Result<(), Failure> {
    if args.resume.is_some() && !args.overrides.is_empty() {
        return Err(Failure::user("a run continues as it began: leave out --set and --grant, or begin another one"));
    }
    let (folder, arms) = match (&args.resume, &args.recipe) {
        (Some(folder), _) => (Some(folder.clone()), stored_arms(folder)?),
        (None, Some(recipe)) => (args.run_dir.clone(), chosen_arms(recipe, &args.overrides.sets(), &args.arms)?),
        (None, None) => return Err(Failure::user("name a recipe, or a run folder with --resume")),
    };
    let first = &arms[0].recipe;
    let mut loader = args.paths.loader(&first.recipe);
    arms.iter().skip(1).for_each(|arm| super::add_files(&mut loader, &arm.recipe.recipe));
    super::check::validate_all(&loader, arms.iter().map(|a| &a.recipe))?;

    let about = about(&arms);
    let run = match folder {
        Some(folder) if folder.join("run.json").is_file() => reopen(&folder, &arms, &loader)?,
        Some(folder) => RunDir::create(&folder, &about)?,
        None => RunDir::create_under(Path::new("runs"), &about)?,
    };
    logging.write_to(&run.log())?;
    store_recipes(&run, &arms, &loader)?;
    catch_signals()?;
    let threads = threads(first);
    let data_dir = args.data_dir.clone().unwrap_or_else(crate::data::default_folder);
    tracing::info!("run folder {}", run.path().display());
    let path = run.path().to_path_buf();
    run.set_status(RunPhase::Running, "")?;
    let mut session = Session::new(loader, run, progress.clone(), threads, data_dir)?;
    let outcome = pipeline::run(&mut session, &arms);
    conclude(&mut session, &path, outcome)
}

fn conclude(session: &mut Session, path: &Path, outcome: pipeline::Result<()>) -> Result<(), Failure> {
    let shown = path.display();
    match outcome {
        Ok(()) => {
            session.run.set_status(RunPhase::Finished, "")?;
            let report = crate::observe::report::write_report(session.run.path())?;
            for result in crate::observe::EvalResult::read_all(&session.run)? {
                println!("{:<16} {}", result.arm, pipeline::summary(&result));
            }
            println!("report: {}", report.display());
            Ok(())
        }
        Err(pipeline::Error::Stopped) => {
            session.run.set_status(RunPhase::Interrupted, "stopped by the user")?;
            Err(Failure::interrupted(format!("stopped; everything up to here is saved. Continue with: host run --resume {shown}")))
        }
        Err(error) => {
            // The error itself matters more than whether the status could be written.
            let _ = session.run.set_status(RunPhase::Failed, error.to_string());
            let told = format!("{error}\nthe run can be continued once this is mended: host run --resume {shown}");
            Err(Failure::user(told).caused_by(&error))
        }
    }
}

/// Arms of a fresh run: those asked for, or the recipe before and after stage II.
fn chosen_arms(path: &Path, sets: &[String], names: &[String]) -> Result<Vec<Arm>, Failure> {
    let base = Recipe::load(path, sets, None).map_err(shown)?;
    let names: Vec<String> = if !names.is_empty() {
        names.to_vec()
    } else if base.recipe.stages.sft.is_some() && base.recipe.stages.rl.is_some() {
        vec!["sft_cotrain".into(), "rlco".into()]
    } else {
        vec!["rlco".into()]
    };
    let mut arms: Vec<Arm> = Vec::new();
    for name in names {
        if arms.iter().all(|a| a.name != name) {
            arms.push(Arm { recipe: Recipe::load(path, sets, Some(&name)).map_err(shown)?, name });
        }
    }
    Ok(arms)
}

pub(super) fn arm_file(folder: &Path, arm: &str) -> PathBuf {
    folder.join("recipes").join(format!("{arm}.ron"))
}

/// Arms of a run folder, as they were resolved when it began.
fn stored_arms(folder: &Path) -> Result<Vec<Arm>, Failure> {
    let about = crate::observe::RunLayout::new(folder).read_about()?;
    about
        .arms
        .iter()
        .map(|arm| Ok(Arm { name: arm.name.clone(), recipe: Recipe::load(&arm_file(folder, &arm.name), &[], None)? }))
        .collect()
}

/// Opens an existing run folder, if it is a run of these arms with these plugins. Further arms may join it.
fn reopen(folder: &Path, arms: &[Arm], loader: &Loader) -> Result<RunDir, Failure> {
    let run = RunDir::open(folder)?;
    let mut about = run.read_about()?;
    let advice = format!("choose another folder with --run-dir, or continue the stored run with: host run --resume {}", folder.display());
    if let Some(left_out) = about.arms.iter().find(|stored| arms.iter().all(|a| a.name != stored.name)) {
        return Err(Failure::user(format!(
            "{} holds a run with the arm `{}`, which is not asked for now: {advice}",
            folder.display(),
            left_out.name
        )));
    }
    for arm in arms {
        let Some(locked) = lock::Lock::read(&run.recipe_lock(), &arm.name).map_err(Failure::user)? else { continue };
        let now =
            lock::Lock { recipe: locked.recipe.clone(), arm: locked.arm.clone(), sources: locked.sources.clone(), ..lock_of(arm, loader) };
        let differences = locked.differences(&now);
        if !differences.is_empty() {
            let list = differences.join("\n  ");
            return Err(Failure::user(format!(
                "{} was begun with something else:\n  {list}\nput that back, or {advice}",
                folder.display()
            )));
        }
    }
    if about.arms.len() < arms.len() {
        about.arms = arms.iter().map(|a| ArmAbout::new(&a.name, title(&a.name))).collect();
        crate::observe::run_dir::write_json(&run.about(), &about)?;
    }
    Ok(run)
}

fn lock_of(arm: &Arm, loader: &Loader) -> lock::Lock {
    lock::Lock::of(&arm.recipe, super::check::locked_plugins(loader, &arm.recipe))
}

/// Puts the resolved recipe of every arm, and what it was locked to, into the run folder.
fn store_recipes(run: &RunDir, arms: &[Arm], loader: &Loader) -> Result<(), Failure> {
    let folder = run.path().join("recipes");
    std::fs::create_dir_all(&folder).map_err(crate::observe::Error::io("create", &folder))?;
    crate::observe::durable::write_file(&run.recipe(), arms[arms.len() - 1].recipe.text.as_bytes())?;
    for arm in arms {
        crate::observe::durable::write_file(&arm_file(run.path(), &arm.name), arm.recipe.text.as_bytes())?;
        lock_of(arm, loader).write(&run.recipe_lock(), &arm.name).map_err(Failure::user)?;
    }
    Ok(())
}

fn about(arms: &[Arm]) -> RunAbout {
    let recipe = &arms[0].recipe.recipe;
    let arms = arms.iter().map(|a| ArmAbout::new(&a.name, title(&a.name))).collect();
    RunAbout::new(&recipe.name, format!("Sim-real co-training: {}", recipe.name), recipe.seed, arms)
}

fn title(arm: &str) -> String {
    match arm {
        "sft_real" => "SFT on real demonstrations only".into(),
        "sft_cotrain" => "SFT co-training (stage I)".into(),
        "rlco" => "RL-Co (stages I and II)".into(),
        "rlco_no_anchor" => "RL-Co without the anchor".into(),
        "no_sim_sft" => "RL-Co without simulated SFT".into(),
        other => other.into(),
    }
}

pub(super) fn threads(recipe: &LoadedRecipe) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    recipe.recipe.threads.unwrap_or(cores) as u32
}

/// The first interrupt finishes the step and saves; the second stops at once.
fn catch_signals() -> Result<(), Failure> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    std::thread::spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            if count == 0 {
                tracing::warn!("stopping after this step; interrupt again to stop at once (the last checkpoint remains)");
                pipeline::request_stop();
            } else {
                // Checkpoints are published atomically, so there is nothing to clean up.
                std::process::exit(130);
            }
        }
    });
    Ok(())
}
