//! The in-memory training view: every frame of one or several datasets in contiguous tensors, gathered into batches of action chunks.

use std::collections::BTreeMap;
use twinhost_plugin_api::{Batch, DType, Element, Tensor, names};

use super::dataset::Dataset;
use super::error::{Error, Result};

/// True where an action chunk reaches beyond the end of its episode, bool `[n, C]`.
pub const ACTION_IS_PAD: &str = "action.is_pad";

/// Whether to decode camera images, which is what takes time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cameras {
    Load,
    Skip,
}

/// Demonstration frames: `observation.*` and `action` `[N, ...]`, and which episode and instruction each frame belongs to.
#[derive(Debug)]
pub struct EpisodeBuffer {
    features: BTreeMap<String, Tensor>,
    tasks: Vec<String>,
    task_of_frame: Vec<u32>,
    episode_of_frame: Vec<u32>,
    /// First frame of every episode, and the number of frames.
    starts: Vec<usize>,
}

/// The name under which a feature is trained on: LeRobot's as they are, openpi's and RLinf's v2.1 names translated; `None` if it is no
/// model input.
fn training_name(stored: &str) -> Option<String> {
    match stored {
        names::ACTION | "actions" => Some(names::ACTION.into()),
        "state" => Some(names::STATE.into()),
        "image" => Some(format!("{}base", names::IMAGES)),
        "wrist_image" => Some(format!("{}wrist", names::IMAGES)),
        _ if stored.starts_with("observation.") => Some(stored.into()),
        _ => None,
    }
}

impl EpisodeBuffer {
    /// Loads all episodes of the datasets, one after the other.
    ///
    /// # Errors
    /// If a dataset cannot be read, a camera is stored as video, there is no `action`, an action or state is not finite, or the
    /// datasets' features differ.
    pub fn load(datasets: &[&Dataset], cameras: Cameras) -> Result<Self> {
        let mut parts: BTreeMap<String, Vec<Tensor>> = BTreeMap::new();
        let mut out =
            Self { features: BTreeMap::new(), tasks: Vec::new(), task_of_frame: Vec::new(), episode_of_frame: Vec::new(), starts: vec![0] };
        for dataset in datasets {
            let image = |name: &str| training_name(name).is_some_and(|n| n.starts_with(names::IMAGES));
            let stored: Vec<&str> = dataset
                .info()
                .own_features()
                .map(|(n, _)| n)
                .filter(|n| training_name(n).is_some() && (cameras == Cameras::Load || !image(n)))
                .collect();
            let frames = dataset.frames(0..dataset.episodes().len(), &stored)?;
            for (name, tensor) in frames.columns {
                let name = training_name(&name).unwrap_or(name);
                let tensor = as_f32(tensor)?;
                check_finite(dataset, &name, &tensor)?;
                parts.entry(name).or_default().push(tensor);
            }
            let first_task = out.tasks.len();
            out.tasks.extend(dataset.tasks().iter().cloned());
            out.task_of_frame.extend(frames.task.iter().map(|&t| (first_task + t) as u32));
            for entry in dataset.episodes() {
                out.episode_of_frame.extend(std::iter::repeat_n(out.starts.len() as u32 - 1, entry.length));
                out.starts.push(out.episode_of_frame.len());
            }
        }
        for (name, tensors) in parts {
            if tensors.len() != datasets.len() {
                return Err(Error::refused(format!("feature `{name}` is in {} of the {} datasets only", tensors.len(), datasets.len())));
            }
            let joined = match <[Tensor; 1]>::try_from(tensors) {
                Ok([only]) => only,
                Err(several) => {
                    Tensor::concat_rows(&several.iter().collect::<Vec<_>>()).map_err(|e| e.context(format!("feature `{name}`")))?
                }
            };
            out.features.insert(name, joined);
        }
        let shape = out.feature(names::ACTION)?.shape();
        if shape.len() != 2 {
            return Err(Error::refused(format!("`action` must be [frames, dimensions], got {shape:?}")));
        }
        Ok(out)
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.episode_of_frame.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Number of episodes.
    pub fn episodes(&self) -> usize {
        self.starts.len() - 1
    }
    /// The instructions in use, one per task of every dataset.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(String::as_str)
    }
    /// The episode that each frame belongs to.
    pub fn episode_of_frame(&self) -> &[u32] {
        &self.episode_of_frame
    }
    /// The frames of one episode.
    pub fn frames_of(&self, episode: usize) -> std::ops::Range<usize> {
        self.starts[episode]..self.starts[episode + 1]
    }
    pub fn features(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.features.iter().map(|(n, t)| (n.as_str(), t))
    }

