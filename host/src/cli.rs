//! The command line: one file per noun or verb.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::codes::Code;
use crate::loader::{Loader, Trust};
use crate::observe::Progress;
use crate::pipeline;
use crate::recipe::{self, Permission, Recipe};

pub mod check;
pub mod child;
pub mod data;
pub mod doctor;
pub mod eval;
pub mod explain;
pub mod plugin;
pub mod report;
pub mod run;

/// Plugin-based sim-real co-training of vision-language-action policies.
#[derive(Parser, Debug)]
#[command(name = "host", version, about, disable_help_subcommand = true)]
struct Cli {
    /// More detail in the log (-v debug of the host, -vv of everything).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Only warnings, errors and results.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a recipe, or continue a run.
    Run(run::RunArgs),
    /// Check a recipe without running it: every error at once; writes recipe.lock.
    Check(check::CheckArgs),
    /// Evaluate the weights of a run or a folder.
    Eval(eval::EvalArgs),

    /// Record, generate, describe and view demonstrations.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Find out which plugins there are and why.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Build the report of one run, or compare several.
    Report(report::ReportArgs),
    /// What an error's code means and what to do about it.
    Explain(explain::ExplainArgs),
    /// Check this machine and say what is missing.
    Doctor(PluginPaths),
    /// What the host starts itself as.
    #[command(subcommand, hide = true)]
    Child(child::ChildCommand),
}

/// Where to look for plugins besides the usual places.
#[derive(Args, Debug, Clone, Default)]
pub struct PluginPaths {
    /// Folder or library to search for plugins first (may be given several times).
    #[arg(long, value_name = "PATH")]
    pub plugin_dir: Vec<PathBuf>,
}

impl PluginPaths {
    /// A loader that looks here first, then where the recipe says, and does as the recipe wants.
    pub fn loader(&self, recipe: &Recipe) -> Loader {
        let mut loader = Loader::new(&self.plugin_dir.iter().chain(&recipe.plugins).cloned().collect::<Vec<_>>());
        // What is too long for a duration is as good as never.
        loader.hang_after = Duration::try_from_secs_f64(recipe.hang_after_s).unwrap_or(Duration::MAX);
        loader.trust = match recipe.trust {
            recipe::Trust::Any => Trust::Any,
            recipe::Trust::Locked => Trust::Locked,
        };
        loader.sandbox = recipe.sandbox.clone();
        add_files(&mut loader, recipe);
        loader
    }
}

/// What the command line says over the recipe.
#[derive(Args, Debug, Clone, Default)]
pub struct Overrides {
    /// Override a field, e.g. --set stages.rl.anchor.beta=0 (may be given several times).
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Give sandboxed components what they ask for: clock, random, log (in place of what the recipe's `sandbox` grants).
    #[arg(long, value_name = "PERMISSION,...", value_delimiter = ',')]
    grant: Vec<String>,
}

impl Overrides {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.grant.is_empty()
    }

    /// As `PATH=VALUE`; a wrong value is told like one in the recipe.
    pub fn sets(&self) -> Vec<String> {
        let word = |given: &String| {
            let mut known = Permission::ALL.iter().map(|p| format!("{p:?}"));
            known.find(|k| k.eq_ignore_ascii_case(given)).unwrap_or_else(|| given.clone())
        };
        let mut sets = self.set.clone();
        if !self.grant.is_empty() {
            sets.push(format!("sandbox.grants=[{}]", self.grant.iter().map(word).collect::<Vec<_>>().join(", ")));
        }
        sets
    }
}

/// Builds the components that a recipe names by their files. One that cannot be built is told where it is asked for.
fn add_files(loader: &mut Loader, recipe: &Recipe) {
    for (kind, reference) in pipeline::named(recipe) {
        if let Some(file) = reference.file() {
            pipeline::add_file(loader, kind, reference, file);
        }
    }
}

/// Why the process ends without success, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
    /// What kind of mistake it is, if it is one.
    kind: Option<Code>,
}

impl Failure {
    /// Something the user can mend: exit code 2.
    pub fn user(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2, kind: None }
    }
    /// The same failure under the code of the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.kind = explain::code_of(error);
        self
    }
    /// The same failure under a code.
    #[must_use]
    pub fn under(mut self, code: Code) -> Self {
        self.kind = Some(code);
        self
    }
    fn report(&self) -> ExitCode {
        eprintln!("{}", self.message.trim_end());
        if let Some(kind) = self.kind {
            eprintln!("({kind}: `host explain {kind}` tells more)");
        }
        ExitCode::from(self.code)
    }
    /// Stopped on request: exit code 130, as a shell reports an interrupt.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 130, kind: None }
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::user(e.to_string()).caused_by(&e)
    }
}

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let progress = if cli.quiet { Progress::hidden() } else { Progress::auto() };
    let logging = match crate::observe::init_logging(if cli.quiet { -1 } else { cli.verbose as i8 }, &progress) {
        Ok(logging) => logging,
        Err(error) => return Failure::from(error).report(),
    };
    if let Ok(binary) = std::env::current_exe() {
        crate::loader::set_host_binary(binary);
    }
    let result = match &cli.command {
        Command::Run(args) => run::run(args, &progress, &logging),
        Command::Check(args) => check::run(args),
        Command::Eval(args) => eval::run(args, &progress),
        Command::Data(command) => data::run(command, &progress),
        Command::Plugin(command) => plugin::run(command),
        Command::Report(args) => report::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Doctor(paths) => doctor::run(paths),
        Command::Child(command) => child::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
