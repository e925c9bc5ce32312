//! `host plugin trust`: what the user allows to be loaded where it matters.

use clap::Args;
use std::path::{Path, PathBuf};

use super::super::Failure;
use crate::authoring::Project;
use crate::codes::Code;
use crate::loader::{NOT_OURS, TrustList, inspect};

#[derive(Args, Debug)]
pub struct TrustArgs {
    /// A library, or a bundle's folder; without one, the list is shown.
    #[arg(value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Trust everything that is signed with this minisign public key (a .pub file).
    #[arg(long, value_name = "FILE", conflicts_with = "plugin")]
    key: Option<PathBuf>,
    /// Take the library or key whose hash, key or name begins so off the list.
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["plugin", "key"])]
    remove: Option<String>,
}

/// # Errors
/// If a file is not what it should be, or the list cannot be read or written.
pub fn run(args: &TrustArgs) -> Result<(), Failure> {
    let path = TrustList::path().ok_or_else(|| Failure::user("there is no folder for the list: set XDG_CONFIG_HOME or HOME"))?;
    let mut list = TrustList::read(&path).map_err(Failure::user)?;
    if let Some(plugin) = &args.plugin {
        allow(&mut list, plugin)?;
    } else if let Some(key) = &args.key {
        let text = std::fs::read_to_string(key).map_err(|e| Failure::user(format!("{}: {e}", key.display())))?;
        let about = key.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let new = list.add_key(&text, &about).map_err(|e| Failure::user(format!("{}: {e}", key.display())))?;
        println!("{} {}", if new { "trusted" } else { "trusted already" }, key.display());
    } else if let Some(what) = &args.remove {
        let before = list.libraries.len() + list.keys.len();
        list.libraries.retain(|l| !l.sha256.starts_with(what) && !l.about.starts_with(what));
        list.keys.retain(|k| !k.key.starts_with(what) && !k.about.starts_with(what));
        let removed = before - list.libraries.len() - list.keys.len();
        if what.is_empty() || removed == 0 {
            return Err(Failure::user(format!("nothing on the list begins with `{what}`: `host plugin trust` shows it")));
        }
        println!("removed {removed}");
    } else {
        show(&list, &path);
        return Ok(());
    }
    list.write(&path).map_err(Failure::user)
}

fn allow(list: &mut TrustList, plugin: &Path) -> Result<(), Failure> {
    let library = match plugin.is_dir() {
        true => {
            let project = Project::open(plugin)?;
            project.folder.join(&project.manifest.library)
        }
        false => plugin.to_path_buf(),
    };
    let found = inspect(&library)?;
    let found = found.ok_or_else(|| Failure::user(format!("{}: {NOT_OURS}", library.display())).under(Code::RefusedPlugin))?;
    let about = format!("{} {}", found.manifest.name, found.manifest.version);
    let word = if list.allow(&found.sha256, &about) { "allowed" } else { "allowed already:" };
    println!("{word} {about} ({}), sha256 {}", library.display(), found.sha256);
    Ok(())
}

fn show(list: &TrustList, path: &Path) {
    for library in &list.libraries {
        println!("library {}  {}", library.sha256, library.about);
    }
    for key in &list.keys {
        println!("key     {}  {}", key.key, key.about);
    }
    if list.libraries.is_empty() && list.keys.is_empty() {
        println!("nothing is allowed yet ({})", path.display());
    }
}
