//! One recorded episode in memory.

use std::collections::BTreeMap;
use twinhost_plugin_api::{DType, Tensor};

use super::error::{Error, Result};
use super::schema::{Info, Storage};

/// T frames of every feature, each observation taken *before* the action of its frame.
#[derive(Debug)]
pub struct Episode {
    pub task: String,
    /// What the environment was reset with (0 for data from elsewhere).
    pub seed: u64,
    /// Feature name -> `[T, ...]`.
    pub columns: BTreeMap<String, Tensor>,
}

impl Episode {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.columns.values().next().map_or(0, |t| t.dim(0))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// If there is no such feature; the message lists those there are.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.columns.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.columns.keys().map(String::as_str).collect();
            Error::refused(format!("the episode has no feature `{name}` (it has: {})", known.join(", ")))
        })
    }

    /// Whether the task predicate held at some frame; `None` if the episode does not say.
    pub fn success(&self) -> Option<bool> {
        let flags = self.columns.get(twinhost_plugin_api::names::SUCCESS).or_else(|| self.columns.get("is_success"))?;
        flags.as_slice::<bool>().ok().map(|f| f.contains(&true))
    }

    /// Numbers of one feature as f64, row by row.
    ///
    /// # Errors
    /// If the feature is missing or not floating point.
    pub fn floats(&self, name: &str) -> Result<Vec<f64>> {
        let tensor = self.get(name)?;
        match tensor.dtype() {
            DType::F32 => Ok(tensor.as_slice::<f32>()?.iter().map(|&v| f64::from(v)).collect()),
            DType::F64 => Ok(tensor.as_slice::<f64>()?.to_vec()),
            other => Err(Error::refused(format!("feature `{name}` should be floating point but is {other:?}"))),
        }
    }

    /// Checks that the episode has exactly the features of a dataset, in its dtypes and shapes.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn check(&self, info: &Info) -> Result<()> {
        let frames = self.len();
        if frames == 0 {
            return Err(Error::refused("an episode without frames cannot be stored"));
        }
        if self.task.trim().is_empty() {
            return Err(Error::refused("an episode without an instruction (`task`) cannot be stored"));
        }
        for (name, entry) in info.own_features() {
            let dtype = match entry.storage() {
                Storage::Numbers(dtype) => dtype,
                Storage::Images => DType::U8,
                Storage::Video | Storage::Other => {
                    return Err(Error::refused(format!("feature `{name}` has dtype `{}`, which this host cannot write", entry.dtype)));
                }
            };
            let tensor = self.get(name)?;
            let mut shape = vec![frames];
            shape.extend(entry.frame_shape());
            let scalar = shape[1..] == [1] && tensor.shape() == [frames];
            if tensor.dtype() != dtype || (tensor.shape() != shape && !scalar) {
                return Err(Error::refused(format!(
                    "feature `{name}` is {:?} {:?} in this episode, but the dataset says {dtype:?} {shape:?}",
                    tensor.dtype(),
                    tensor.shape()
                )));
            }
        }
        match self.columns.keys().find(|k| !info.features.contains_key(*k)) {
            Some(extra) => Err(Error::refused(format!("the episode has a feature `{extra}` that the dataset does not know"))),
            None => Ok(()),
        }
    }
}
