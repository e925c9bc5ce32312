//! Who may be loaded where it matters: libraries whose hash the user has allowed, or that are signed with a key the user trusts.
//!
//! The user's list is `$XDG_CONFIG_HOME/twinhost/trust.ron`; `host plugin trust` writes it. A signature is minisign's: `libx.so.minisig` beside
//! `libx.so`. A recipe with `trust: Locked` loads nothing else, and one that drives a robot must say so.

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::discovery::Bundle;

/// What may be loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Everything but what drives hardware.
    #[default]
    Any,
    /// What the user has allowed, hardware included.
    Locked,
    /// Everything, to be tried out by its author: `host plugin test`.
    Trial,
}

/// A library that the user has allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedLibrary {
    /// Of the file, hex.
    pub sha256: String,
    /// Bundle and version, for the reader.
    pub about: String,
}

/// A minisign public key whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// The line of the public key file that begins with `RW`.
    pub key: String,
    /// Where it came from, for the reader.
    pub about: String,
}

/// The user's list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustList {
    pub libraries: Vec<AllowedLibrary>,
    pub keys: Vec<TrustedKey>,
}

impl TrustList {
    /// Where the user's list lies.
    pub fn path() -> Option<PathBuf> {
        crate::folders::config().map(|config| config.join("trust.ron"))
    }

    /// The list, empty if there is none yet.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged: what the user allowed is then unknown.
    pub fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => ron::from_str(&text)
                .map_err(|e| format!("{} is damaged at line {}: {}; mend or delete it", path.display(), e.span.start.line, e.code)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(format!("{} cannot be read: {e}", path.display())),
        }
    }

    /// Writes the list, whole or not at all.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let refuse = |e: &dyn std::fmt::Display| format!("{} cannot be written: {e}", path.display());
        let folder = path.parent().unwrap_or(Path::new("."));
        let text = ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::default()).map_err(|e| refuse(&e))?;
        std::fs::create_dir_all(folder).map_err(|e| refuse(&e))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| refuse(&e))?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(|e| refuse(&e))?;
        file.persist(path).map(drop).map_err(|e| refuse(&e.error))
    }

    /// Adds a library; false if it was there.
    pub fn allow(&mut self, sha256: &str, about: &str) -> bool {
        let there = self.libraries.iter().any(|l| l.sha256 == sha256);
        if !there {
            self.libraries.push(AllowedLibrary { sha256: sha256.into(), about: about.into() });
        }
        !there
    }

    /// Adds the key of a minisign public key file; false if it was there.
    ///
    /// # Errors
    /// If the text is not such a file.
    pub fn add_key(&mut self, text: &str, about: &str) -> Result<bool, String> {
        let line = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with("untrusted comment"));
        let line = line.ok_or("it has no key in it")?;
        PublicKey::from_base64(line).map_err(|e| format!("it is not a minisign public key ({e})"))?;
        let there = self.keys.iter().any(|k| k.key == line);
        if !there {
            self.keys.push(TrustedKey { key: line.into(), about: about.into() });
        }
        Ok(!there)
    }

    /// Is this file allowed, by its hash or by a signature beside it?
    ///
    /// # Errors
    /// Why not, and what would allow it.
    pub fn check(&self, library: &Path, about: &str) -> Result<(), String> {
        let bytes = std::fs::read(library).map_err(|e| format!("cannot be read: {e}"))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        if self.libraries.iter().any(|l| l.sha256 == sha256) {
            return Ok(());
        }
        let mut beside = library.as_os_str().to_owned();
        beside.push(".minisig");
        let reason = match std::fs::read_to_string(&beside) {
            Ok(text) => match self.verify(&bytes, &text) {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            },
            Err(_) if self.libraries.iter().any(|l| l.about == about) => "the file is another than the one that was allowed".into(),
            Err(_) => "nobody allowed it, and it has no signature".into(),
        };
        Err(format!(
            "is not trusted, and the recipe says `trust: Locked`: {reason}; look at what it is, then: host plugin trust {}",
            library.display()
        ))
    }

    fn verify(&self, bytes: &[u8], signature: &str) -> Result<(), String> {
        let signature = Signature::decode(signature).map_err(|e| format!("its signature cannot be read ({e})"))?;
        let keys = self.keys.iter().filter_map(|k| PublicKey::from_base64(&k.key).ok());
        if keys.into_iter().any(|key| key.verify(bytes, &signature, false).is_ok()) {
            return Ok(());
        }
        Err("its signature is of none of the trusted keys, or of another file".into())
    }
}

/// Before a library is opened under this trust.
pub(super) fn admit(trust: Trust, bundle: &Bundle) -> Result<(), String> {
    if trust != Trust::Locked {
        return Ok(());
    }
    let path = TrustList::path().ok_or("is not trusted: there is no folder for the user's list (HOME is not set)")?;
    let about = format!("{} {}", bundle.manifest.name, bundle.manifest.version);
    TrustList::read(&path)?.check(&bundle.library, &about)
}

/// What drives hardware needs a recipe that says what may be loaded.
pub(super) fn admit_hardware(trust: Trust) -> Result<(), String> {
    match trust {
        Trust::Locked | Trust::Trial => Ok(()),
        Trust::Any => {
            Err("drives hardware, so the recipe must say `trust: Locked`, and its plugins must be allowed: host plugin trust FILE".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From minisign's documentation: key, signature and message "test".
    const KEY: &str = "untrusted comment: minisign public key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    #[test]
    fn a_library_is_admitted_by_hash_or_by_signature_and_else_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libx.so");
        std::fs::write(&library, "test").unwrap();
        let mut list = TrustList::default();
        let refused = |list: &TrustList| list.check(&library, "x 1.0").unwrap_err();
        assert!(refused(&list).contains("nobody allowed it") && refused(&list).contains("host plugin trust"));

        std::fs::write(folder.path().join("libx.so.minisig"), SIGNATURE).unwrap();
        assert!(refused(&list).contains("none of the trusted keys"));
        assert!(list.add_key("nonsense", "").is_err());
        assert!(list.add_key(KEY, "x's author").unwrap());
        assert!(!list.add_key(KEY, "again").unwrap());
        list.check(&library, "x 1.0").unwrap();
        std::fs::write(&library, "Test").unwrap();
        assert!(refused(&list).contains("of another file"));
        std::fs::remove_file(folder.path().join("libx.so.minisig")).unwrap();

        assert!(list.allow(&hex::encode(Sha256::digest("Test")), "x 1.0"));
        list.check(&library, "x 1.0").unwrap();
        std::fs::write(&library, "tEst").unwrap();
        assert!(refused(&list).contains("another than the one that was allowed"));
    }

    #[test]
    fn the_list_survives_the_file_and_a_damaged_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/trust.ron");
        let mut list = TrustList::read(&path).unwrap();
        assert_eq!(list, TrustList::default());
        list.allow("ab", "x 1.0");
        list.add_key(KEY, "x").unwrap();
        list.write(&path).unwrap();
        assert_eq!(TrustList::read(&path).unwrap(), list);
        std::fs::write(&path, "(libraries: 3)").unwrap();
        assert!(TrustList::read(&path).unwrap_err().contains("trust.ron is damaged at line 1"));
    }
}
