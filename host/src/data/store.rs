//! Demonstrations are made once: a stored dataset is used again when everything that determined it is the same.
//!
//! `twinhost.json` beside the dataset's own folders says what it was made from. It is written last, and the folder appears under its name whole
//! or not at all, so whatever carries a matching key is complete.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use twinhost_plugin_api::EnvKind;

use super::attempts::Progress;
use super::dataset::Dataset;
use super::error::{Error, Result};
use crate::observe::DemonstrationSource;
use crate::observe::durable::{self, FolderPublication};

/// Everything that determines a dataset, by name: components, their configurations and plugin hashes, seed, number of episodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ingredients(BTreeMap<String, String>);

impl Ingredients {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.insert(name.into(), value.to_string());
        self
    }

    /// SHA-256 (hex) over names and values.
    pub fn key(&self) -> String {
        let mut hasher = Sha256::new();
        for part in self.0.iter().flat_map(|(name, value)| [name, value]) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hex::encode(hasher.finalize())
    }
}

/// `twinhost.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub key: String,
    pub made_from: Ingredients,
    pub source: DemonstrationSource,
    /// The environment's name in the recipe.
    pub env: String,
    /// Whether this may be called real data.
    pub kind: EnvKind,
    pub episodes: usize,
    pub frames: usize,
    /// Attempts made to get that many successes.
    pub attempts: u64,
}

const FILE: &str = "twinhost.json";

impl Provenance {
    /// `None` if the dataset was not made by this host.
    ///
    /// # Errors
    /// If the file is there but cannot be understood.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|e| Error::format(&path, e.to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &path)(e)),
        }
    }

    pub fn success_rate(&self) -> f64 {
        if self.attempts == 0 { 0.0 } else { self.episodes as f64 / self.attempts as f64 }
    }
}

/// What to make, should it not be there.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    pub ingredients: Ingredients,
    pub source: DemonstrationSource,
    pub env: &'a str,
    pub kind: EnvKind,
}

/// A dataset ready to be read.
#[derive(Debug)]
pub struct Stored {
    pub dataset: Dataset,
    pub provenance: Provenance,
    /// It was there already.
    pub reused: bool,
}

/// The folder in which to store what is made from `ingredients`: different ingredients never share one.
pub fn folder_for(data_dir: &Path, name: &str, ingredients: &Ingredients) -> PathBuf {
    let name: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    data_dir.join(format!("{name}-{}", &ingredients.key()[..12]))
}

/// Where demonstrations are kept when nobody says otherwise: `$XDG_CACHE_HOME/twinhost/demonstrations`, or the same in `~/.cache`.
pub fn default_folder() -> PathBuf {
    crate::folders::cache().unwrap_or_else(|| ".cache/twinhost".into()).join("demonstrations")
}

/// Opens the dataset in `folder` if it was made from the same ingredients, else has `make` fill an empty folder and puts that in its place.
/// If two processes want the same dataset, one makes it and the other waits.
///
/// # Errors
/// If `make` fails, the folder cannot be written, it holds something that this host did not make, or the stored dataset is damaged.
pub fn open_or_make<E: From<Error>>(
    folder: &Path,
    order: &Order<'_>,
    make: impl FnOnce(&Path) -> Result<Progress, E>,
) -> Result<Stored, E> {
    let (_alone, found) = look_for(folder, order)?;
    if let Some(stored) = found {
        return Ok(stored);
    }
    let publication = FolderPublication::begin(folder).map_err(Error::from)?;
    let made = make(publication.path())?;
    Ok(publish(publication, folder, order, &made)?)
}

/// The dataset, if it is there, and the lock under which to make it, if it is not.
fn look_for(folder: &Path, order: &Order<'_>) -> Result<(File, Option<Stored>)> {
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    let alone = lock(folder)?;
    durable::recover_folder(folder)?;
    match Provenance::read(folder)? {
        Some(provenance) if provenance.key == order.ingredients.key() => {
            Ok((alone, Some(Stored { dataset: Dataset::open(folder)?, provenance, reused: true })))
        }
        None if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) => Err(Error::refused(format!(
            "{} holds something that this host did not make (it has no {FILE}); choose another folder for demonstrations",
            folder.display()
        ))),
        _ => Ok((alone, None)),
    }
}

