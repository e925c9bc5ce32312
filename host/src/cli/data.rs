//! `host data record|generate|info|view`: demonstrations without a run.

use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use twinhost_plugin_api::{Env, Tensor, names};

use super::{Failure, Overrides, PluginPaths};
use crate::data::sets::Sets;
use crate::data::{self, Dataset, Stored, describe};
use crate::loader::Loader;
use crate::observe::{Progress, film};
use crate::pipeline::{create_env, create_expert};
use crate::recipe::{LoadedRecipe, RealDemos, Recipe};

#[derive(Subcommand, Debug)]
pub enum DataCommand {
    /// Record the demonstrations that `stages.demos.real` of a recipe asks for.
    Record(MakeArgs),
    /// Generate the demonstrations that `stages.demos.sim` of a recipe asks for (and record those it is generated from).
    Generate {
        #[command(flatten)]
        make: MakeArgs,
        /// Store failed attempts too, in the subfolder `failures`.
        #[arg(long)]
        keep_failures: bool,
    },
    /// Describe a LeRobot dataset: episodes, features, statistics, success.
    Info {
        /// Folder of the dataset.
        dataset: PathBuf,
        /// Also list every episode.
        #[arg(long)]
        episodes: bool,
    },
    /// Write a film and a contact sheet of an episode.
    View {
        /// Folder of the dataset.
        dataset: PathBuf,
        #[arg(long, default_value_t = 0)]
        episode: usize,
        /// Camera, e.g. `base`; the first one when left out.
        #[arg(long)]
        camera: Option<String>,
        /// Where to write STEM.gif and STEM.png; `episode-N` in the working folder when left out.
        #[arg(long, value_name = "STEM")]
        out: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub struct MakeArgs {
    /// The recipe (.ron).
    recipe: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Use this arm of the recipe.
    #[arg(long, value_name = "NAME")]
    arm: Option<String>,
    /// Where demonstrations are stored and looked for; the user's cache when left out.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    paths: PluginPaths,
}

/// # Errors
/// With exit code 2 for whatever the user can mend.
pub fn run(command: &DataCommand, progress: &Progress) -> Result<(), Failure> {
    match command {
        DataCommand::Record(args) => {
            let maker = Maker::new(args, progress)?;
            report(&maker.real()?.0)
        }
        DataCommand::Generate { make, keep_failures } => {
            let maker = Maker::new(make, progress)?;
            report(&maker.sim(*keep_failures)?)
        }
        DataCommand::Info { dataset, episodes } => {
            let dataset = Dataset::open(dataset)?;
            print!("{}", describe::overview(&dataset)?);
            if *episodes {
                print!("\n{}", describe::episodes(&dataset)?);
            }
            Ok(())
        }
        DataCommand::View { dataset, episode, camera, out } => view(dataset, *episode, camera.as_deref(), out.as_deref()),
    }
}

fn report(stored: &Stored) -> Result<(), Failure> {
    if stored.reused {
        println!("already there, made from the same recipe, seed and plugins:");
    }
    print!("{}", describe::overview(&stored.dataset)?);
    Ok(())
}

/// Makes the sets of a recipe, or finds them.
struct Maker<'a> {
    recipe: LoadedRecipe,
    loader: Loader,
    data_dir: PathBuf,
    threads: u32,
    progress: &'a Progress,
}

impl<'a> Maker<'a> {
    fn new(args: &MakeArgs, progress: &'a Progress) -> Result<Self, Failure> {
        let recipe = Recipe::load(&args.recipe, &args.overrides.sets(), args.arm.as_deref())?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            loader: args.paths.loader(&recipe.recipe),
            data_dir: args.data_dir.clone().unwrap_or_else(data::default_folder),
            threads: recipe.recipe.threads.unwrap_or(cores) as u32,
            recipe,
            progress,
        })
    }

    fn sets(&self) -> Sets<'_> {
        Sets { data_dir: &self.data_dir, recipe: &self.recipe, loader: &self.loader }
    }

    fn missing(&self, what: &str) -> Failure {
        Failure::user(format!("{} has no `stages.demos.{what}`, so there is nothing to make", self.recipe.path.display()))
    }

    fn real(&self) -> Result<(Stored, &RealDemos), Failure> {
        let stage = self.recipe.recipe.stages.demos.real.as_ref().ok_or_else(|| self.missing("real"))?;
        let mut env = create_env(&self.loader, &self.recipe, &stage.env, self.threads)?;
        let spec = env.spec();
        let order = self.sets().real(stage, spec.kind)?;
        let expert = || create_expert(&self.loader, &self.recipe, &stage.expert, &spec).map_err(Failure::from);
        let stored = self.with_progress("record", stage.episodes, |tell| order.record(stage, &mut env, expert, tell))?;
        Ok((stored, stage))
    }

    fn sim(&self, keep_failures: bool) -> Result<Stored, Failure> {
        let stage = self.recipe.recipe.stages.demos.sim.as_ref().ok_or_else(|| self.missing("sim"))?;
        let (source, _) = self.real()?;
        let mut env = create_env(&self.loader, &self.recipe, &stage.env, self.threads)?;
        let order = self.sets().sim(stage, env.spec().kind, &source)?;
        self.with_progress("generate", stage.episodes, |tell| Ok(order.generate(stage, &mut env, &source, keep_failures, tell)?))
    }

    fn with_progress<R>(
        &self,
        name: &str,
        wanted: usize,
        make: impl FnOnce(&mut dyn FnMut(&data::Progress) -> data::Result<()>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let mut bar = None;
        let made = make(&mut |p| {
            let bar = bar.get_or_insert_with(|| self.progress.stage(name, wanted as u64));
            bar.message(format!("{:.0} % of {} attempts succeed", 100.0 * p.success_rate(), p.attempts));
            bar.set_position(p.successes as u64);
            Ok(())
        })?;
        if let Some(bar) = bar {
            bar.finish("");
        }
        Ok(made)
    }
}

fn view(folder: &Path, episode: usize, camera: Option<&str>, out: Option<&Path>) -> Result<(), Failure> {
    let dataset = Dataset::open(folder)?;
    let cameras: Vec<&str> = dataset.readable_features().into_iter().filter(|n| dataset.info().features[*n].dtype == "image").collect();
    let wanted = |name: &&&str| camera.is_none_or(|c| **name == c || name.strip_prefix(names::IMAGES) == Some(c));
    let Some(camera) = cameras.iter().find(wanted) else {
        let have = if cameras.is_empty() { "it has no cameras stored as images".into() } else { format!("it has: {}", cameras.join(", ")) };
        return Err(Failure::user(format!("{} has no such camera ({have})", folder.display())));
    };
    let frames = dataset.frames(episode..episode.saturating_add(1), &[*camera])?;
    let images = &frames.columns[*camera];
    let single: Vec<Tensor> = (0..images.dim(0))
        .map(|t| images.gather_rows(&[t])?.reshape(&images.shape()[1..]))
        .collect::<Result<_, twinhost_plugin_api::Error>>()?;
    let stem = out.map_or_else(|| PathBuf::from(format!("episode-{episode}")), Path::to_path_buf);
    let files = film::write_film(&single, 1.0 / dataset.info().fps, &stem)?;
    println!("{}\n{}", files.animation.display(), files.strip.display());
    Ok(())
}
