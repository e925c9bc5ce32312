//! Appending episodes to a LeRobot v3.0 dataset so that `kill -9` loses nothing that was acknowledged.
//!
//! One [`DatasetWriter::append`] is one transaction: its frames go to a data file of their own, its rows to an episodes file of the same
//! number, then tasks and statistics are replaced, and `meta/info.json` last. Each file appears whole or not at all, and readers believe
//! `info.json`: until it counts the new episodes they do not exist. [`DatasetWriter::open`] clears away what an interrupted append left.

use arrow::array::{ArrayRef, RecordBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use twinhost_plugin_api::Tensor;

use super::dataset::Dataset;
use super::episode::Episode;
use super::episode_stats::{self, FeatureStats, Stats};
use super::error::{Error, Result};
use super::schema::{FILES_PER_CHUNK, Info, Storage, fill_template};
use super::tables::{self, NewEpisode};
use super::{columns, images};
use crate::observe::durable;

#[derive(Debug)]
pub struct DatasetWriter {
    root: PathBuf,
    info: Info,
    tasks: Vec<String>,
    stats: Stats,
    next_file: usize,
}

impl DatasetWriter {
    /// Starts an empty dataset in `root`, which must be missing or empty.
    ///
    /// # Errors
    /// If there is something already, or the folder cannot be written.
    pub fn create(root: &Path, info: Info) -> Result<Self> {
        let occupied = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            return Err(Error::refused(format!("{} already holds something; choose another folder or remove it first", root.display())));
        }
        fs::create_dir_all(root.join("meta")).map_err(Error::io("create", root))?;
        let writer = Self { root: root.to_path_buf(), info, tasks: Vec::new(), stats: Stats::new(), next_file: 0 };
        writer.write_info()?;
        Ok(writer)
    }

    /// Continues a dataset that this host wrote.
    ///
    /// # Errors
    /// If it is not a readable v3.0 dataset of images, or has data in other places than [`DatasetWriter`] would put it.
    pub fn open(root: &Path) -> Result<Self> {
        let dataset = Dataset::open(root)?;
        let info = dataset.info().clone();
        if info.is_v21() || info.video_path.is_some() {
            return Err(Error::refused(format!("{} cannot be appended to: only v3.0 datasets without video can", root.display())));
        }
        let files: Vec<PathBuf> = dataset.episodes().iter().map(|e| root.join(&e.data_file)).collect();
        let next_file = match files.last() {
            None => 0,
            Some(last) => (0..=files.len()).find(|&n| *last == data_file(root, &info, n)).map(|n| n + 1).ok_or_else(|| {
                Error::refused(format!("{} was not written by this host; generate into a new folder instead of appending", root.display()))
            })?,
        };
        let mut writer = Self { root: root.to_path_buf(), tasks: dataset.tasks().to_vec(), stats: Stats::new(), info, next_file };
        writer.remove_uncommitted()?;
        writer.stats = writer.committed_stats(&dataset)?;
        Ok(writer)
    }

    /// Removes files that an interrupted append wrote before it was counted, or did not finish.
    fn remove_uncommitted(&self) -> Result<()> {
        let known: Vec<PathBuf> =
            (0..self.next_file).flat_map(|n| [data_file(&self.root, &self.info, n), episodes_file(&self.root, n)]).collect();
        let folders: BTreeSet<&Path> = known.iter().filter_map(|p| p.parent()).collect();
        for folder in folders.into_iter().chain([self.root.join("meta").as_path()]) {
            durable::recover_children(folder)?;
        }
        for folder in ["data", "meta/episodes"] {
            for file in tables::parquet_files(&self.root.join(folder))? {
                if !known.contains(&file) {
                    fs::remove_file(&file).map_err(Error::io("remove", &file))?;
                }
            }
        }
        Ok(())
    }

    /// stats.json is written before info.json; if it is ahead, the episodes are summed up anew.
    fn committed_stats(&self, dataset: &Dataset) -> Result<Stats> {
        let stored =
            fs::read_to_string(self.root.join("meta/stats.json")).ok().and_then(|text| episode_stats::from_json(&text)).unwrap_or_default();
        if stored.get("index").map_or(0, |s| s.count) == self.info.total_frames as u64 {
            return Ok(stored);
        }
        let mut stats = Stats::new();
        let mut from = 0;
        for entry in dataset.episodes() {
            let episode = dataset.episode(entry.index)?;
            let task = self.tasks.iter().position(|t| *t == episode.task).unwrap_or(0);
            let extra = self.bookkeeping(entry.index, from, entry.length, task);
            episode_stats::combine(&mut stats, &self.stats_of(&episode, &extra)?);
            from += entry.length;
        }
        Ok(stats)
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Stores episodes; when this returns, they survive a crash of the process or the machine.
    ///
    /// # Errors
    /// If an episode does not fit the dataset or holds a number that is not finite (nothing is written then), or writing fails (the
    /// dataset is then as before).
    pub fn append(&mut self, episodes: &[Episode]) -> Result<()> {
        if episodes.is_empty() {
            return Ok(());
        }
        let (mut tasks, mut stats, mut info) = (self.tasks.clone(), self.stats.clone(), self.info.clone());
        let (mut frames, mut rows) = (Vec::new(), Vec::new());
        for episode in episodes {
            episode.check(&self.info)?;
            let task = tasks.iter().position(|t| *t == episode.task).unwrap_or_else(|| {
                tasks.push(episode.task.clone());
                tasks.len() - 1
            });
            let extra = self.bookkeeping(info.total_episodes, info.total_frames, episode.len(), task);
            let of_episode = self.stats_of(episode, &extra)?;
            frames.push(self.record_batch(episode, &extra)?);
            episode_stats::combine(&mut stats, &of_episode);
            rows.push(NewEpisode {
                index: info.total_episodes,
                length: episode.len(),
                task: episode.task.clone(),
                from: info.total_frames,
                seed: episode.seed,
                stats: of_episode,
            });
            info.total_episodes += 1;
            info.total_frames += episode.len();
        }
        info.total_tasks = tasks.len();
        info.splits = BTreeMap::from([("train".into(), format!("0:{}", info.total_episodes))]);

        let (chunk, file) = (self.next_file / FILES_PER_CHUNK, self.next_file % FILES_PER_CHUNK);
        write_file(&data_file(&self.root, &info, self.next_file), &tables::to_parquet(&frames, &[("huggingface", huggingface(&info))])?)?;
        write_file(&episodes_file(&self.root, self.next_file), &tables::episodes_to_parquet(&rows, chunk, file)?)?;
        write_file(&self.root.join("meta/tasks.parquet"), &tables::tasks_to_parquet(&tasks)?)?;
        write_file(&self.root.join("meta/stats.json"), episode_stats::to_json(&stats).as_bytes())?;
        (self.tasks, self.stats, self.info) = (tasks, stats, info);
        self.next_file += 1;
        self.write_info()
    }

    fn write_info(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.info).expect("info.json has string keys and finite numbers only");
        write_file(&self.root.join("meta/info.json"), text.as_bytes())
    }

    fn bookkeeping(&self, episode: usize, from: usize, frames: usize, task: usize) -> BTreeMap<&'static str, Tensor> {
        let repeated = |v: usize| Tensor::from_vec(vec![v as i64; frames], &[frames, 1]);
        let counted = |start: usize| Tensor::from_vec((start..start + frames).map(|v| v as i64).collect(), &[frames, 1]);
        let times = (0..frames).map(|f| (f as f64 / self.info.fps) as f32).collect();
        BTreeMap::from([
            ("timestamp", Tensor::from_vec(times, &[frames, 1])),
            ("frame_index", counted(0)),
            ("episode_index", repeated(episode)),
            ("index", counted(from)),
            ("task_index", repeated(task)),
        ])
    }

    fn stats_of(&self, episode: &Episode, bookkeeping: &BTreeMap<&str, Tensor>) -> Result<Stats> {
        let of = |(name, entry): (&String, &super::schema::FeatureEntry)| {
            let tensor = match bookkeeping.get(name.as_str()) {
                Some(tensor) => tensor,
                None => episode.get(name)?,
            };
            let stats = if entry.storage() == Storage::Images { FeatureStats::of_images(tensor)? } else { FeatureStats::of(name, tensor)? };
            Ok((name.clone(), stats))
        };
        self.info.features.iter().map(of).collect()
    }

    fn record_batch(&self, episode: &Episode, bookkeeping: &BTreeMap<&str, Tensor>) -> Result<RecordBatch> {
        let encode = |(name, entry): (&String, &super::schema::FeatureEntry)| -> Result<(String, ArrayRef, bool)> {
            let tensor = match bookkeeping.get(name.as_str()) {
                Some(tensor) => tensor,
                None => episode.get(name)?,
            };
            let column = if entry.storage() == Storage::Images { images::encode(tensor) } else { columns::encode(tensor) };
            Ok((name.clone(), column.map_err(|e| Error::refused(format!("feature `{name}`: {e}")))?, true))
        };
        let table: Vec<_> = self.info.features.iter().map(encode).collect::<Result<_>>()?;
        RecordBatch::try_from_iter_with_nullable(table).map_err(|e| Error::refused(format!("cannot build the table of an episode: {e}")))
    }
}

