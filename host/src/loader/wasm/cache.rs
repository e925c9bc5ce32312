//! Compiled code of components in the user's cache, so that a component is compiled once per machine and not once per run.
//!
//! Compiled code is run as it is, so it has to come from this user: the folder is private (0700), a file must belong to the user, be writable by
//! nobody else and carry the hash of its code. Whatever does not fit is compiled anew.

use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Begins every file; the hash of the code follows, then the code.
const MAGIC: &[u8; 8] = b"TWHCODE1";
const HASH: usize = 32;
/// The least recently written ones are removed when there are more.
const MOST_FILES: usize = 100;

/// A folder of compiled code.
pub struct Cache {
    folder: PathBuf,
}

/// Where the code of one component for one engine is or will be.
pub struct Entry<'a> {
    cache: &'a Cache,
    file: PathBuf,
}

impl Cache {
    /// # Errors
    /// If the folder cannot be made, or is not the user's alone.
    pub fn at(folder: &Path) -> Result<Self, String> {
        let name = folder.display();
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| format!("{name} cannot be made: {e}"))?;
        let found = std::fs::symlink_metadata(folder).map_err(|e| format!("{name} cannot be used: {e}"))?;
        if !found.is_dir() || found.uid() != user() {
            return Err(format!("{name} is not a folder of this user's own"));
        }
        if found.mode() & 0o077 != 0 {
            return Err(format!("{name} is open to other users: `chmod 700` it"));
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// The place for a component's code. Equal content, runtime and settings have the same one.
    pub fn entry(&self, engine: &Engine, bytes: &[u8]) -> Entry<'_> {
        let mut hasher = Sha(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.update(Sha256::digest(bytes));
        Entry { cache: self, file: self.folder.join(format!("{}.code", hex::encode(hasher.0.finalize()))) }
    }

    fn tidy(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, PathBuf)> =
            entries.flatten().filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path()))).collect();
        files.sort();
        for (_, file) in files.iter().rev().skip(MOST_FILES) {
            drop(std::fs::remove_file(file));
        }
    }
}

impl Entry<'_> {
    /// The code, if it is there and can be trusted.
    pub fn get(&self, engine: &Engine) -> Option<Component> {
        let code = match self.read() {
            Ok(code) => code?,
            Err(reason) => {
                tracing::warn!("{} {reason}: the component is compiled anew", self.file.display());
                return None;
            }
        };
        // SAFETY: `deserialize` runs what it is given. This code lies in a folder that only this user can enter, in a file that belongs to this user
        // and nobody else may write, and has the hash that was written with it; so this host wrote it. `wasmtime` itself refuses code of another
        // version or for other settings.
        let component = unsafe { Component::deserialize(engine, code) };
        component.map_err(|e| tracing::debug!("{} does not fit this host: {e:#}", self.file.display())).ok()
    }

    fn read(&self) -> Result<Option<Vec<u8>>, &'static str> {
        let Ok(mut file) = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&self.file) else { return Ok(None) };
        let found = file.metadata().map_err(|_| "cannot be examined")?;
        if !found.is_file() || found.uid() != user() || found.mode() & 0o022 != 0 {
            return Err("could have been written by others");
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|_| "cannot be read")?;
        let (head, code) = bytes.split_at_checked(MAGIC.len() + HASH).ok_or("is too short")?;
        if !head.starts_with(MAGIC) || head[MAGIC.len()..] != *Sha256::digest(code) {
            return Err("is damaged");
        }
        Ok(Some(bytes.split_off(MAGIC.len() + HASH)))
    }

    /// Keeps the code. Failing to is no failure of the component.
    pub fn put(&self, component: &Component) {
        if let Err(e) = self.write(component) {
            tracing::warn!("{} cannot be written, so the component is compiled again next time: {e}", self.file.display());
        }
    }

    fn write(&self, component: &Component) -> std::io::Result<()> {
        let code = component.serialize().map_err(std::io::Error::other)?;
        // Private from the start: temporary files have mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.cache.folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(&code))?;
        file.write_all(&code)?;
        file.as_file().sync_all()?;
        let _: File = file.persist(&self.file)?;
        self.cache.tidy();
        Ok(())
    }
}

fn user() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Lets a `Hash` be taken with SHA-256, since the standard hasher's 64 bits would not tell all engines and contents apart.
struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        let digest: [u8; HASH] = self.0.clone().finalize().into();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::wasm::engine::{Metering, engine};
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// The smallest component: nothing in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn kept(folder: &Path) -> (Cache, &'static Engine, PathBuf) {
        let cache = Cache::at(&folder.join("code")).unwrap();
        let engine = engine(Metering::Fuel(1)).unwrap();
        let entry = cache.entry(engine, EMPTY);
        assert!(entry.get(engine).is_none(), "nothing is there yet");
        entry.put(&Component::from_binary(engine, EMPTY).unwrap());
        assert!(entry.get(engine).is_some(), "what was put is there");
        let file = entry.file;
        (cache, engine, file)
    }

    #[test]
    fn code_that_was_changed_or_could_have_been_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, engine, file) = kept(folder.path());
        let good = std::fs::read(&file).unwrap();
        let check = |expect: bool, what: &str| assert_eq!(cache.entry(engine, EMPTY).get(engine).is_some(), expect, "{what}");

        for at in [0, MAGIC.len(), MAGIC.len() + HASH, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&file, bad).unwrap();
            check(false, "a flipped bit");
        }
        for length in [0, 7, MAGIC.len() + HASH, good.len() - 1] {
            std::fs::write(&file, &good[..length]).unwrap();
            check(false, "a short file");
        }
        std::fs::write(&file, &good).unwrap();
        check(true, "the file as it was");
        set_permissions(&file, Permissions::from_mode(0o620)).unwrap();
        check(false, "a file that others may write");
        let elsewhere = folder.path().join("elsewhere");
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&elsewhere, &good).unwrap();
        symlink(&elsewhere, &file).unwrap();
        check(false, "a link");
    }

    #[test]
    fn engines_and_contents_have_their_own_entries() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, engine, file) = kept(folder.path());
        let other = super::super::engine::engine(Metering::Deadline(1)).unwrap();
        assert_ne!(cache.entry(other, EMPTY).file, file);
        assert_ne!(cache.entry(engine, b"other").file, file);
        // Code of another engine under this one's name is refused by the runtime.
        std::fs::copy(&file, cache.entry(other, EMPTY).file).unwrap();
        assert!(cache.entry(other, EMPTY).get(other).is_none());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let e = Cache::at(folder.path()).err().unwrap();
        assert!(e.contains("chmod 700"), "{e}");
        let inside = folder.path().join("code");
        Cache::at(&inside).unwrap();
        assert_eq!(std::fs::metadata(&inside).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
