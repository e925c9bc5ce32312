//! Safetensors on disk: one file or shards with an index, written so that a reader never sees half a file.

use safetensors::tensor::{Dtype, Metadata, View};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use twinhost_plugin_api::{Error, Result};
use twinhost_plugin_torch::TorchResult;

/// Bytes of tensors in one shard, as the public checkpoints have it.
pub const SHARD_BYTES: usize = 5_000_000_000;
/// No header comes near this; a larger number means that the file is something else.
const LARGEST_HEADER: u64 = 100_000_000;

/// Runs `write` on a temporary name beside `path`, forces it to disk and renames it.
///
/// # Errors
/// If any step fails; the temporary file is removed and an existing `path` stays as it was.
pub fn write_atomically(path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.partial"));
    let written = write(&temporary)
        .and_then(|()| File::open(&temporary)?.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| {
            let folder = path.parent().unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()
        });
    written.map_err(|e| {
        // The write's own error is the one to report; a leftover temporary file is overwritten by the next attempt.
        let _ = std::fs::remove_file(&temporary);
        Error::io(format!("writing {}: {e}", path.display()))
    })
}

/// A contiguous f32 tensor as the safetensors crate wants to see it.
struct Stored {
    shape: Vec<usize>,
    tensor: Tensor,
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0u8; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        Cow::Owned(bytes)
    }
    fn data_len(&self) -> usize {
        self.tensor.numel() * 4
    }
}

/// Writes tensors as `<stem>.safetensors`, or as shards of at most `shard_bytes` with `<stem>.safetensors.index.json`.
///
/// # Errors
/// If writing fails.
pub fn write_tensors(folder: &Path, stem: &str, tensors: Vec<(String, Tensor)>, shard_bytes: usize) -> Result<()> {
    let mut shards: Vec<Vec<(String, Stored)>> = vec![Vec::new()];
    let (mut filled, mut total) = (0, 0);
    for (name, tensor) in tensors {
        let tensor = tensor.detach().to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous();
        let stored = Stored { shape: tensor.size().iter().map(|&d| d as usize).collect(), tensor };
        let bytes = stored.data_len();
        if filled > 0 && filled + bytes > shard_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        total += bytes;
        shards.last_mut().expect("there is always an open shard").push((name, stored));
    }
    let index_path = folder.join(format!("{stem}.safetensors.index.json"));
    let count = shards.len();
    let mut weight_map = Map::new();
    for (at, shard) in shards.into_iter().enumerate() {
        let file = if count == 1 { format!("{stem}.safetensors") } else { format!("{stem}-{:05}-of-{count:05}.safetensors", at + 1) };
        weight_map.extend(shard.iter().map(|(name, _)| (name.clone(), json!(file))));
        let format = HashMap::from([("format".to_string(), "pt".to_string())]);
        write_atomically(&folder.join(&file), |temporary| {
            safetensors::serialize_to_file(shard, Some(format), temporary).map_err(std::io::Error::other)
        })?;
    }
    if count > 1 {
        let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map}).to_string();
        return write_atomically(&index_path, |temporary| std::fs::write(temporary, index));
    }
    // An index of an earlier, sharded save would win over the single file.
    match std::fs::remove_file(&index_path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(format!("removing {}: {e}", index_path.display()))),
        _ => Ok(()),
    }
}

struct Shard {
    path: PathBuf,
    file: File,
    header: Metadata,
    /// Where the tensors' bytes begin.
    start: u64,
}

/// All tensors of a folder under one stem, read one by one.
pub struct TensorFiles {
    shards: Vec<Shard>,
    /// Which shard has a tensor.
    index: BTreeMap<String, usize>,
}

