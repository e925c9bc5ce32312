//! The run folder: everything one run writes, in one place, written by one host at a time.
//!
//! ```text
//! runs/rlco_openvla-20261120-102753/
//!   run.json            what this run is: recipe, seed, arms, machine            (RunAbout)
//!   status.json         running, interrupted, failed or finished                 (RunStatus)
//!   state.json          how far the pipeline got; what `--resume` starts from    (the pipeline's own struct)
//!   recipe.ron          the recipe, with includes and overrides resolved
//!   recipe.lock         hashes and versions of every plugin, and the seed
//!   metrics.jsonl       one line per record                                      (MetricSink)
//!   tensorboard/        the same numbers as TensorBoard events, one folder per arm and stage
//!   demonstrations.json what stage demos recorded and generated                  (DemonstrationSet)
//!   checkpoints/        one folder per checkpoint, published atomically
//!   eval/ARM.json       every evaluation episode of one arm                      (EvalResult)
//!   films/              evaluation episodes as GIF and as PNG filmstrip
//!   report.html         all of the above for a reader, self-contained
//!   host.log            the log at debug level
//!   running.lock        held exclusively by the host that writes the run
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::about::{RunAbout, RunPhase, RunStatus};
use super::clock;
use super::durable;
use super::error::{Error, Result};

/// Names of a run folder's parts, for anyone who has its path (a report can be built while the run goes on).
#[derive(Clone, Debug)]
pub struct RunLayout(PathBuf);

impl RunLayout {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn about(&self) -> PathBuf {
        self.0.join("run.json")
    }
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }
    pub fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }
    pub fn recipe(&self) -> PathBuf {
        self.0.join("recipe.ron")
    }
    pub fn recipe_lock(&self) -> PathBuf {
        self.0.join("recipe.lock")
    }
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }
    pub fn tensorboard(&self) -> PathBuf {
        self.0.join("tensorboard")
    }
    pub fn demonstrations(&self) -> PathBuf {
        self.0.join("demonstrations.json")
    }
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }
    pub fn eval(&self) -> PathBuf {
        self.0.join("eval")
    }
    pub fn films(&self) -> PathBuf {
        self.0.join("films")
    }
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }
    pub fn log(&self) -> PathBuf {
        self.0.join("host.log")
    }
    fn running_lock(&self) -> PathBuf {
        self.0.join("running.lock")
    }

    /// What the run is.
    ///
    /// # Errors
    /// If the folder is not a run folder or `run.json` is damaged.
    pub fn read_about(&self) -> Result<RunAbout> {
        if !self.about().is_file() {
            return Err(Error::Refused(format!("{} is not a run folder (it has no run.json)", self.0.display())));
        }
        read_json(&self.about())
    }

    /// `None` if the run never got as far as writing it.
    ///
    /// # Errors
    /// If `status.json` is damaged.
    pub fn read_status(&self) -> Result<Option<RunStatus>> {
        let path = self.status();
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }
}

/// Parses a JSON file.
///
/// # Errors
/// With the file, line and what was wrong there.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text).map_err(|e| Error::format(path, e.line(), e.to_string()))
}

/// Writes a JSON file, atomically and durably.
///
/// # Errors
/// As [`durable::write_file`].
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::format(path, 0, e.to_string()))?;
    text.push(b'\n');
    durable::write_file(path, &text)
}

/// A run folder that this process may write: it holds the exclusive lock, which the kernel releases even after `kill -9`.
#[derive(Debug)]
pub struct RunDir {
    layout: RunLayout,
    _lock: File,
}

impl std::ops::Deref for RunDir {
    type Target = RunLayout;
    fn deref(&self) -> &RunLayout {
        &self.layout
    }
}

