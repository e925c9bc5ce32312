//! The SDK that projects are built against: it travels inside the host and is written out once, so that a plugin is always built against the
//! very interface its host speaks, with no network and no checkout.
//!
//! It lies in `$XDG_DATA_HOME/twinhost/sdk/<version>-<content>/`, a small cargo workspace. A host built from the published crates carries no
//! sources; its projects depend on the published SDK.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

use super::error::{During as _, Error, Result};

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub struct Sdk {
    folder: Option<PathBuf>,
}

impl Sdk {
    /// The one on crates.io.
    pub fn published() -> Self {
        Self { folder: None }
    }

    /// The one this host carries, written out if it was not yet.
    ///
    /// # Errors
    /// If the user's data folder cannot be written to.
    pub fn installed() -> Result<Self> {
        if FILES.is_empty() {
            return Ok(Self::published());
        }
        let data = crate::folders::data();
        let data = data.ok_or_else(|| Error::Project("there is no folder for the SDK: set XDG_DATA_HOME or HOME".into()))?;
        Ok(Self { folder: Some(unpacked(&data.join("sdk"))?) })
    }

    /// A package of the SDK as a Cargo dependency.
    pub fn dependency(&self, package: &str, features: &[&str]) -> String {
        let path =
            self.folder.as_ref().map(|folder| format!(", path = {:?}", folder.join(package).display().to_string())).unwrap_or_default();
        let features = if features.is_empty() { String::new() } else { format!(", features = {features:?}") };
        format!("{{ version = \"{VERSION}\"{path}{features} }}")
    }
}

/// Writes the files below `root`, into a folder named after what is in them; one that is there is complete.
fn unpacked(root: &Path) -> Result<PathBuf> {
    let mut hasher = Sha256::new();
    for (path, text) in FILES {
        hasher.update(format!("{path} {}\n{text}", text.len()));
    }
    let folder = root.join(format!("{VERSION}-{}", &hex::encode(hasher.finalize())[..12]));
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(root).during("create", root)?;
    let unfinished = tempfile::tempdir_in(root).during("write into", root)?;
    for (path, text) in FILES {
        let target = unfinished.path().join(path);
        let parent = target.parent().unwrap_or(root);
        std::fs::create_dir_all(parent).during("create", parent)?;
        let text = if *path == "Cargo.toml" { workspace(text) } else { (*text).to_owned() };
        std::fs::write(&target, text).during("write", &target)?;
    }
    match std::fs::rename(unfinished.path(), &folder) {
        // Another host was quicker with the same files.
        Err(_) if folder.is_dir() => Ok(folder),
        moved => moved.map(|()| folder.clone()).during("write", &folder),
    }
}

/// The checkout's workspace, with nothing but the SDK in it.
fn workspace(text: &str) -> String {
    let lines = text.lines().map(|line| match line.starts_with("members = ") {
        true => "members = [\"plugin-api\", \"plugin-api/torch\"]",
        false => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_written_out_once_and_whole() {
        let root = tempfile::tempdir().unwrap();
        let folder = unpacked(root.path()).unwrap();
        for file in ["plugin-api/Cargo.toml", "plugin-api/src/lib.rs", "plugin-api/src/v1/module.rs", "plugin-api/torch/build.rs"] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("members = [\"plugin-api\", \"plugin-api/torch\"]") && !manifest.contains("plugins/*"), "{manifest}");
        assert_eq!(unpacked(root.path()).unwrap(), folder);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);

        let sdk = Sdk { folder: Some("/sdk".into()) };
        assert_eq!(
            sdk.dependency("plugin-api", &["testkit"]),
            format!("{{ version = \"{VERSION}\", path = \"/sdk/plugin-api\", features = [\"testkit\"] }}")
        );
        assert_eq!(Sdk::published().dependency("plugin-api", &[]), format!("{{ version = \"{VERSION}\" }}"));
    }
}
