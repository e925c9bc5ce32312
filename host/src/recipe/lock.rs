//! `recipe.lock`: what a recipe resolved to (texts, seed, plugins), so that a later run can tell what has changed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LoadedRecipe;
use super::diagnostics::SourceDigest;

/// Version of the file's form.
const FORMAT: u32 = 1;

/// One plugin a recipe uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LockedPlugin {
    pub name: String,
    pub version: String,
    /// SHA-256 (hex) of the library; of its sources if the host itself builds it, because a compiler may bake something of its own into every build.
    pub sha256: String,
    /// The ABI stamp the library carries.
    pub abi: String,
}

/// Everything that, with the machine, determines a run bit for bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub host_version: String,
    /// File name of the recipe.
    pub recipe: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    pub seed: u64,
    /// SHA-256 (hex) of the resolved recipe's canonical text.
    pub resolved_sha256: String,
    /// The texts it was made from.
    pub sources: Vec<SourceDigest>,
    pub plugins: Vec<LockedPlugin>,
}

/// The file: one lock per recipe and arm.
#[derive(Debug, Serialize, Deserialize)]
struct LockFile {
    format: u32,
    recipes: BTreeMap<String, Lock>,
}

impl Lock {
    pub fn of(loaded: &LoadedRecipe, mut plugins: Vec<LockedPlugin>) -> Self {
        plugins.sort();
        plugins.dedup();
        Self {
            host_version: env!("CARGO_PKG_VERSION").to_owned(),
            recipe: loaded.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            arm: loaded.arm.clone(),
            seed: loaded.recipe.seed,
            resolved_sha256: loaded.hash.clone(),
            sources: relative(loaded),
            plugins,
        }
    }

    /// The name under which locks beside recipes are filed: the recipe's file name, and the arm.
    pub fn key(&self) -> String {
        self.arm.as_ref().map_or_else(|| self.recipe.clone(), |arm| format!("{} {arm}", self.recipe))
    }

    /// The lock filed under `key`; `None` if there is no such file or no such lock in it.
    ///
    /// # Errors
    /// If the file exists and cannot be read or understood.
    pub fn read(path: &Path, key: &str) -> Result<Option<Self>, String> {
        Ok(read_file(path)?.recipes.remove(key))
    }

    /// Files this lock under `key`, replacing the one that was there. The file is replaced as a whole: it is never half-written.
    ///
    /// # Errors
    /// If the folder cannot be written, or an existing file is not a lock file.
    pub fn write(&self, path: &Path, key: &str) -> Result<(), String> {
        let mut file = read_file(path)?;
        file.recipes.insert(key.to_owned(), self.clone());
        let text = serde_json::to_string_pretty(&file).map_err(|e| e.to_string())? + "\n";
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        replace(folder, path, &text).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    /// What differs between this lock and the present state, one sentence each; empty if nothing does.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, locked: &str, now: &str| {
            if locked != now {
                found.push(format!("{what}: locked {locked}, now {now}"));
            }
        };
        compare("host version", &self.host_version, &now.host_version);
        compare("arm", self.arm.as_deref().unwrap_or("none"), now.arm.as_deref().unwrap_or("none"));
        compare("seed", &self.seed.to_string(), &now.seed.to_string());
        compare("resolved recipe", short(&self.resolved_sha256), short(&now.resolved_sha256));
        let texts = |lock: &Self| lock.sources.iter().map(|s| (s.name.clone(), short(&s.sha256).to_owned())).collect();
        found.extend(changes("text", &texts(self), &texts(now)));
        let plugins = |lock: &Self| {
            lock.plugins.iter().map(|p| (p.name.clone(), format!("{} {} ({})", p.version, short(&p.sha256), p.abi))).collect()
        };
        found.extend(changes("plugin", &plugins(self), &plugins(now)));
        found
    }
}

/// The recipe's texts, files by their path from the recipe's folder, so that it does not matter where the host is called.
fn relative(loaded: &LoadedRecipe) -> Vec<SourceDigest> {
    let folder = loaded.path.parent().unwrap_or(Path::new(""));
    let short = |name: &str| Path::new(name).strip_prefix(folder).map_or_else(|_| name.to_owned(), |p| p.display().to_string());
    loaded.sources.digests().into_iter().map(|s| SourceDigest { name: short(&s.name), ..s }).collect()
}

fn changes(what: &str, locked: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let gone = locked.keys().filter(|k| !now.contains_key(*k)).map(|k| format!("{what} `{k}`: no longer used"));
    let new = now.iter().filter_map(|(k, v)| match locked.get(k) {
        None => Some(format!("{what} `{k}`: not in the lock, now {v}")),
        Some(old) if old != v => Some(format!("{what} `{k}`: locked {old}, now {v}")),
        Some(_) => None,
    });
    gone.chain(new).collect()
}

/// Enough of a hash to tell two apart by eye.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn read_file(path: &Path) -> Result<LockFile, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(LockFile { format: FORMAT, recipes: BTreeMap::new() }),
        Err(e) => return Err(format!("cannot read {}: {e}", path.display())),
    };
    let remedy = "delete it and run `host check` again";
    let file: LockFile = serde_json::from_str(&text).map_err(|e| format!("{} is not a lock file ({e}): {remedy}", path.display()))?;
    if file.format != FORMAT {
        return Err(format!("{} has format {}, this host knows {FORMAT}: {remedy}", path.display(), file.format));
    }
    Ok(file)
}

fn replace(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
