//! MimicGen: many demonstrations out of a few, by moving object-centric segments to where the objects are now (Mandlekar et al. 2023,
//! arXiv 2310.17596; implemented from the formulas).
//!
//! An attempt resets the scene, then for every subtask chooses a source demonstration, transfers its segment to the present pose of the
//! subtask's object, interpolates to its beginning, and steers through the poses with fresh noise. Attempts that end in success are kept.
//! The environment must give `privileged.eef_pose` `[B, 4, 4]`, `privileged.target_pose` `[B, 4, 4]`, `privileged.object_poses`
//! `[B, K, 4, 4]` and `privileged.subtask_done` `[B, S]`, and its spec must have `subtasks` and `pose_delta_scale`.

mod attempt;
pub mod pose;
mod selection;
mod source;
pub mod waypoints;

use std::path::Path;
use twinhost_plugin_api::{Env, EnvSpec, names};

use super::attempts::{self, Collection, Progress};
use super::dataset::Dataset;
use super::error::{Error, Result};
use super::schema::{FeatureEntry, Info};
use crate::recipe::SimDemos;
use attempt::Generator;
use source::SourceDemo;

/// Which source episode a generated step came from, i64 `[1]`.
pub const SOURCE_EPISODE: &str = "mimicgen.source_episode";

/// What to generate.
#[derive(Clone, Debug)]
pub struct Generation<'a> {
    /// Successful demonstrations with ground truth, recorded in an environment of the same task; the first `source_demos` are used.
    pub source: &'a Dataset,
    pub settings: &'a SimDemos,
    pub seed: u64,
    /// One of the environment's variants; empty for the first.
    pub variant: &'a str,
    pub robot_type: &'a str,
    /// Also store failed attempts, as a dataset of their own in the subfolder `failures`.
    pub keep_failures: bool,
}

/// Generates demonstrations into the empty `folder`, in the order of their attempts, so that they do not depend on the number of environments.
///
/// # Errors
/// If no source demonstration can be used (the message says why), the environment lacks what is needed, too many attempts fail, a
/// component fails, writing fails, or `progress` returns an error.
pub fn generate(
    folder: &Path,
    env: &mut dyn Env,
    request: &Generation<'_>,
    progress: &mut dyn FnMut(&Progress) -> Result<()>,
) -> Result<Progress> {
    let spec = env.spec();
    check_environment(&spec)?;
    let settings = request.settings;
    let demos = sources(request.source, &spec, settings)?;
    let mut info = Info::of_env(&spec, request.robot_type, true)?;
    info.features.insert(SOURCE_EPISODE.into(), FeatureEntry::new("int64", &[1], &[]));
    let collection = Collection {
        info,
        episodes: settings.episodes,
        max_attempts: (settings.attempts_per_episode as u64).saturating_mul(settings.episodes as u64),
        seed: request.seed,
        variant: request.variant.into(),
        keep_failures: request.keep_failures,
    };
    let mut generator = Generator::new(&spec, settings, &demos, request.seed);
    attempts::collect_into(folder, env, &mut generator, &collection, progress).map_err(|e| match e {
        Error::TooFewSuccesses(message) => Error::TooFewSuccesses(format!(
            "MimicGen: {message}; lower action_noise, raise attempts_per_episode, record more varied source demonstrations, or choose them by \
             another strategy"
        )),
        other => other,
    })
}

fn check_environment(spec: &EnvSpec) -> Result<()> {
    if spec.subtasks.is_empty() || spec.pose_delta_scale.is_none() {
        return Err(Error::refused(
            "MimicGen needs an environment with subtasks and pose-delta actions, and this one declares none of them; record expert demonstrations instead",
        ));
    }
    let needed = [source::EEF_POSE, source::TARGET_POSE, source::OBJECT_POSES, source::SUBTASK_DONE];
    match needed.iter().find(|n| spec.privileged.iter().all(|f| f.name != **n)) {
        Some(missing) => Err(Error::refused(format!("MimicGen needs `{missing}`, which the environment does not offer"))),
        None => Ok(()),
    }
}

/// The usable ones of the first `source_demos` demonstrations.
fn sources(dataset: &Dataset, spec: &EnvSpec, settings: &SimDemos) -> Result<Vec<SourceDemo>> {
    let mut wanted = vec![source::EEF_POSE, source::TARGET_POSE, source::OBJECT_POSES, source::SUBTASK_DONE, names::ACTION];
    wanted.extend(dataset.readable_features().into_iter().filter(|n| *n == names::SUCCESS));
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for entry in dataset.episodes().iter().take(settings.source_demos) {
        let episode = dataset.episode_with(entry.index, &wanted)?;
        if episode.success() == Some(false) {
            refused.push(format!("demonstration {} did not succeed", entry.index));
            continue;
        }
        match SourceDemo::new(entry.index, &episode, spec, settings.offset_range) {
            Ok(demo) => usable.push(demo),
            Err(Error::Refused(why)) => refused.push(why),
            Err(other) => return Err(other),
        }
    }
    if !refused.is_empty() {
        tracing::warn!("MimicGen uses {} of {} source demonstrations: {}", usable.len(), usable.len() + refused.len(), refused.join("; "));
    }
    if usable.is_empty() {
        let why = if refused.is_empty() { "it is empty".to_string() } else { refused[..refused.len().min(3)].join("; ") };
        return Err(Error::refused(format!("no episode of {} can be a source for MimicGen: {why}", dataset.root().display())));
    }
    Ok(usable)
}