impl RunDir {
    /// Makes `ROOT/<recipe>-<UTC time>`, with a number appended if that exists.
    ///
    /// # Errors
    /// As [`RunDir::create`].
    pub fn create_under(root: &Path, about: &RunAbout) -> Result<Self> {
        fs::create_dir_all(root).map_err(Error::io("create the folder", root))?;
        let stem = format!("{}-{}", about.recipe, clock::utc_compact(about.started_unix));
        for attempt in 1.. {
            let path = root.join(if attempt == 1 { stem.clone() } else { format!("{stem}-{attempt}") });
            match fs::create_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create the folder", &path)(e)),
                Ok(()) => return Self::create(&path, about),
            }
        }
        unreachable!("the loop ends only by returning")
    }

    /// Makes `path` into the folder of a new run and locks it.
    ///
    /// # Errors
    /// If it already holds a run or something else, is in use, or cannot be written.
    pub fn create(path: &Path, about: &RunAbout) -> Result<Self> {
        let layout = RunLayout::new(path);
        fs::create_dir_all(path).map_err(Error::io("create the folder", path))?;
        if layout.about().exists() {
            return Err(Error::Refused(format!(
                "{0} already holds a run; continue it with `host run --resume {0}` or choose another folder with --run-dir",
                path.display()
            )));
        }
        // A creation that was interrupted left some of these; anything else is not ours to fill.
        let ours = ["running.lock", "checkpoints", "eval", "films", "tensorboard"];
        for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
            let name = entry.map_err(Error::io("read", path))?.file_name();
            let name = name.to_string_lossy();
            if !ours.contains(&name.as_ref()) && !name.starts_with(".run.json.tmp-") {
                return Err(Error::Refused(format!(
                    "{} is not empty (it has `{name}`) and not a run folder; choose a new folder with --run-dir",
                    path.display()
                )));
            }
        }
        let dir = Self { _lock: lock(&layout)?, layout };
        for folder in [dir.checkpoints(), dir.eval(), dir.films(), dir.tensorboard()] {
            fs::create_dir_all(&folder).map_err(Error::io("create the folder", &folder))?;
        }
        dir.set_status(RunPhase::Running, "")?;
        write_json(&dir.about(), about)?;
        Ok(dir)
    }

    /// Locks an existing run for resuming, and clears up what a crash left half-done.
    ///
    /// # Errors
    /// If it is not a run folder, is in use, or cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let layout = RunLayout::new(path);
        layout.read_about()?;
        let dir = Self { _lock: lock(&layout)?, layout };
        durable::recover_children(dir.path())?;
        for folder in [dir.checkpoints(), dir.eval(), dir.films()] {
            fs::create_dir_all(&folder).map_err(Error::io("create the folder", &folder))?;
            recover_tree(&folder)?;
        }
        Ok(dir)
    }

    /// Says how the run stands, for `host report` and people who look into the folder.
    ///
    /// # Errors
    /// As [`durable::write_file`].
    pub fn set_status(&self, phase: RunPhase, message: impl Into<String>) -> Result<()> {
        write_json(&self.status(), &RunStatus { phase, since_unix: clock::unix_now(), message: message.into() })
    }

    /// Replaces the pipeline's resume state, atomically.
    ///
    /// # Errors
    /// As [`durable::write_file`].
    pub fn write_state<T: Serialize>(&self, state: &T) -> Result<()> {
        write_json(&self.state(), state)
    }

    /// The pipeline's resume state, `None` if the run stopped before its first checkpoint.
    ///
    /// # Errors
    /// If the file does not fit `T`.
    pub fn read_state<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let path = self.state();
        if path.is_file() { read_json(&path).map(Some) } else { Ok(None) }
    }
}

/// Recovers publications at any depth below `folder` (checkpoints may be grouped by arm and stage).
fn recover_tree(folder: &Path) -> Result<()> {
    durable::recover_children(folder)?;
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if path.is_dir() {
            recover_tree(&path)?;
        }
    }
    Ok(())
}

