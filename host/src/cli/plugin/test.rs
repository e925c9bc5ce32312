//! `host plugin test`: the conformance checks on a bundle, a library or a project, and a project's own recorded cases; a score card for each component.

use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use twinhost_plugin_api::testkit::Settings;

use super::super::{Failure, PluginPaths};
use crate::authoring::{Project, build, play_cases};
use crate::codes::Code;
use crate::loader::{Loader, Trust, examine};
use crate::recipe::Permission;

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
/// If there is no such plugin, it does not build, or a check failed.
pub fn run(args: &TestArgs) -> Result<(), Failure> {
    let given = PathBuf::from(&args.plugin);
    let mut paths = args.paths.plugin_dir.clone();
    let bundle = given.join("plugin.ron").is_file().then(|| Project::open(&given)).transpose()?;
    // What has its library beside the manifest is built already.
    let (library, project) = match bundle {
        Some(bundle) if bundle.folder.join(&bundle.manifest.library).is_file() => {
            (Some(bundle.folder.join(&bundle.manifest.library)), None)
        }
        Some(project) => (Some(build(&project)?.path), Some(project)),
        None => (given.is_file().then_some(given), None),
    };
    paths.extend(library.clone());
    let mut loader = Loader::new(&paths);
    loader.trust = Trust::Trial;
    // The author tries out what they wrote themselves.
    loader.sandbox.grants = Permission::ALL.to_vec();
    let found = |b: &&crate::loader::Bundle| library.as_ref().map_or(b.manifest.name == args.plugin, |library| b.library == *library);
    let Some(bundle) = loader.catalog.bundles.iter().find(found) else {
        return Err(match library.as_deref().and_then(|library| crate::loader::inspect(library).err()) {
            Some(refusal) => refusal.into(),
            None => Failure::user(format!(
                "`{}` is neither a project, a bundle, a library nor the name of an installed bundle: see `host plugin list`",
                args.plugin
            ))
            .under(Code::NoSuchComponent),
        });
    };
    let settings = || Settings { leak_time: Duration::from_secs(args.leak_time), ..Settings::default().steps(args.steps) };
    let mut cards = examine(&loader, bundle, settings);
    if let Some(project) = &project {
        for (component, card) in bundle.manifest.components.iter().zip(&mut cards) {
            play_cases(project, &loader, component, card)?;
        }
    }
    for card in &cards {
        println!("{card}");
    }
    let failed: Vec<&str> = cards.iter().filter(|c| !c.passed()).map(|c| c.component.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::user(format!("{} did not pass: every line above that says FAILED tells why", failed.join(", "))))
}
