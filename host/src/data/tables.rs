//! The small tables under `meta/`: tasks and episodes, as parquet (v3.0) or JSON lines (v2.1).

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::columns;
use super::episode_stats::Stats;
use super::error::{Error, Result};
use super::schema::{Info, fill_template};

/// One row of the episodes table.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeEntry {
    pub index: usize,
    /// Frames.
    pub length: usize,
    /// The instructions given in this episode.
    pub tasks: Vec<String>,
    /// The table with its frames, relative to the dataset.
    pub data_file: PathBuf,
    /// What the environment was reset with, where this host recorded it (column `twinhost/seed`).
    pub seed: Option<u64>,
}

/// Where an appended episode lies, with its statistics.
pub struct NewEpisode {
    pub index: usize,
    pub length: usize,
    pub task: String,
    pub from: usize,
    pub seed: u64,
    pub stats: Stats,
}

/// Serialises batches of one table as SNAPPY parquet, a row group each; `key_values` go into both the file's and the Arrow schema's metadata.
pub fn to_parquet(batches: &[RecordBatch], key_values: &[(&str, String)]) -> Result<Vec<u8>> {
    let metadata: HashMap<String, String> = key_values.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
    let fields = batches.first().map(|b| b.schema().fields().clone()).unwrap_or_default();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let pairs = key_values.iter().map(|(k, v)| KeyValue::new(k.to_string(), v.clone())).collect();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).set_key_value_metadata(Some(pairs)).build();
    let written = (|| {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema.clone(), Some(properties))?;
        for batch in batches {
            writer.write(&batch.clone().with_schema(schema.clone())?)?;
            writer.flush()?;
        }
        writer.close()?;
        Ok(bytes)
    })();
    written.map_err(|e: parquet::errors::ParquetError| Error::refused(format!("cannot encode a table: {e}")))
}

