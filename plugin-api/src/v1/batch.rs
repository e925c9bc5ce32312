//! An ordered map from feature names to tensors and texts, the unit of exchange between host and plugins.
//!
//! Names are LeRobot's: `observation.state`, `observation.images.<camera>`, `task`, `action`, `next.reward`, `next.success`, ...

use abi_stable::StableAbi;
use abi_stable::std_types::{RString, RVec, Tuple2};

use super::error::{Error, Result};
use super::tensor::Tensor;

/// Feature names shared by host and plugins.
pub mod names {
    /// Proprioception, f32 `[B, S]`.
    pub const STATE: &str = "observation.state";
    /// Prefix of camera images, u8 `[B, H, W, 3]`.
    pub const IMAGES: &str = "observation.images.";
    /// Natural-language instruction, one text per row.
    pub const TASK: &str = "task";
    /// Action chunk, f32 `[B, C, A]`, physical or normalised to [-1, 1] as the environment's spec says.
    pub const ACTION: &str = "action";
    /// Log-probability of every action dimension under the behaviour policy, f32 `[B, C, A]`.
    pub const LOG_PROB: &str = "action.log_prob";
    /// Discrete action tokens, i64 `[B, C, A]`.
    pub const ACTION_TOKENS: &str = "action.tokens";
    /// State value, f32 `[B, 1]`.
    pub const VALUE: &str = "value";
    /// f32 `[B, C]`.
    pub const REWARD: &str = "next.reward";
    /// Reached a terminal state (no bootstrap), bool `[B, C]`.
    pub const TERMINATED: &str = "next.terminated";
    /// Cut by the time limit (bootstraps), bool `[B, C]`.
    pub const TRUNCATED: &str = "next.truncated";
    /// terminated or truncated, bool `[B, C]`.
    pub const DONE: &str = "next.done";
    /// The task predicate held at some step of the episode that contains this row, bool `[B]`.
    pub const SUCCESS: &str = "next.success";
    /// Version of the weights that chose the action, i64 `[B]`.
    pub const WEIGHTS_VERSION: &str = "weights_version";
    /// A human was in control, bool `[B]`.
    pub const IS_INTERVENTION: &str = "is_intervention";
    /// Prefix of the last observation of every episode that ended in this step.
    pub const FINAL: &str = "final.";
    /// Prefix of numbers that a reward component shows beside the run's curves, f32 `[1]`.
    pub const METRICS: &str = "metrics.";
    /// Prefix of simulator-only ground truth, used by scripted experts and data generation, never by policies.
    pub const PRIVILEGED: &str = "privileged.";
}