fn publish(publication: FolderPublication, folder: &Path, order: &Order<'_>, made: &Progress) -> Result<Stored> {
    let provenance = Provenance {
        key: order.ingredients.key(),
        made_from: order.ingredients.clone(),
        source: order.source,
        env: order.env.into(),
        kind: order.kind,
        episodes: made.successes,
        frames: made.frames,
        attempts: made.attempts,
    };
    let text = serde_json::to_string_pretty(&provenance).expect("provenance has string keys only");
    durable::write_file(&publication.path().join(FILE), text.as_bytes())?;
    publication.commit()?;
    Ok(Stored { dataset: Dataset::open(folder)?, provenance, reused: false })
}

/// Held while a dataset is looked for or made; the system releases it even if the process is killed.
fn lock(folder: &Path) -> Result<File> {
    let name = folder.file_name().ok_or_else(|| Error::refused(format!("{} is not the path of a folder", folder.display())))?;
    let path = folder.with_file_name(format!(".{}.lock", name.to_string_lossy()));
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    file.lock().map_err(Error::io("lock", &path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use crate::data::DatasetWriter;
    use crate::data::schema::Info;

    fn order(seed: u64) -> Order<'static> {
        let ingredients = Ingredients::default().with("seed", seed).with("component", "tabletop");
        Order { ingredients, source: DemonstrationSource::Planner, env: "real", kind: EnvKind::StandIn }
    }

    fn make(calls: &Cell<u32>) -> impl FnOnce(&Path) -> Result<Progress> + '_ {
        |folder| {
            calls.set(calls.get() + 1);
            DatasetWriter::create(folder, Info::new(5.0, "arm", BTreeMap::new()).unwrap())?;
            Ok(Progress { wanted: 3, successes: 3, attempts: 4, frames: 60 })
        }
    }

    #[test]
    fn equal_ingredients_are_used_again_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, calls) = (dir.path().join("real"), Cell::new(0));
        let first = open_or_make(&folder, &order(1), make(&calls)).unwrap();
        assert!(!first.reused);
        let again = open_or_make(&folder, &order(1), make(&calls)).unwrap();
        assert!(again.reused);
        assert_eq!((again.provenance, calls.get()), (first.provenance, 1));
        assert!(!open_or_make(&folder, &order(2), make(&calls)).unwrap().reused);
        assert_eq!(calls.get(), 2);
        assert!((Provenance::read(&folder).unwrap().unwrap().success_rate() - 0.75).abs() < 1e-12);
    }

    #[test]
    fn two_at_once_make_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("real");
        let both: Vec<bool> = std::thread::scope(|scope| {
            let ask = || scope.spawn(|| open_or_make(&folder, &order(1), make(&Cell::new(0))).unwrap().reused);
            [ask(), ask()].map(|asked| asked.join().unwrap()).to_vec()
        });
        assert_eq!(both.iter().filter(|reused| **reused).count(), 1);
    }

    #[test]
    fn a_failed_attempt_leaves_the_older_dataset() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, calls) = (dir.path().join("real"), Cell::new(0));
        open_or_make(&folder, &order(1), make(&calls)).unwrap();
        let e = open_or_make(&folder, &order(2), |staging| -> Result<Progress> {
            fs::write(staging.join("half"), "x").unwrap();
            Err(Error::Cancelled)
        });
        assert!(matches!(e, Err(Error::Cancelled)));
        assert!(open_or_make(&folder, &order(1), make(&calls)).unwrap().reused);
    }

    #[test]
    fn what_others_made_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "mine").unwrap();
        let e = open_or_make(dir.path(), &order(1), make(&Cell::new(0))).unwrap_err().to_string();
        assert!(e.contains("did not make") && e.contains("twinhost.json"), "{e}");
        assert!(dir.path().join("thesis.tex").is_file());
    }

    #[test]
    fn keys_separate_names_from_values() {
        let a = Ingredients::default().with("a", "bc").key();
        assert_ne!(a, Ingredients::default().with("ab", "c").key());
        assert_ne!(a, Ingredients::default().with("a", "b").with("c", "").key());
        let folder = folder_for(Path::new("data"), "pick/place real", &Ingredients::default());
        assert_eq!(folder.parent(), Some(Path::new("data")), "{}", folder.display());
    }
}
