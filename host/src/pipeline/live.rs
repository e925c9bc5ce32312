//! Components that a recipe names by their files: building them, and taking up changes of a reward's source while a simulation runs.

use std::path::Path;
use twinhost_plugin_api::{EnvKind, EnvSpec};

use super::session::create_reward;
use super::{Error, Result};
use crate::authoring;
use crate::loader::{Kind, Loader};
use crate::recipe::{LoadedRecipe, Rl};
use crate::rollout::Scoring;

/// Builds the component in `file` and makes it known by `reference`. One that cannot be built is told where it is asked for.
pub fn add_file(loader: &mut Loader, kind: Kind, reference: &str, file: &Path) {
    let built = authoring::component_file(kind, file).and_then(|path| Ok((path, authoring::source_hash(kind, file)?)));
    loader.catalog.add_file(kind, reference, built.map_err(|e| e.to_string()));
}

/// A reward whose source is watched.
struct Watched {
    /// Its place among the stage's rewards.
    index: usize,
    /// Hash of the sources that were last looked at.
    seen: String,
}

/// The rewards of a stage that are marked `live`.
pub struct LiveRewards(Vec<Watched>);

impl LiveRewards {
    /// # Errors
    /// If the environment is not simulated (what moves a robot is not exchanged while it moves), or the component is a library.
    pub fn of(stage: &Rl, spec: &EnvSpec) -> Result<Self> {
        let watch = |index: usize| {
            let refuse = |reason: String| Error::Unfit(format!("stages.rl.rewards[{index}].live: {reason}; leave `live` out"));
            if spec.kind == EnvKind::Real {
                return Err(refuse(format!("environment `{}` is real, and a reward is exchanged in simulation only", stage.env)));
            }
            match hash(stage, index).map_err(|e| refuse(e.to_string()))? {
                Some(seen) => Ok(Watched { index, seen }),
                None => Err(refuse("a native library cannot be exchanged while the host runs".to_owned())),
            }
        };
        (0..stage.rewards.len()).filter(|&i| stage.rewards[i].live).map(watch).collect::<Result<_>>().map(Self)
    }

    /// Builds and exchanges every reward whose source has changed. What does not build, or does not accept its configuration, is told once; the
    /// former component stays.
    pub fn take_up(&mut self, loader: &mut Loader, recipe: &LoadedRecipe, stage: &Rl, spec: &EnvSpec, scoring: &mut Scoring) {
        for watched in &mut self.0 {
            let reward = &stage.rewards[watched.index];
            // An editor that replaces a file leaves none for a moment.
            let (Ok(Some(now)), Some(file)) = (hash(stage, watched.index), reward.component.file()) else { continue };
            if watched.seen == now {
                continue;
            }
            watched.seen = now;
            add_file(loader, Kind::Reward, &reward.component, file);
            let (name, file) = (reward.component.short(), file.display());
            match create_reward(loader, recipe, watched.index, reward, spec) {
                Ok(component) => {
                    scoring.replace(watched.index, component);
                    tracing::info!("reward `{name}`: {file} has changed and is in use from now on");
                }
                Err(e) => tracing::warn!("reward `{name}`: {file} has changed, but the former one stays: {e}"),
            }
        }
    }
}

fn hash(stage: &Rl, index: usize) -> authoring::Result<Option<String>> {
    authoring::source_hash(Kind::Reward, stage.rewards[index].component.file().unwrap_or(Path::new("")))
}
