//! Writes that survive a crash: after a power cut or `kill -9` a file or folder is either the old one or the new one, whole.
//!
//! A file is written beside its target (`.NAME.tmp-PID`), flushed to the device, and renamed over it; the rename itself is flushed by
//! syncing the parent folder. A folder is filled under `NAME.tmp` and published by renames, see [`FolderPublication`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::{Error, Result};

/// Replaces `path` with `bytes`, atomically and durably.
///
/// # Errors
/// If the folder cannot be written or the disk is full; the old file is then untouched.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file_with(path, |file| file.write_all(bytes))
}

/// As [`write_file`], with the content streamed by `fill`.
///
/// # Errors
/// As [`write_file`]; an error of `fill` also leaves the old file in place.
pub fn write_file_with(path: &Path, fill: impl FnOnce(&mut io::BufWriter<&File>) -> io::Result<()>) -> Result<()> {
    let staging = staging_file(path)?;
    let written = write_and_sync(&staging, fill).map_err(Error::io("write", path));
    let renamed = written.and_then(|()| fs::rename(&staging, path).map_err(Error::io("replace", path)));
    if renamed.is_err() {
        // Best effort: what matters is the first error, and a stale staging file is overwritten by the next attempt.
        let _ = fs::remove_file(&staging);
        return renamed;
    }
    sync_folder(parent(path))
}

fn staging_file(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| Error::Refused(format!("{} is not the path of a file", path.display())))?;
    Ok(path.with_file_name(format!(".{}.tmp-{}", name.to_string_lossy(), std::process::id())))
}

fn write_and_sync(path: &Path, fill: impl FnOnce(&mut io::BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let mut writer = io::BufWriter::with_capacity(1 << 16, &file);
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.sync_all()
}

/// The folder that holds `path` (`.` for a bare name).
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// Makes renames and creations in `folder` durable.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io("sync", folder))
}

fn sync_tree(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path).and_then(|f| f.sync_all()).map_err(Error::io("sync", &path))?;
        }
    }
    sync_folder(folder)
}

/// A folder being written out of sight, shown to readers whole or not at all.
///
/// 1. [`begin`](Self::begin) makes an empty `NAME.tmp`; the caller fills [`path`](Self::path).
/// 2. [`commit`](Self::commit) syncs every file, renames an older `NAME` to `NAME.old`, renames `NAME.tmp` to `NAME`, syncs the parent, and
///    removes `NAME.old`.
///
/// A crash at any point leaves a state that [`recover_folder`] turns into the old or the new folder. Dropping without `commit` discards.
#[derive(Debug)]
pub struct FolderPublication {
    target: PathBuf,
    staging: PathBuf,
    retired: PathBuf,
    committed: bool,
}

const STAGING: &str = ".tmp";
const RETIRED: &str = ".old";

