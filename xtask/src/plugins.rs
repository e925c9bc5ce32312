//! Building the plugin bundles of this checkout, and packing them into folders that can be copied elsewhere.

use crate::failure::{During, Failure, Result};
use crate::workspace::{Package, Workspace};
use std::fs;
use std::path::{Path, PathBuf};

/// Builds the host together with every plugin in one cargo call, so that shared dependencies are compiled once.
pub fn build_with_host(workspace: &Workspace) -> Result<()> {
    build(workspace, &["--package", "twinhost"])
}

/// Builds every plugin; returns the libraries in the order of their package names.
pub fn build_plugins(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    build(workspace, &[])?;
    let folder = workspace.dev_folder()?;
    let library = |plugin: &Package| folder.join(library_name(plugin.cdylib.as_deref().unwrap_or_default()));
    Ok(workspace.plugins()?.iter().map(library).collect())
}

/// Copies each plugin's library and manifest into `into/<bundle>/`, the form a plugin is handed on in.
pub fn pack(workspace: &Workspace, into: &Path) -> Result<()> {
    let folder = workspace.dev_folder()?;
    for plugin in workspace.plugins()? {
        let library = library_name(plugin.cdylib.as_deref().unwrap_or_default());
        let bundle = plugin.folder.file_name().map(|name| into.join(name)).unwrap_or_default();
        let manifest = plugin.folder.join("plugin.ron");
        if !manifest.is_file() {
            return Err(Failure::new(format!(
                "{} has no plugin.ron, so nobody could tell what the bundle holds; write one beside its Cargo.toml",
                plugin.name
            )));
        }
        fs::create_dir_all(&bundle).during(|| format!("create {}", bundle.display()))?;
        copy_atomically(&manifest, &bundle.join("plugin.ron"))?;
        copy_atomically(&folder.join(&library), &bundle.join(&library))?;
        println!("packed {}", bundle.display());
    }
    Ok(())
}

fn build(workspace: &Workspace, extra: &[&str]) -> Result<()> {
    let plugins = workspace.plugins()?;
    let mut arguments = vec!["build"];
    arguments.extend(extra);
    arguments.extend(plugins.iter().flat_map(|plugin| ["--package", &plugin.name]));
    workspace.run_cargo(&arguments)
}

fn library_name(target: &str) -> String {
    format!("{}{}{}", std::env::consts::DLL_PREFIX, target.replace('-', "_"), std::env::consts::DLL_SUFFIX)
}

/// A host that has the old library open keeps it; nobody ever sees half a file.
fn copy_atomically(from: &Path, to: &Path) -> Result<()> {
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    fs::copy(from, &unfinished).during(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::rename(&unfinished, to).during(|| format!("move {} into place", to.display()))
}
