//! The user's cache folder: where libraries live, how a complete one is told from a broken one, and the lock between set-ups.
//!
//! Layout under `$XDG_CACHE_HOME/twinhost` (or `~/.cache/twinhost`): `wheels/` for verified archives in transit, one folder
//! per library, `tmp-*` for work in progress. A library's folder appears by one rename, with its stamp already inside.

use super::pins::Library;
use crate::failure::{During, Failure, Result};
use serde_json::{Value, json};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Raised when what is unpacked changes, so that folders of the older kind are made anew.
const LAYOUT: u64 = 1;
pub const STAMP: &str = ".twinhost-complete.json";
const TEMPORARY_PREFIX: &str = "tmp-";

pub struct Cache {
    root: PathBuf,
}

/// Held while the cache is changed; the kernel lets go of it when the process ends, however it ends.
pub struct CacheLock {
    _file: File,
}

/// Work in progress; gone with its contents when dropped, unless it was moved into place.
pub struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Whatever cannot be removed now, the next set-up sweeps.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Cache {
    /// `$XDG_CACHE_HOME/twinhost`, or `~/.cache/twinhost`.
    pub fn of_user() -> Result<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        let base =
            base.ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME names a folder; set XDG_CACHE_HOME to an absolute path"))?;
        Ok(Self { root: base.join("twinhost") })
    }

    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn wheels(&self) -> PathBuf {
        self.root.join("wheels")
    }

    /// The folder the wheels of a library are unpacked into.
    pub fn folder_of(&self, library: &Library) -> PathBuf {
        self.root.join(library.folder)
    }

    /// The folder a build is pointed at.
    pub fn root_of(&self, library: &Library) -> PathBuf {
        self.folder_of(library).join(library.root)
    }

    /// A fresh temporary folder on the cache's own disk, so that moving out of it is a rename.
    pub fn temporary(&self, purpose: &str) -> Result<TemporaryFolder> {
        let path = self.root.join(format!("{TEMPORARY_PREFIX}{purpose}-{}", std::process::id()));
        fs::create_dir_all(&path).during(|| format!("create {}", path.display()))?;
        Ok(TemporaryFolder { path })
    }

    /// Waits for its turn to change the cache, and says so if it has to.
    pub fn lock(&self) -> Result<CacheLock> {
        fs::create_dir_all(&self.root).during(|| format!("create the cache folder {}", self.root.display()))?;
        let path = self.root.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).during(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("another set-up is working in {}; waiting for it", self.root.display());
                file.lock().during(|| format!("lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).during(|| format!("lock {}", path.display())),
        }
        Ok(CacheLock { _file: file })
    }

    /// Removes what a killed set-up left behind; under the lock nobody else can be using it.
    pub fn sweep(&self, _lock: &CacheLock) -> Result<()> {
        for entry in fs::read_dir(&self.root).during(|| format!("list {}", self.root.display()))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
                fs::remove_dir_all(entry.path()).during(|| format!("remove the unfinished {}", entry.path().display()))?;
            }
        }
        Ok(())
    }

    /// True if the library's folder was unpacked to the end from exactly the pinned wheels and its shared libraries still
    /// have the sizes they had then.
    pub fn is_complete(&self, library: &Library) -> bool {
        let folder = self.folder_of(library);
        let Some(stamp) = fs::read(folder.join(STAMP)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else {
            return false;
        };
        let Some(files) = stamp["files"].as_object() else { return false };
        stamp["layout"] == LAYOUT
            && stamp["wheels"] == wheels_of(library)
            && !files.is_empty()
            && files.iter().all(|(path, bytes)| fs::metadata(folder.join(path)).is_ok_and(|found| Some(found.len()) == bytes.as_u64()))
    }

    /// Stamps an unpacked folder as complete and moves it into place, the former one out of the way first.
    pub fn publish(&self, library: &Library, unpacked: &Path, shared_libraries: &[(String, u64)]) -> Result<()> {
        let files: serde_json::Map<String, Value> = shared_libraries.iter().map(|(path, bytes)| (path.clone(), json!(bytes))).collect();
        let stamp = json!({ "layout": LAYOUT, "wheels": wheels_of(library), "files": files });
        fs::write(unpacked.join(STAMP), format!("{stamp:#}\n")).during(|| format!("write the stamp of {}", library.name))?;
        let place = self.folder_of(library);
        let former = self.root.join(format!("{TEMPORARY_PREFIX}former-{}", library.folder));
        if place.exists() {
            fs::rename(&place, &former).during(|| format!("move the incomplete {} aside", place.display()))?;
        }
        fs::rename(unpacked, &place).during(|| format!("move {} into place", library.name))?;
        if former.exists() {
            fs::remove_dir_all(&former).during(|| format!("remove {}", former.display()))?;
        }
        Ok(())
    }
}

/// True if set-up made this folder, in whichever cache.
pub fn is_stamped(folder: &Path) -> bool {
    folder.join(STAMP).is_file()
}

fn wheels_of(library: &Library) -> Value {
    library.wheels.iter().map(|wheel| (wheel.file.to_owned(), json!(wheel.sha256))).collect::<serde_json::Map<_, _>>().into()
}