fn sibling(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl FolderPublication {
    /// Recovers what an earlier crash may have left, and makes the empty staging folder.
    ///
    /// # Errors
    /// If the parent folder cannot be written.
    pub fn begin(target: &Path) -> Result<Self> {
        recover_folder(target)?;
        let staging = sibling(target, STAGING);
        fs::create_dir_all(&staging).map_err(Error::io("create", &staging))?;
        Ok(Self { retired: sibling(target, RETIRED), target: target.to_path_buf(), staging, committed: false })
    }

    /// Where to write the content.
    pub fn path(&self) -> &Path {
        &self.staging
    }

    /// Shows the folder under its name, durably.
    ///
    /// # Errors
    /// If the disk is full or a rename fails; the older folder, if any, is then still the one that [`recover_folder`] yields.
    pub fn commit(mut self) -> Result<()> {
        for step in Self::STEPS {
            step(&self)?;
        }
        self.committed = true;
        Ok(())
    }

    /// In order; a crash between any two is recoverable.
    const STEPS: [fn(&Self) -> Result<()>; 5] = [Self::sync_content, Self::retire_old, Self::show_new, Self::sync_parent, Self::remove_old];

    fn sync_content(&self) -> Result<()> {
        sync_tree(&self.staging)
    }
    fn retire_old(&self) -> Result<()> {
        if !self.target.exists() {
            return Ok(());
        }
        fs::rename(&self.target, &self.retired).map_err(Error::io("rename", &self.target))
    }
    fn show_new(&self) -> Result<()> {
        fs::rename(&self.staging, &self.target).map_err(Error::io("publish", &self.target))
    }
    fn sync_parent(&self) -> Result<()> {
        sync_folder(parent(&self.target))
    }
    fn remove_old(&self) -> Result<()> {
        remove_if_there(&self.retired)
    }
}

impl Drop for FolderPublication {
    fn drop(&mut self) {
        if !self.committed {
            // Best effort: `begin` and `recover_folder` repeat it, and the error that led here has already been returned.
            let _ = recover_folder(&self.target);
        }
    }
}

/// Brings `target` into the old or the new state after an interrupted [`FolderPublication`] and removes its leftovers. Does nothing otherwise.
///
/// # Errors
/// If a rename or removal fails.
pub fn recover_folder(target: &Path) -> Result<()> {
    let retired = sibling(target, RETIRED);
    if !target.exists() && retired.exists() {
        fs::rename(&retired, target).map_err(Error::io("restore", target))?;
    }
    remove_if_there(&retired)?;
    remove_if_there(&sibling(target, STAGING))
}

/// [`recover_folder`] for every published folder directly inside `parent`, and removal of stale staging files; call it before reading them.
///
/// # Errors
/// If `parent` cannot be read, or as [`recover_folder`].
pub fn recover_children(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent).map_err(Error::io("read", parent))? {
        let path = entry.map_err(Error::io("read", parent))?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let published = name.strip_suffix(STAGING).or_else(|| name.strip_suffix(RETIRED));
        if let Some(target) = published.filter(|_| path.is_dir()) {
            recover_folder(&path.with_file_name(target))?;
        } else if name.starts_with('.') && name.contains(".tmp-") {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

fn remove_if_there(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_remains() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_file(&path, b"old").unwrap();
        write_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["state.json"]);
    }

    #[test]
    fn a_failing_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_file(&path, b"old").unwrap();
        let error = write_file_with(&path, |w| {
            w.write_all(&[0; 100_000])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.is_storage_full());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["state.json"]);
    }

    #[test]
    fn a_full_device_is_reported_with_its_remedy() {
        let error = write_and_sync(Path::new("/dev/full"), |w| w.write_all(b"weights"))
            .map_err(Error::io("write", "model.safetensors"))
            .unwrap_err();
        assert!(error.is_storage_full(), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot write model.safetensors: ") && text.contains("free some space"), "{text}");
    }

    #[test]
    fn an_unwritable_folder_is_reported_with_its_remedy() {
        // sysfs refuses new files even to root, for whom permission bits mean nothing.
        let text = write_file(Path::new("/sys/state.json"), b"x").unwrap_err().to_string();
        assert!(text.starts_with("cannot write /sys/state.json: ") && text.contains("--run-dir"), "{text}");
    }

    fn folder_with(path: &Path, content: &str) {
        fs::create_dir_all(path.join("sub")).unwrap();
        fs::write(path.join("sub/weights"), content).unwrap();
    }

    /// Stops a publication before each of its steps, as `kill -9` would, and asks what a restarted host sees.
    #[test]
    fn a_crash_between_any_two_steps_leaves_the_old_or_the_new_folder() {
        for with_old in [true, false] {
            for steps in 0..=FolderPublication::STEPS.len() {
                let dir = tempfile::tempdir().unwrap();
                let target = dir.path().join("step-000010");
                if with_old {
                    folder_with(&target, "old");
                }
                let publication = FolderPublication::begin(&target).unwrap();
                folder_with(publication.path(), "new");
                for step in &FolderPublication::STEPS[..steps] {
                    step(&publication).unwrap();
                }
                std::mem::forget(publication); // no destructor runs after a kill

                recover_children(dir.path()).unwrap();
                let shown = fs::read_to_string(target.join("sub/weights")).ok();
                let expected = match (steps >= 3, with_old) {
                    (true, _) => Some("new"),
                    (false, true) => Some("old"),
                    (false, false) => None,
                };
                assert_eq!(shown.as_deref(), expected, "after {steps} steps, older folder: {with_old}");
                assert!(names(dir.path()).iter().all(|n| n == "step-000010"), "leftovers: {:?}", names(dir.path()));
            }
        }
    }

    #[test]
    fn an_abandoned_publication_leaves_the_old_folder_and_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("latest");
        folder_with(&target, "old");
        let publication = FolderPublication::begin(&target).unwrap();
        folder_with(publication.path(), "half");
        drop(publication);
        assert_eq!(fs::read_to_string(target.join("sub/weights")).unwrap(), "old");
        assert_eq!(names(dir.path()), ["latest"]);
    }
}
