//! `eval/ARM.json` and `demonstrations.json`: what an arm achieved, episode by episode, and what data it learned from.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use twinhost_plugin_api::EnvKind;

use super::error::{Error, Result};
use super::run_dir::{RunLayout, read_json, write_json};
use super::statistics::{PairedDifference, Proportion, Spread};

/// All evaluation episodes of one arm. Arms are evaluated on the same seeds, so their episodes can be paired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalResult {
    pub arm: String,
    /// Seed of the training run.
    pub seed: u64,
    /// SHA-256 (hex) of the evaluated weights, may be empty.
    #[serde(default)]
    pub weights_digest: String,
    pub groups: Vec<EvalGroup>,
}

/// The episodes of one environment in one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalGroup {
    /// Name in the recipe, e.g. `real_twin`.
    pub env: String,
    pub kind: EnvKind,
    /// Task, e.g. `pick_place`; may be empty if the recipe has one task only.
    #[serde(default)]
    pub task: String,
    /// `ResetRequest::variant`; the environment's first variant is the training distribution.
    pub variant: String,
    pub in_distribution: bool,
    pub episodes: Vec<EvalEpisode>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalEpisode {
    /// Seed of the episode's reset; the same for every arm.
    pub seed: u64,
    pub success: bool,
    /// Sum of rewards.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// Control steps.
    pub length: u64,
    /// The instruction, may be empty.
    #[serde(default)]
    pub instruction: String,
    /// Animation of the episode, relative to the run folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub film: Option<PathBuf>,
}

impl EvalGroup {
    /// What identifies the group across arms and runs.
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.env, &self.task, &self.variant)
    }

    pub fn success(&self) -> Proportion {
        Proportion::wilson(self.episodes.iter().filter(|e| e.success).count() as u64, self.episodes.len() as u64)
    }

    pub fn mean_return(&self) -> Option<f64> {
        Spread::of(&self.episodes.iter().map(|e| e.episode_return).collect::<Vec<_>>()).map(|s| s.mean)
    }

    /// Mean length of the successful episodes, control steps.
    pub fn mean_success_length(&self) -> Option<f64> {
        Spread::of(&self.episodes.iter().filter(|e| e.success).map(|e| e.length as f64).collect::<Vec<_>>()).map(|s| s.mean)
    }

    /// (this arm's success, the other's) for every episode seed both have.
    pub fn pairs(&self, other: &Self) -> Vec<(bool, bool)> {
        let theirs: BTreeMap<u64, bool> = other.episodes.iter().map(|e| (e.seed, e.success)).collect();
        self.episodes.iter().filter_map(|e| Some((e.success, *theirs.get(&e.seed)?))).collect()
    }

    /// This arm minus the other; `None` if they share no episode seed.
    pub fn minus(&self, other: &Self) -> Option<PairedDifference> {
        PairedDifference::of(&self.pairs(other))
    }
}

impl EvalResult {
    pub fn group(&self, key: (&str, &str, &str)) -> Option<&EvalGroup> {
        self.groups.iter().find(|g| g.key() == key)
    }

    /// Writes `eval/ARM.json`.
    ///
    /// # Errors
    /// If the arm's name cannot be a file name, or writing fails.
    pub fn write(&self, layout: &RunLayout) -> Result<PathBuf> {
        if self.arm.is_empty() || self.arm.starts_with('.') || self.arm.contains(['/', '\\', '\0']) {
            return Err(Error::Refused(format!("arm `{}` cannot name a file; use letters, digits, `_` and `-`", self.arm)));
        }
        let path = layout.eval().join(format!("{}.json", self.arm));
        write_json(&path, self)?;
        Ok(path)
    }

    /// Every `eval/*.json`, by arm name.
    ///
    /// # Errors
    /// If a file is damaged.
    pub fn read_all(layout: &RunLayout) -> Result<Vec<Self>> {
        let folder = layout.eval();
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
            let path = entry.map_err(Error::io("read", &folder))?.path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if path.extension().is_some_and(|e| e == "json") && !hidden {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|p| read_json(p)).collect()
    }
}

/// One set of demonstrations a run used (`demonstrations.json` holds a list of them).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemonstrationSet {
    /// Name in the recipe, e.g. `real`.
    pub name: String,
    pub source: DemonstrationSource,
    pub env: String,
    pub kind: EnvKind,
    pub episodes: u64,
    pub transitions: u64,
    /// Attempts made to get `episodes` successes; `episodes / attempts` is the generation success rate.
    pub attempts: u64,
    /// Taken from the cache because recipe and seed match.
    #[serde(default)]
    pub reused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemonstrationSource {
    /// A scripted expert with human-like variation.
    Planner,
    /// MimicGen: segments of source demonstrations, transformed to new object poses.
    Mimicgen,
    /// A person.
    Teleop,
}

impl DemonstrationSet {
    /// # Errors
    /// As [`super::durable::write_file`].
    pub fn write_all(sets: &[Self], layout: &RunLayout) -> Result<()> {
        write_json(&layout.demonstrations(), &sets)
    }

    /// Empty if the run has not come so far.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn read_all(layout: &RunLayout) -> Result<Vec<Self>> {
        let path = layout.demonstrations();
        if path.is_file() { read_json(&path) } else { Ok(Vec::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(outcomes: &[(u64, bool)]) -> EvalGroup {
        let episode = |&(seed, success)| EvalEpisode {
            seed,
            success,
            episode_return: if success { 1.0 } else { 0.25 },
            length: 10 * (seed + 1),
            instruction: String::new(),
            film: None,
        };
        EvalGroup {
            env: "real_twin".into(),
            kind: EnvKind::StandIn,
            task: "pick_place".into(),
            variant: "train".into(),
            in_distribution: true,
            episodes: outcomes.iter().map(episode).collect(),
        }
    }

    #[test]
    fn summaries_follow_from_the_episodes() {
        let g = group(&[(0, true), (1, false), (2, true), (3, true)]);
        assert_eq!((g.success().successes, g.success().trials), (3, 4));
        assert_eq!(g.mean_return(), Some((3.0 + 0.25) / 4.0));
        assert_eq!(g.mean_success_length(), Some((10.0 + 30.0 + 40.0) / 3.0));
        assert_eq!(group(&[(0, false)]).mean_success_length(), None);
    }

    #[test]
    fn arms_are_paired_by_episode_seed() {
        let a = group(&[(0, true), (1, true), (2, false), (9, true)]);
        let b = group(&[(2, true), (1, false), (0, true)]);
        let d = a.minus(&b).unwrap();
        assert_eq!((d.pairs, d.only_a, d.only_b), (3, 1, 1));
    }

    #[test]
    fn results_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(dir.path());
        fs::create_dir(layout.eval()).unwrap();
        let result = |arm: &str| EvalResult { arm: arm.into(), seed: 1, weights_digest: String::new(), groups: vec![group(&[(0, true)])] };
        result("sft_real").write(&layout).unwrap();
        result("rlco").write(&layout).unwrap();
        assert_eq!(EvalResult::read_all(&layout).unwrap(), [result("rlco"), result("sft_real")]);
        assert!(result("../rlco").write(&layout).unwrap_err().to_string().contains("`../rlco`"));
        fs::write(layout.eval().join("rlco.json"), "{\"arm\":3}").unwrap();
        let error = EvalResult::read_all(&layout).unwrap_err().to_string();
        assert!(error.contains("rlco.json, line 1"), "{error}");
    }
}