fn data_file(root: &Path, info: &Info, number: usize) -> PathBuf {
    let place = [("chunk_index", number / FILES_PER_CHUNK), ("file_index", number % FILES_PER_CHUNK)];
    root.join(fill_template(&info.data_path, &place))
}

fn episodes_file(root: &Path, number: usize) -> PathBuf {
    root.join(format!("meta/episodes/chunk-{:03}/file-{:03}.parquet", number / FILES_PER_CHUNK, number % FILES_PER_CHUNK))
}

/// The note by which HuggingFace's `datasets` recognises images and fixed-size arrays.
fn huggingface(info: &Info) -> String {
    let value = |dtype: &str| serde_json::json!({"dtype": dtype, "_type": "Value"});
    let feature = |entry: &super::schema::FeatureEntry| match (entry.storage(), entry.shape.as_slice()) {
        (Storage::Images, _) => serde_json::json!({"_type": "Image"}),
        (_, [] | [1]) => value(&entry.dtype),
        (_, [n]) => serde_json::json!({"feature": value(&entry.dtype), "length": n, "_type": "List"}),
        (_, shape) => serde_json::json!({"shape": shape, "dtype": entry.dtype, "_type": format!("Array{}D", shape.len())}),
    };
    let features: serde_json::Map<String, serde_json::Value> = info.features.iter().map(|(n, e)| (n.clone(), feature(e))).collect();
    serde_json::json!({"info": {"features": features}}).to_string()
}

/// Writes a file of the dataset durably, with the folders on the way to it.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Error::refused(format!("{} is not the path of a file", path.display())))?;
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        // The new folders' own entries: `data/chunk-NNN` and `meta/episodes/chunk-NNN` lie at most three levels below the parent of the dataset.
        for ancestor in folder.ancestors().skip(1).take(3).filter(|a| !a.as_os_str().is_empty()) {
            durable::sync_folder(ancestor)?;
        }
    }
    Ok(durable::write_file(path, bytes)?)
}
