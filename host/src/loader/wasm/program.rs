//! Compiled code of a component, made once per content and way of metering.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wasmtime::component::Component;

use super::cache::Cache;
use super::engine::{Metering, engine};

/// Compiled code, shared by all instances.
#[derive(Clone)]
pub struct Program(Component);

/// The programs of a loader, and where their code is kept between runs.
pub struct Programs {
    compiled: Mutex<HashMap<(String, bool), Program>>,
    cache: Option<PathBuf>,
}

impl Programs {
    /// Keeps code in `cache`, if there is one to keep it in.
    pub fn new(cache: Option<PathBuf>) -> Self {
        Self { compiled: Mutex::default(), cache }
    }

    /// Reads and compiles a component file, or takes the code from memory or from the cache. `sha256` is what the file had when it was looked at.
    ///
    /// # Errors
    /// If the file changed since, or is not valid WebAssembly.
    pub fn load(&self, path: &Path, sha256: &str, metering: Metering) -> Result<Program, String> {
        let key = (sha256.to_owned(), matches!(metering, Metering::Fuel(_)));
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = compiled.get(&key) {
            return Ok(program.clone());
        }
        let bytes = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
        if hex::encode(Sha256::digest(&bytes)) != sha256 {
            return Err("changed while it was being loaded: try again".to_owned());
        }
        let cache = self.cache.as_ref().map(|folder| Cache::at(folder));
        let cache = cache.and_then(|cache| cache.map_err(|e| tracing::warn!("compiled components are not kept: {e}")).ok());
        let program = Program::compile(&bytes, metering, cache.as_ref())?;
        compiled.insert(key, program.clone());
        Ok(program)
    }
}

impl Program {
    /// Compiles a component, or takes its code from a cache.
    ///
    /// # Errors
    /// If it is not valid WebAssembly.
    pub fn compile(bytes: &[u8], metering: Metering, cache: Option<&Cache>) -> Result<Self, String> {
        let engine = engine(metering)?;
        let entry = cache.map(|cache| cache.entry(engine, bytes));
        if let Some(component) = entry.as_ref().and_then(|entry| entry.get(engine)) {
            return Ok(Self(component));
        }
        let component = Component::from_binary(engine, bytes).map_err(|e| format!("is not a valid component: {}", e.root_cause()))?;
        if let Some(entry) = entry {
            entry.put(&component);
        }
        Ok(Self(component))
    }

    pub(super) fn component(&self) -> &Component {
        &self.0
    }
}