/// Reads some columns of a parquet file, in batches.
pub fn read_parquet(path: &Path, wanted: impl Fn(&str) -> bool, mut each: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let broken = |e: &dyn std::fmt::Display| Error::format(path, format!("not a readable parquet file: {e}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(&e))?;
    let picked: Vec<usize> = builder.schema().fields().iter().enumerate().filter(|(_, f)| wanted(f.name())).map(|(i, _)| i).collect();
    let mask = parquet::arrow::ProjectionMask::roots(builder.parquet_schema(), picked);
    for batch in builder.with_projection(mask).with_batch_size(1024).build().map_err(|e| broken(&e))? {
        each(batch.map_err(|e| broken(&e))?)?;
    }
    Ok(())
}

fn read_whole(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    read_parquet(path, wanted, |b| {
        batches.push(b);
        Ok(())
    })?;
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    concat_batches(&schema, &batches).map_err(|e| Error::format(path, e.to_string()))
}

fn column(batch: &RecordBatch, path: &Path, name: &str, as_type: &DataType) -> Result<ArrayRef> {
    let found = batch.column_by_name(name).ok_or_else(|| Error::format(path, format!("has no column `{name}`")))?;
    cast(found, as_type).map_err(|e| Error::format(path, format!("column `{name}`: {e}")))
}

fn whole_numbers(batch: &RecordBatch, path: &Path, name: &str) -> Result<Vec<usize>> {
    let values = column(batch, path, name, &DataType::Int64)?;
    let number =
        |v: Option<i64>| v.and_then(|v| usize::try_from(v).ok()).ok_or_else(|| Error::format(path, format!("column `{name}` holds {v:?}")));
    values.as_primitive::<Int64Type>().iter().map(number).collect()
}

/// `meta/tasks.parquet`: texts by task index. The text is the pandas index: without that note LeRobot reads numbers instead of texts.
pub fn tasks_to_parquet(tasks: &[String]) -> Result<Vec<u8>> {
    let index: ArrayRef = Arc::new(Int64Array::from_iter_values(0..tasks.len() as i64));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(tasks));
    let batch = RecordBatch::try_from_iter_with_nullable([("task_index", index, true), ("task", text, true)])
        .map_err(|e| Error::refused(format!("cannot build the tasks table: {e}")))?;
    let pandas = serde_json::json!({
        "index_columns": ["task"],
        "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null},
            {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": null}
        ],
        "creator": {"library": "twinhost", "version": env!("CARGO_PKG_VERSION")},
        "pandas_version": "2.0.0"
    });
    to_parquet(&[batch], &[("pandas", pandas.to_string())])
}

fn ordered_tasks(path: &Path, pairs: impl Iterator<Item = (usize, String)>) -> Result<Vec<String>> {
    let mut pairs: Vec<(usize, String)> = pairs.collect();
    pairs.sort();
    match pairs.iter().enumerate().find(|(i, (index, _))| i != index) {
        Some((i, _)) => Err(Error::format(path, format!("task {i} is missing or listed twice"))),
        None => Ok(pairs.into_iter().map(|(_, text)| text).collect()),
    }
}

/// The instructions of a dataset, by task index.
pub fn read_tasks(root: &Path, info: &Info) -> Result<Vec<String>> {
    if info.is_v21() {
        #[derive(Deserialize)]
        struct Line {
            task_index: usize,
            task: String,
        }
        let path = root.join("meta/tasks.jsonl");
        return ordered_tasks(&path, json_lines::<Line>(&path)?.into_iter().map(|l| (l.task_index, l.task)));
    }
    let path = root.join("meta/tasks.parquet");
    let batch = read_whole(&path, |_| true)?;
    // pandas calls a nameless index so.
    let name = if batch.column_by_name("task").is_some() { "task" } else { "__index_level_0__" };
    let texts = column(&batch, &path, name, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter().map(|t| t.unwrap_or_default().to_string());
    ordered_tasks(&path, whole_numbers(&batch, &path, "task_index")?.into_iter().zip(texts))
}

fn json_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    lines.map(|(n, l)| serde_json::from_str(l).map_err(|e| Error::format(path, format!("line {}: {e}", n + 1)))).collect()
}

/// The committed episodes in order: `info` says how many there are, later rows belong to a write that never finished.
pub fn read_episodes(root: &Path, info: &Info) -> Result<Vec<EpisodeEntry>> {
    let mut episodes = if info.is_v21() { episodes_v21(root, info)? } else { episodes_v30(root, info)? };
    episodes.sort_by_key(|e| e.index);
    episodes.truncate(info.total_episodes);
    let frames: usize = episodes.iter().map(|e| e.length).sum();
    let gap = episodes.iter().enumerate().any(|(i, e)| e.index != i);
    if gap || episodes.len() != info.total_episodes || frames != info.total_frames {
        return Err(Error::format(
            root.join("meta/info.json"),
            format!(
                "announces {} episodes with {} frames, but the episodes table lists {} with {frames}",
                info.total_episodes,
                info.total_frames,
                episodes.len()
            ),
        ));
    }
    Ok(episodes)
}

fn episodes_v21(root: &Path, info: &Info) -> Result<Vec<EpisodeEntry>> {
    #[derive(Deserialize)]
    struct Line {
        episode_index: usize,
        tasks: Vec<String>,
        length: usize,
    }
    let lines = json_lines::<Line>(&root.join("meta/episodes.jsonl"))?;
    let entry = |l: Line| {
        let place = [("episode_chunk", l.episode_index / info.chunks_size), ("episode_index", l.episode_index)];
        EpisodeEntry {
            index: l.episode_index,
            length: l.length,
            tasks: l.tasks,
            data_file: fill_template(&info.data_path, &place).into(),
            seed: None,
        }
    };
    Ok(lines.into_iter().map(entry).collect())
}

/// Every parquet file below `folder`, in order.
pub fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(Error::io("read", &folder))?,
        };
        for entry in entries {
            let path = entry.map_err(Error::io("read", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn episodes_v30(root: &Path, info: &Info) -> Result<Vec<EpisodeEntry>> {
    let mut episodes = Vec::new();
    for path in parquet_files(&root.join("meta/episodes"))? {
        let batch = read_whole(&path, |name| !name.starts_with("stats/"))?;
        let number = |name: &str| whole_numbers(&batch, &path, name);
        let (index, length) = (number("episode_index")?, number("length")?);
        let (chunk, file) = (number("data/chunk_index")?, number("data/file_index")?);
        let texts = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        let tasks = column(&batch, &path, "tasks", &texts)?;
        let seeds = match batch.column_by_name(SEED) {
            Some(_) => column(&batch, &path, SEED, &DataType::UInt64)?,
            None => new_null_array(&DataType::UInt64, batch.num_rows()),
        };
        let seeds: Vec<Option<u64>> = seeds.as_primitive::<UInt64Type>().iter().collect();
        for row in 0..batch.num_rows() {
            let place = [("chunk_index", chunk[row]), ("file_index", file[row])];
            episodes.push(EpisodeEntry {
                index: index[row],
                length: length[row],
                tasks: tasks.as_list::<i32>().value(row).as_string::<i32>().iter().flatten().map(String::from).collect(),
                data_file: fill_template(&info.data_path, &place).into(),
                seed: seeds[row],
            });
        }
    }
    Ok(episodes)
}

const SEED: &str = "twinhost/seed";

/// `meta/episodes/chunk-CCC/file-FFF.parquet` for one append, whose frames lie in the data file of the same number.
pub fn episodes_to_parquet(episodes: &[NewEpisode], chunk: usize, file: usize) -> Result<Vec<u8>> {
    let numbers =
        |f: &dyn Fn(&NewEpisode) -> usize| Arc::new(Int64Array::from_iter_values(episodes.iter().map(|e| f(e) as i64))) as ArrayRef;
    let tasks = StringArray::from_iter_values(episodes.iter().map(|e| &e.task));
    let one_each = || OffsetBuffer::from_lengths(std::iter::repeat_n(1, episodes.len()));
    let list = |inner: ArrayRef, offsets| {
        Arc::new(ListArray::new(Arc::new(Field::new("element", inner.data_type().clone(), true)), offsets, inner, None)) as ArrayRef
    };
    let mut table: Vec<(String, ArrayRef)> = vec![
        ("episode_index".into(), numbers(&|e| e.index)),
        ("tasks".into(), list(Arc::new(tasks), one_each())),
        ("length".into(), numbers(&|e| e.length)),
        ("data/chunk_index".into(), numbers(&|_| chunk)),
        ("data/file_index".into(), numbers(&|_| file)),
        ("dataset_from_index".into(), numbers(&|e| e.from)),
        ("dataset_to_index".into(), numbers(&|e| e.from + e.length)),
    ];
    let first = episodes.first().map(|e| &e.stats).into_iter().flatten();
    for (name, stats) in first {
        let shape: Vec<usize> = std::iter::once(episodes.len()).chain(stats.shape.iter().copied()).collect();
        for (field, (key, _)) in stats.fields().iter().enumerate() {
            let flat: Vec<f64> = episodes.iter().flat_map(|e| e.stats[name].fields()[field].1.iter().copied()).collect();
            let leaf = twinhost_plugin_api::Tensor::from_vec(flat, &shape);
            table.push((format!("stats/{name}/{key}"), columns::encode_as_lists(&leaf).map_err(Error::Refused)?));
        }
        table.push((format!("stats/{name}/count"), list(numbers(&|e| e.stats[name].count as usize), one_each())));
    }
    table.push(("meta/episodes/chunk_index".into(), numbers(&|_| chunk)));
    table.push(("meta/episodes/file_index".into(), numbers(&|_| file)));
    table.push((SEED.into(), Arc::new(UInt64Array::from_iter_values(episodes.iter().map(|e| e.seed)))));
    let batch = RecordBatch::try_from_iter_with_nullable(table.into_iter().map(|(n, a)| (n, a, true)))
        .map_err(|e| Error::refused(format!("cannot build the episodes table: {e}")))?;
    to_parquet(&[batch], &[])
}
