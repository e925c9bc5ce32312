//! What a plugin file says about itself before anything of it runs.

use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::{elf, wasm};

/// Why a file is not loaded, in one sentence.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct Refusal {
    pub path: PathBuf,
    pub reason: String,
}

impl Refusal {
    pub fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), reason: reason.into() }
    }
}

/// What a plugin file says about itself.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub manifest: Manifest,
    /// The interface it was built for.
    pub stamp: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// It runs in the sandbox.
    pub sandboxed: bool,
}

/// Checks a file without loading it. `Ok(None)`: a library or component, but not one of ours.
///
/// # Errors
/// If the file is unreadable, neither a library for this machine nor a component, or built for another interface.
pub fn inspect(path: &Path) -> Result<Option<Inspection>, Refusal> {
    let bytes = std::fs::read(path).map_err(|e| Refusal::new(path, format!("cannot be read: {e}")))?;
    if bytes.starts_with(b"\x7fELF") {
        elf::inspect(path, &bytes)
    } else if bytes.starts_with(b"\0asm") {
        wasm::inspect(path, &bytes)
    } else {
        Err(Refusal::new(path, "is neither a shared library (it has no ELF header) nor a WebAssembly component"))
    }
}
