//! What a run resumes from: published checkpoints, and a state file that says which of them count.
//!
//! A stage is identified by a key over everything that determines its result (recipe fields, seed, plugin hashes, the key of the
//! stage before). Arms that share a stage share its checkpoint. A checkpoint folder is published atomically first, the state file
//! that refers to it second; a crash in between leaves an unused folder, never a half-written one in use.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use twinhost_plugin_api::{Algorithm, Policy};

use super::{Error, Result};
use crate::observe::durable::FolderPublication;
use crate::observe::{MetricSink, RunDir, RunLayout};

/// `state.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunState {
    /// Metric records that belong to the state.
    pub global_step: u64,
    /// Stages begun or finished, by key.
    pub stages: BTreeMap<String, StageState>,
    /// Arms that are complete, each with the key of the stage its final weights come from (none: the initial weights).
    pub finished: BTreeMap<String, Option<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageState {
    /// `sft` or `rl`.
    pub stage: String,
    /// Optimiser steps or iterations done.
    pub step: u64,
    pub finished: bool,
    /// Digest of the weights at that step.
    pub weights_sha256: String,
}

/// Key of a stage: a hash over everything that determines its result.
pub fn stage_key(stage: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&stage).chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    format!("{stage}-{}", &hex::encode(hash.finalize())[..12])
}

/// Saves and restores stages within one run folder.
pub struct Checkpoints<'a> {
    pub run: &'a RunDir,
    pub state: &'a mut RunState,
}

/// Folder of one checkpoint; the weights are in its subfolder `policy`.
pub fn checkpoint_folder(run: &RunLayout, key: &str, step: u64) -> PathBuf {
    run.checkpoints().join(key).join(format!("step-{step:06}"))
}

impl Checkpoints<'_> {
    fn folder(&self, key: &str, step: u64) -> PathBuf {
        checkpoint_folder(self.run, key, step)
    }

    /// Folder of the newest checkpoint of a stage, and how far it got.
    pub fn latest(&self, key: &str) -> Option<(PathBuf, StageState)> {
        let state = self.state.stages.get(key)?.clone();
        Some((self.folder(key, state.step), state))
    }

    /// Publishes a checkpoint, then records it; older ones of the stage are removed last.
    ///
    /// # Errors
    /// If writing fails; what was saved before is intact.
    pub fn save(
        &mut self,
        key: &str,
        at: StagePosition<'_>,
        policy: &mut dyn Policy,
        algorithm: &mut dyn Algorithm,
        sink: &MetricSink,
    ) -> Result<()> {
        let folder = self.folder(key, at.step);
        let parent = self.run.checkpoints().join(key);
        fs::create_dir_all(&parent).map_err(|e| Error::Storage(crate::observe::Error::io("create", &parent)(e)))?;
        let publication = FolderPublication::begin(&folder)?;
        for name in ["policy", "algorithm"] {
            let path = publication.path().join(name);
            fs::create_dir_all(&path).map_err(|e| Error::Storage(crate::observe::Error::io("create", &path)(e)))?;
        }
        policy.save(&publication.path().join("policy"))?;
        algorithm.save(&publication.path().join("algorithm"))?;
        publication.commit()?;
        sink.sync()?;
        let weights_sha256 = policy.digest()?;
        self.state.global_step = sink.global_step();
        self.state.stages.insert(key.into(), StageState { stage: at.stage.into(), step: at.step, finished: at.finished, weights_sha256 });
        self.run.write_state(&*self.state)?;
        for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if entry.path() != folder {
                // Best effort: an old checkpoint that stays costs space only.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

/// Where in a stage a checkpoint is taken.
#[derive(Clone, Copy)]
pub struct StagePosition<'a> {
    pub stage: &'a str,
    pub step: u64,
    pub finished: bool,
}

#[cfg(test)]
mod tests {
    use super::stage_key;

    #[test]
    fn keys_tell_apart_what_concatenation_would_not() {
        assert_ne!(stage_key("sft", &["ab", "c"]), stage_key("sft", &["a", "bc"]));
        assert_eq!(stage_key("sft", &["ab"]), stage_key("sft", &["ab"]));
        assert!(stage_key("rl", &[]).starts_with("rl-"));
    }
}
