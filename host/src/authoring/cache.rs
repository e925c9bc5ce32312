//! Built guests in the user's cache, so that a source is compiled once: a file's name is the hash of everything that went into it.

use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::{During as _, Error, Result};

/// The oldest go when there are more.
const MOST_FILES: usize = 40;

/// `$XDG_CACHE_HOME/twinhost`, or `~/.cache/twinhost`.
///
/// # Errors
/// If neither variable names a folder.
pub fn of_user() -> Result<PathBuf> {
    crate::folders::cache()
        .ok_or_else(|| Error::Project("neither XDG_CACHE_HOME nor HOME names a folder: set XDG_CACHE_HOME to an absolute path".into()))
}

/// The hash of everything that determines a build.
#[derive(Default)]
pub struct Ingredients(Sha256);

impl Ingredients {
    /// Names and lengths are hashed too, so that no two lists of ingredients look alike.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    pub fn hash(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// The file of these ingredients, made with `build` if it is not there yet.
///
/// # Errors
/// If the cache cannot be written, or as `build`.
pub fn get_or_make(name: &str, hash: &str, build: impl FnOnce() -> Result<Vec<u8>>) -> Result<PathBuf> {
    let folder = of_user()?.join("guests");
    let file = folder.join(format!("{name}-{}.wasm", &hash[..24]));
    if file.is_file() {
        return Ok(file);
    }
    tracing::info!("building `{name}`; the result is kept for the next time");
    let bytes = build()?;
    std::fs::create_dir_all(&folder).during("create", &folder)?;
    write_whole(&file, &bytes)?;
    tidy(&folder);
    Ok(file)
}

/// Nobody ever sees half a file, and who has the old one open keeps it.
pub fn write_whole(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut unfinished = tempfile::NamedTempFile::new_in(folder).during("write into", folder)?;
    unfinished.write_all(bytes).during("write", file)?;
    // A temporary file is private; a plugin is for everyone who may enter its folder.
    unfinished.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).during("write", file)?;
    unfinished.as_file().sync_all().during("write", file)?;
    unfinished.persist(file).map_err(|e| e.error).during("write", file)?;
    Ok(())
}

fn tidy(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, PathBuf)> =
        entries.flatten().filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))).collect();
    files.sort();
    for (_, file) in files.iter().rev().skip(MOST_FILES) {
        // Another host may have removed it already.
        drop(std::fs::remove_file(file));
    }
}
