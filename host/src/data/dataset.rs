//! Reading LeRobot datasets: v3.0 with images, v2.1, and the tables of datasets whose cameras are video.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use twinhost_plugin_api::{DType, Tensor};

use super::episode::Episode;
use super::error::{Error, Result};
use super::schema::{Info, Storage};
use super::tables::{self, EpisodeEntry};
use super::{columns, images};

/// A dataset on disk; opening reads the tables under `meta/` only.
#[derive(Debug)]
pub struct Dataset {
    root: PathBuf,
    info: Info,
    tasks: Vec<String>,
    episodes: Vec<EpisodeEntry>,
    /// First frame of every episode, and the number of frames.
    starts: Vec<usize>,
}

/// Frames of consecutive episodes.
#[derive(Debug)]
pub struct Frames {
    /// Feature name -> `[N, ...]`; images u8 `[N, H, W, 3]`.
    pub columns: BTreeMap<String, Tensor>,
    /// Index into [`Dataset::tasks`] for every frame.
    pub task: Vec<usize>,
}

impl Dataset {
    /// # Errors
    /// If the folder is not a LeRobot v3.0 or v2.1 dataset, or its tables contradict each other.
    pub fn open(root: &Path) -> Result<Self> {
        let info = Info::read(root)?;
        let mut tasks = if info.total_tasks == 0 { Vec::new() } else { tables::read_tasks(root, &info)? };
        if tasks.len() < info.total_tasks {
            return Err(Error::format(
                root.join("meta/info.json"),
                format!("announces {} tasks, but {} are listed", info.total_tasks, tasks.len()),
            ));
        }
        tasks.truncate(info.total_tasks);
        let episodes = tables::read_episodes(root, &info)?;
        let mut starts = vec![0];
        starts.extend(episodes.iter().scan(0, |at, e| {
            *at += e.length;
            Some(*at)
        }));
        Ok(Self { root: root.to_path_buf(), info, tasks, episodes, starts })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn info(&self) -> &Info {
        &self.info
    }
    /// Instructions by task index.
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }
    pub fn episodes(&self) -> &[EpisodeEntry] {
        &self.episodes
    }

    /// The dataset's own features that can be read: numbers and images, not video.
    pub fn readable_features(&self) -> Vec<&str> {
        let readable = |s| matches!(s, Storage::Numbers(_) | Storage::Images);
        self.info.own_features().filter(|(_, e)| readable(e.storage())).map(|(n, _)| n).collect()
    }

    /// Reads features of consecutive episodes.
    ///
    /// # Errors
    /// If a feature is unknown or stored as video, a file is missing or damaged, or frames are missing or listed twice.
    pub fn frames(&self, episodes: Range<usize>, features: &[&str]) -> Result<Frames> {
        let have = self.episodes.len();
        if episodes.end > have || episodes.start > episodes.end {
            let last = episodes.end.saturating_sub(1);
            return Err(Error::refused(format!("{} has no episode {last}: it has {have}, counted from 0", self.root.display())));
        }
        let (first, count) = (self.starts[episodes.start], self.starts[episodes.end] - self.starts[episodes.start]);
        let mut out = Frames { columns: BTreeMap::new(), task: vec![0; count] };
        for &name in features {
            out.columns.insert(name.into(), self.allocate(name, count)?);
        }
        let mut files: Vec<&Path> = self.episodes[episodes.clone()].iter().map(|e| e.data_file.as_path()).collect();
        files.dedup();
        let mut seen = vec![false; count];
        for file in files {
            let path = self.root.join(file);
            let wanted = |name: &str| features.contains(&name) || ["episode_index", "frame_index", "task_index"].contains(&name);
            tables::read_parquet(&path, wanted, |batch| {
                let broken = |message: String| Error::format(&path, message);
                let column = |name: &str| batch.column_by_name(name).ok_or_else(|| broken(format!("has no column `{name}`")));
                let targets = self.targets(column("episode_index")?, column("frame_index")?, &episodes, first).map_err(broken)?;
                let task = whole_numbers(column("task_index")?).map_err(broken)?;
                for (&target, &task) in targets.iter().zip(&task) {
                    let Some(row) = target else { continue };
                    if std::mem::replace(&mut seen[row], true) {
                        return Err(broken(format!("frame {} is there twice", first + row)));
                    }
                    out.task[row] = usize::try_from(task)
                        .ok()
                        .filter(|&t| t < self.tasks.len())
                        .ok_or_else(|| broken(format!("there is no task {task}")))?;
                }
                for (name, tensor) in &mut out.columns {
                    let values = column(name)?;
                    let is_image = self.info.features[name].storage() == Storage::Images;
                    let decoded =
                        if is_image { images::decode(values, &targets, tensor) } else { columns::decode(values, &targets, tensor) };
                    decoded.map_err(|e| broken(format!("column `{name}`: {e}")))?;
                }
                Ok(())
            })?;
        }
        match seen.iter().filter(|s| !**s).count() {
            0 => Ok(out),
            missing => Err(Error::format(
                &self.root,
                format!("{missing} of the {count} frames of episodes {episodes:?} are missing from its data files"),
            )),
        }
    }

