//! `host plugin test`: the conformance checks on a bundle, a library or a project, with a score card for each component.

use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use twinhost_plugin_api::testkit::Settings;

use super::super::{Failure, PluginPaths};
use crate::authoring::{Project, build};
use crate::loader::{Loader, Trust, examine};

#[derive(Args, Debug)]
pub struct TestArgs {
    /// A project's folder (it is built first), a bundle's folder, a library, or the name of an installed bundle.
    #[arg(value_name = "PLUGIN", default_value = ".")]
    plugin: String,
    /// Calls of the search for leaks.
    #[arg(long, value_name = "CALLS", default_value_t = 1_000_000)]
    steps: u64,
    /// The search for leaks ends after this many seconds for each component.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    leak_time: u64,
    #[command(flatten)]
    paths: PluginPaths,
}

/// # Errors
/// If there is no such plugin, or a check failed.
pub fn run(args: &TestArgs) -> Result<(), Failure> {
    let given = PathBuf::from(&args.plugin);
    let mut paths = args.paths.plugin_dir.clone();
    let library = if given.join("Cargo.toml").is_file() {
        Some(build(&Project::open(&given)?)?.path)
    } else if given.join("plugin.ron").is_file() {
        let project = Project::open(&given)?;
        Some(project.folder.join(&project.manifest.library))
    } else {
        given.is_file().then_some(given)
    };
    paths.extend(library.clone());
    let mut loader = Loader::new(&paths);
    loader.trust = Trust::Trial;
    let found = |b: &&crate::loader::Bundle| library.as_ref().map_or(b.manifest.name == args.plugin, |library| b.library == *library);
    let Some(bundle) = loader.catalog.bundles.iter().find(found) else {
        let refused = library.as_deref().and_then(|l| crate::loader::inspect(l).err()).map(|r| r.to_string());
        return Err(Failure::user(refused.unwrap_or_else(|| {
            format!(
                "`{}` is neither a project, a bundle, a library nor the name of an installed bundle: see `host plugin list`",
                args.plugin
            )
        })));
    };
    let settings = || Settings { leak_time: Duration::from_secs(args.leak_time), ..Settings::default().steps(args.steps) };
    let cards = examine(&loader, bundle, settings);
    for card in &cards {
        println!("{card}");
    }
    let failed: Vec<&str> = cards.iter().filter(|c| !c.passed()).map(|c| c.component.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::user(format!("{} did not pass: every line above that says FAILED tells why", failed.join(", "))))
}