    /// # Errors
    /// If there is no such feature; the message lists those there are.
    pub fn feature(&self, name: &str) -> Result<&Tensor> {
        self.features.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.features.keys().map(String::as_str).collect();
            Error::refused(format!("the demonstrations have no feature `{name}` (they have: {})", known.join(", ")))
        })
    }

    /// Training rows for the given frames: `observation.*` `[n, ...]`, `action` f32 `[n, C, A]` of the frame and the C - 1 after it,
    /// clamped to the episode, `action.is_pad` bool `[n, C]` where clamped, and the text `task`.
    ///
    /// # Errors
    /// If a frame is out of range or `chunk` is 0.
    pub fn chunk_batch(&self, frames: &[usize], chunk: usize) -> Result<Batch> {
        let rows: Vec<(&Self, usize)> = frames.iter().map(|&f| (self, f)).collect();
        gather(&rows, chunk)
    }
}

/// As [`EpisodeBuffer::chunk_batch`], each row from a buffer of its own; the buffers must have the same features.
///
/// # Errors
/// If there is no row, features or shapes differ, a frame is out of range or `chunk` is 0.
pub fn gather(rows: &[(&EpisodeBuffer, usize)], chunk: usize) -> Result<Batch> {
    let Some((first, _)) = rows.first() else { return Err(Error::refused("a batch of no rows was asked for")) };
    if chunk == 0 {
        return Err(Error::refused("an action chunk must have at least one step"));
    }
    if let Some((buffer, frame)) = rows.iter().find(|(b, f)| *f >= b.len()) {
        return Err(Error::refused(format!("frame {frame} does not exist: the demonstrations have {}", buffer.len())));
    }
    let mut batch = Batch::new();
    for name in first.features.keys().filter(|n| *n != names::ACTION) {
        let sources: Vec<(&Tensor, usize)> = rows.iter().map(|(b, f)| Ok((b.feature(name)?, *f))).collect::<Result<_>>()?;
        batch.insert(name, gather_rows(name, &sources, &[rows.len()])?);
    }
    let mut actions = Vec::with_capacity(rows.len() * chunk);
    let mut padded = Vec::with_capacity(rows.len() * chunk);
    for (buffer, frame) in rows {
        let tensor = buffer.feature(names::ACTION)?;
        let end = buffer.starts[buffer.episode_of_frame[*frame] as usize + 1];
        actions.extend((*frame..frame + chunk).map(|f| (tensor, f.min(end - 1))));
        padded.extend((*frame..frame + chunk).map(|f| f >= end));
    }
    batch.insert(names::ACTION, gather_rows(names::ACTION, &actions, &[rows.len(), chunk])?);
    batch.insert(ACTION_IS_PAD, Tensor::from_vec(padded, &[rows.len(), chunk]));
    batch.insert_text(names::TASK, rows.iter().map(|(b, f)| b.tasks[b.task_of_frame[*f] as usize].clone()).collect());
    Ok(batch)
}

/// Copies rows of tensors with equal row shape into a fresh tensor `[lead..., row...]`.
fn gather_rows(name: &str, sources: &[(&Tensor, usize)], lead: &[usize]) -> Result<Tensor> {
    let first = sources[0].0;
    let row = &first.shape()[1..];
    if let Some((other, _)) = sources.iter().find(|(t, _)| t.dtype() != first.dtype() || t.shape()[1..] != *row) {
        return Err(Error::refused(format!(
            "feature `{name}` is {:?} {row:?} in one dataset and {:?} {:?} in another",
            first.dtype(),
            other.dtype(),
            &other.shape()[1..]
        )));
    }
    let shape = [lead, row].concat();
    Ok(match first.dtype() {
        DType::Bool => copy_rows::<bool>(sources, &shape)?,
        DType::U8 => copy_rows::<u8>(sources, &shape)?,
        DType::I32 => copy_rows::<i32>(sources, &shape)?,
        DType::I64 => copy_rows::<i64>(sources, &shape)?,
        DType::F64 => copy_rows::<f64>(sources, &shape)?,
        _ => copy_rows::<f32>(sources, &shape)?,
    })
}

fn copy_rows<T: Element>(sources: &[(&Tensor, usize)], shape: &[usize]) -> Result<Tensor> {
    let width = sources[0].0.row_len();
    let mut values = Vec::with_capacity(sources.len() * width);
    for (tensor, row) in sources {
        values.extend_from_slice(&tensor.as_slice::<T>()?[row * width..(row + 1) * width]);
    }
    Ok(Tensor::from_vec(values, shape))
}

/// Models read f32; f64 columns of foreign datasets are narrowed once, here.
fn as_f32(tensor: Tensor) -> Result<Tensor> {
    if tensor.dtype() != DType::F64 {
        return Ok(tensor);
    }
    Ok(Tensor::from_vec(tensor.as_slice::<f64>()?.iter().map(|&v| v as f32).collect(), &tensor.shape()))
}

fn check_finite(dataset: &Dataset, name: &str, tensor: &Tensor) -> Result<()> {
    if tensor.dtype() != DType::F32 {
        return Ok(());
    }
    match tensor.as_slice::<f32>()?.iter().position(|v| !v.is_finite()) {
        Some(at) => {
            Err(Error::refused(format!("{}: `{name}` is not finite at frame {}", dataset.root().display(), at / tensor.row_len().max(1))))
        }
        None => Ok(()),
    }
}