    /// Reads all readable features of one episode.
    ///
    /// # Errors
    /// As [`Dataset::frames`].
    pub fn episode(&self, index: usize) -> Result<Episode> {
        self.episode_with(index, &self.readable_features())
    }

    /// Reads some features of one episode.
    ///
    /// # Errors
    /// As [`Dataset::frames`].
    pub fn episode_with(&self, index: usize, features: &[&str]) -> Result<Episode> {
        let frames = self.frames(index..index.saturating_add(1), features)?;
        let task = frames.task.first().map(|&t| self.tasks[t].clone()).unwrap_or_default();
        Ok(Episode { task, seed: self.episodes[index].seed.unwrap_or(0), columns: frames.columns })
    }

    fn allocate(&self, name: &str, rows: usize) -> Result<Tensor> {
        let entry = self.info.features.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.info.own_features().map(|(n, _)| n).collect();
            Error::refused(format!("{} has no feature `{name}` (it has: {})", self.root.display(), known.join(", ")))
        })?;
        let dtype = match entry.storage() {
            Storage::Numbers(dtype) => dtype,
            Storage::Images => DType::U8,
            Storage::Video => {
                return Err(Error::refused(format!(
                    "feature `{name}` of {} is stored as MP4 video, which this host does not decode: export the dataset with its cameras as \
                     images (LeRobot: `use_videos=False`), or leave the camera out",
                    self.root.display()
                )));
            }
            Storage::Other => {
                return Err(Error::refused(format!(
                    "feature `{name}` of {} has dtype `{}`, which is not a tensor",
                    self.root.display(),
                    entry.dtype
                )));
            }
        };
        let shape: Vec<usize> = std::iter::once(rows).chain(entry.frame_shape()).collect();
        Ok(Tensor::zeros_of(dtype, &shape)?)
    }

    /// The row in `episodes` (whose first frame has the global number `first`) for every row of a data file.
    fn targets(&self, episode: &ArrayRef, frame: &ArrayRef, episodes: &Range<usize>, first: usize) -> Result<Vec<Option<usize>>, String> {
        let place = |(e, f): (i64, i64)| {
            let e = usize::try_from(e).ok().filter(|e| episodes.contains(e))?;
            Some(match usize::try_from(f) {
                Ok(f) if f < self.episodes[e].length => Ok(self.starts[e] + f - first),
                _ => Err(format!("episode {e} has a frame {f}, but should have {} frames", self.episodes[e].length)),
            })
        };
        whole_numbers(episode)?.into_iter().zip(whole_numbers(frame)?).map(|pair| place(pair).transpose()).collect()
    }
}

fn whole_numbers(column: &ArrayRef) -> Result<Vec<i64>, String> {
    let column = cast(column, &DataType::Int64).map_err(|e| e.to_string())?;
    column.as_primitive::<Int64Type>().iter().map(|v| v.ok_or_else(|| "an index column holds nulls".to_string())).collect()
}