fn lock(layout: &RunLayout) -> Result<File> {
    let path = layout.running_lock();
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(Error::io("write", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder = if holder.trim().is_empty() { "another host process".into() } else { holder.trim().to_owned() };
            return Err(Error::InUse { path: layout.path().into(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path)(e)),
    }
    let text = format!("host process {} (since {})\n", std::process::id(), clock::utc_readable(clock::unix_now()));
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(Error::io("write", &path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::about::ArmAbout;

    fn about() -> RunAbout {
        RunAbout::new("rlco_smoke", "RL-Co in a minute", 7, vec![ArmAbout::new("rlco", "RL-Co")])
    }

    #[test]
    fn a_new_folder_has_the_documented_parts_and_reads_back() {
        let root = tempfile::tempdir().unwrap();
        let about = about();
        let dir = RunDir::create_under(root.path(), &about).unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name, format!("rlco_smoke-{}", clock::utc_compact(about.started_unix)));
        assert_eq!(dir.read_about().unwrap(), about);
        assert_eq!(dir.read_status().unwrap().unwrap().phase, RunPhase::Running);
        assert!(dir.checkpoints().is_dir() && dir.eval().is_dir() && dir.films().is_dir());
        let second = RunDir::create_under(root.path(), &about).unwrap();
        assert_eq!(second.path().file_name().unwrap().to_str().unwrap(), format!("{name}-2"));
    }

    #[test]
    fn two_hosts_never_write_one_run() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let first = RunDir::create(&path, &about()).unwrap();
        let text = RunDir::open(&path).unwrap_err().to_string();
        assert!(text.contains("in use by host process") && text.contains(&std::process::id().to_string()), "{text}");
        drop(first);
        RunDir::open(&path).unwrap();
    }

    #[test]
    fn an_existing_run_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        drop(RunDir::create(&path, &about()).unwrap());
        let text = RunDir::create(&path, &about()).unwrap_err().to_string();
        assert!(text.contains("--resume"), "{text}");
    }

    #[test]
    fn foreign_and_missing_folders_are_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.tex"), "dear").unwrap();
        let text = RunDir::create(root.path(), &about()).unwrap_err().to_string();
        assert!(text.contains("`thesis.tex`") && text.contains("--run-dir"), "{text}");
        let text = RunDir::open(&root.path().join("nowhere")).unwrap_err().to_string();
        assert!(text.contains("is not a run folder"), "{text}");
    }

    #[test]
    fn an_unwritable_place_is_refused_with_the_remedy() {
        let text = RunDir::create(Path::new("/sys/run"), &about()).unwrap_err().to_string();
        assert!(text.starts_with("cannot create the folder /sys/run: ") && text.contains("--run-dir"), "{text}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = RunDir::create(&file.path().join("run"), &about()).unwrap_err().to_string();
        assert!(text.contains("is a file, not a folder"), "{text}");
    }

    #[test]
    fn an_interrupted_creation_can_be_repeated_and_an_interrupted_checkpoint_vanishes() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        fs::create_dir_all(path.join("checkpoints")).unwrap();
        fs::write(path.join("running.lock"), "").unwrap();
        drop(RunDir::create(&path, &about()).unwrap());
        fs::create_dir_all(path.join("checkpoints/rlco/step-000004.tmp")).unwrap();
        fs::create_dir_all(path.join("checkpoints/rlco/step-000002.old")).unwrap();
        let dir = RunDir::open(&path).unwrap();
        let left: Vec<_> = fs::read_dir(dir.checkpoints().join("rlco")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["step-000002"]);
    }

    #[test]
    fn state_round_trips_and_damage_is_located() {
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::create(&root.path().join("run"), &about()).unwrap();
        assert_eq!(dir.read_state::<(u64, String)>().unwrap(), None);
        dir.write_state(&(3u64, "rl".to_owned())).unwrap();
        assert_eq!(dir.read_state::<(u64, String)>().unwrap(), Some((3, "rl".into())));
        fs::write(dir.state(), "[3,\n oops").unwrap();
        let text = dir.read_state::<(u64, String)>().unwrap_err().to_string();
        assert!(text.contains("state.json, line 2"), "{text}");
    }
}