#[repr(C)]
#[derive(StableAbi, Default, Debug)]
pub struct Batch {
    tensors: RVec<Tuple2<RString, Tensor>>,
    texts: RVec<Tuple2<RString, RVec<RString>>>,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a feature.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        let name = name.into();
        match self.tensors.iter_mut().find(|t| t.0 == name) {
            Some(slot) => slot.1 = tensor,
            None => self.tensors.push(Tuple2(name.into(), tensor)),
        }
    }

    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.insert(name, tensor);
        self
    }

    pub fn insert_text(&mut self, name: impl Into<String>, texts: Vec<String>) {
        let name = name.into();
        let texts: RVec<RString> = texts.into_iter().map(RString::from).collect();
        match self.texts.iter_mut().find(|t| t.0 == name) {
            Some(slot) => slot.1 = texts,
            None => self.texts.push(Tuple2(name.into(), texts)),
        }
    }

    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|t| t.0 == name).map(|t| &t.1)
    }

    /// # Errors
    /// If there is no such feature; the message lists those there are.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.find(name).ok_or_else(|| Error::input(format!("no feature `{name}` in the batch (it has: {})", self.list())))
    }

    /// # Errors
    /// As [`Batch::get`].
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Tensor> {
        let list = self.list();
        self.tensors
            .iter_mut()
            .find(|t| t.0 == name)
            .map(|t| &mut t.1)
            .ok_or_else(|| Error::input(format!("no feature `{name}` in the batch (it has: {list})")))
    }

    /// # Errors
    /// If there is no such feature or its dtype is not `T`.
    pub fn slice<T: super::tensor::Element>(&self, name: &str) -> Result<&[T]> {
        self.get(name)?.as_slice().map_err(|e| e.context(format!("feature `{name}`")))
    }

    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        let at = self.tensors.iter().position(|t| t.0 == name)?;
        Some(self.tensors.remove(at).1)
    }

    /// # Errors
    /// If there is no such text feature.
    pub fn texts(&self, name: &str) -> Result<&[RString]> {
        self.texts
            .iter()
            .find(|t| t.0 == name)
            .map(|t| t.1.as_slice())
            .ok_or_else(|| Error::input(format!("no text feature `{name}` in the batch (it has: {})", self.list())))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|t| (t.0.as_str(), &t.1))
    }
    pub fn iter_texts(&self) -> impl Iterator<Item = (&str, &[RString])> {
        self.texts.iter().map(|t| (t.0.as_str(), t.1.as_slice()))
    }

    /// Length of the first axis (that of the first feature).
    pub fn rows(&self) -> usize {
        self.tensors.first().map(|t| t.1.dim(0)).or_else(|| self.texts.first().map(|t| t.1.len())).unwrap_or(0)
    }

    fn list(&self) -> String {
        let mut names: Vec<&str> = self.tensors.iter().map(|t| t.0.as_str()).chain(self.texts.iter().map(|t| t.0.as_str())).collect();
        names.sort_unstable();
        if names.is_empty() { "nothing".into() } else { names.join(", ") }
    }

    /// The given rows of every feature, copied.
    ///
    /// # Errors
    /// If an index is out of range for a feature.
    pub fn gather_rows(&self, rows: &[usize]) -> Result<Self> {
        let mut out = Self::new();
        for (name, tensor) in self.iter() {
            out.insert(name, tensor.gather_rows(rows).map_err(|e| e.context(format!("feature `{name}`")))?);
        }
        for (name, texts) in self.iter_texts() {
            let picked = rows.iter().map(|&r| {
                texts
                    .get(r)
                    .map(|t| t.to_string())
                    .ok_or_else(|| Error::input(format!("feature `{name}`: row {r} is out of range ({} rows)", texts.len())))
            });
            out.insert_text(name, picked.collect::<Result<_>>()?);
        }
        Ok(out)
    }

    /// Joins batches with the same features along the first axis.
    ///
    /// # Errors
    /// If a feature is missing in one of them or shapes differ.
    pub fn concat_rows(parts: &[&Batch]) -> Result<Self> {
        let first = parts.first().ok_or_else(|| Error::input("nothing to concatenate"))?;
        let mut out = Self::new();
        for (name, _) in first.iter() {
            let tensors: Vec<&Tensor> = parts.iter().map(|p| p.get(name)).collect::<Result<_>>()?;
            out.insert(name, Tensor::concat_rows(&tensors).map_err(|e| e.context(format!("feature `{name}`")))?);
        }
        for (name, _) in first.iter_texts() {
            let mut joined = Vec::new();
            for part in parts {
                joined.extend(part.texts(name)?.iter().map(|t| t.to_string()));
            }
            out.insert_text(name, joined);
        }
        Ok(out)
    }

    /// # Errors
    /// As [`Tensor::try_clone`].
    pub fn try_clone(&self) -> Result<Self> {
        let mut out = Self::new();
        for (name, tensor) in self.iter() {
            out.insert(name, tensor.try_clone()?);
        }
        for (name, texts) in self.iter_texts() {
            out.insert_text(name, texts.iter().map(|t| t.to_string()).collect());
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_travel_together() {
        let mut b = Batch::new().with("x", Tensor::from_vec(vec![1f32, 2.0, 3.0], &[3, 1]));
        b.insert_text("task", vec!["a".into(), "b".into(), "c".into()]);
        let g = b.gather_rows(&[2, 1]).unwrap();
        assert_eq!(g.slice::<f32>("x").unwrap(), [3.0, 2.0]);
        assert_eq!(g.texts("task").unwrap()[0].as_str(), "c");
        let j = Batch::concat_rows(&[&g, &b]).unwrap();
        assert_eq!(j.rows(), 5);
        assert_eq!(j.texts("task").unwrap().len(), 5);
    }

    #[test]
    fn a_missing_feature_is_named_with_those_present() {
        let b = Batch::new().with("observation.state", Tensor::zeros::<f32>(&[1, 7]));
        let e = b.get("action").unwrap_err().to_string();
        assert!(e.contains("`action`") && e.contains("observation.state"), "{e}");
    }
}