impl TensorFiles {
    /// Opens `<stem>.safetensors.index.json` with its shards or `<stem>.safetensors`, and checks headers and lengths.
    ///
    /// # Errors
    /// If a file is missing, truncated or malformed; the message names it.
    pub fn open(folder: &Path, stem: &str) -> Result<Self> {
        let index_path = folder.join(format!("{stem}.safetensors.index.json"));
        let single = folder.join(format!("{stem}.safetensors"));
        let promised = if index_path.exists() { read_index(&index_path)? } else { BTreeMap::new() };
        let mut files: Vec<PathBuf> = promised.values().map(|file| folder.join(file)).collect();
        files.sort();
        files.dedup();
        if files.is_empty() {
            if !single.exists() {
                return Err(Error::io(format!("{} has neither {stem}.safetensors nor {stem}.safetensors.index.json", folder.display())));
            }
            files.push(single);
        }
        let mut shards = Vec::new();
        let mut index = BTreeMap::new();
        for path in files {
            let shard = open_shard(path)?;
            for name in shard.header.offset_keys() {
                if let Some(other) = index.insert(name.clone(), shards.len()) {
                    let first: &Shard = shards.get(other).unwrap_or(&shard);
                    return Err(Error::input(format!("tensor `{name}` is in both {} and {}", first.path.display(), shard.path.display())));
                }
            }
            shards.push(shard);
        }
        if let Some((name, file)) = promised.iter().find(|(name, _)| !index.contains_key(*name)) {
            return Err(Error::input(format!("{}: tensor `{name}` is not in {file}, where the index says it is", index_path.display())));
        }
        Ok(Self { shards, index })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// Confirms that a tensor is there, has this shape and a floating-point type.
    ///
    /// # Errors
    /// Naming file and tensor, with both shapes.
    pub fn check(&self, name: &str, shape: &[i64]) -> Result<()> {
        let Some(&at) = self.index.get(name) else {
            let files = self.shards.iter().map(|shard| shard.path.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(Error::input(format!("{files}: tensor `{name}` {shape:?} is missing")));
        };
        let shard = &self.shards[at];
        let info = shard.header.info(name).expect("the index was made from this header");
        let found: Vec<i64> = info.shape.iter().map(|&d| d as i64).collect();
        if found != shape {
            return Err(Error::input(format!(
                "{}: tensor `{name}` has the shape {found:?}, this policy needs {shape:?}",
                shard.path.display()
            )));
        }
        kind_of(info.dtype)
            .map(|_| ())
            .ok_or_else(|| Error::input(format!("{}: tensor `{name}` is {}, expected F32, F16 or BF16", shard.path.display(), info.dtype)))
    }

    /// Reads one tensor as f32; [`TensorFiles::check`] must have passed.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let shard = &self.shards[self.index[name]];
        let info = shard.header.info(name).expect("the index was made from this header");
        let kind = kind_of(info.dtype).ok_or_else(|| Error::input(format!("tensor `{name}` is {}", info.dtype)))?;
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0u8; to - from];
        let read = shard.file.read_exact_at(&mut bytes, shard.start + from as u64);
        read.map_err(|e| Error::io(format!("{}: reading tensor `{name}`: {e}", shard.path.display())))?;
        let shape: Vec<i64> = info.shape.iter().map(|&d| d as i64).collect();
        Tensor::f_from_data_size(&bytes, &shape, kind).or_error()?.f_to_kind(Kind::Float).or_error()
    }

    /// The file that holds a tensor, for messages.
    pub fn file_of(&self, name: &str) -> String {
        self.index.get(name).map_or_else(String::new, |&at| self.shards[at].path.display().to_string())
    }
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}

fn read_index(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
    let value: Value = serde_json::from_slice(&text).map_err(|e| Error::input(format!("{}: not valid JSON: {e}", path.display())))?;
    let map = value.get("weight_map").cloned().unwrap_or(Value::Null);
    serde_json::from_value(map).map_err(|e| Error::input(format!("{}: `weight_map`: {e}", path.display())))
}

fn open_shard(path: PathBuf) -> Result<Shard> {
    let shown = path.display().to_string();
    let unreadable = |e: std::io::Error| Error::io(format!("{shown}: {e}"));
    let mut file = File::open(&path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let truncated =
        |need: u64| Error::input(format!("{shown} is truncated: it needs {need} bytes and has {length}; fetch or write it again"));
    if length < 8 {
        return Err(truncated(8));
    }
    let mut size = [0u8; 8];
    file.read_exact(&mut size).map_err(unreadable)?;
    let size = u64::from_le_bytes(size);
    if size > LARGEST_HEADER {
        return Err(Error::input(format!("{shown} is not a safetensors file: its header would have {size} bytes")));
    }
    if length < 8 + size {
        return Err(truncated(8 + size));
    }
    let mut text = vec![0u8; size as usize];
    file.read_exact(&mut text).map_err(unreadable)?;
    let header: Metadata = serde_json::from_slice(&text).map_err(|e| Error::input(format!("{shown} is not a safetensors file: {e}")))?;
    let need = 8 + size + header.data_len() as u64;
    if length < need {
        return Err(truncated(need));
    }
    if length > need {
        return Err(Error::input(format!("{shown} has {} bytes after its last tensor", length - need)));
    }
    Ok(Shard { path, file, header, start: 8 + size })
}
