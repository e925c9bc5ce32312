//! The demonstration sets of a recipe: `real`, recorded from an expert, and `sim`, generated from it. What determines a set is its key, so the
//! command line and every run that asks for the same set share one.

use rand::RngCore;
use std::path::{Path, PathBuf};
use twinhost_plugin_api::{Env, EnvKind, Policy};

use super::attempts::Progress;
use super::draws::{self, Purpose};
use super::error::{Error, Result};
use super::mimicgen::{self, Generation};
use super::record::{Recording, record};
use super::store::{Ingredients, Order, Stored, folder_for, open_or_make};
use crate::loader::{Kind, Loader};
use crate::observe::DemonstrationSource;
use crate::recipe::{LoadedRecipe, RealDemos, SimDemos};

/// Raised whenever recording or generation changes what it makes of equal inputs, so that older sets are not taken for new ones.
const REVISION: u32 = 1;

/// Where sets are kept, and the plugins that would make them.
pub struct Sets<'a> {
    pub data_dir: &'a Path,
    pub recipe: &'a LoadedRecipe,
    pub loader: &'a Loader,
}

/// A set that is to be opened or made.
pub struct SetOrder<'a> {
    pub folder: PathBuf,
    order: Order<'a>,
    seed: u64,
    robot_type: String,
}

/// Called after every wave of attempts; an error stops the collection.
pub type Tell<'a> = &'a mut dyn FnMut(&Progress) -> Result<()>;

impl<'a> Sets<'a> {
    /// The recorded set; `kind` is what the environment says of itself.
    ///
    /// # Errors
    /// If the recipe has no such environment or no plugin provides a component.
    pub fn real(&self, stage: &'a RealDemos, kind: EnvKind) -> Result<SetOrder<'a>> {
        let ingredients = self.ingredients("stages.demos.real", &stage.env, &[(Kind::Policy, &stage.expert.component)])?;
        self.order("real", ingredients, DemonstrationSource::Planner, &stage.env, kind)
    }

    /// The set generated from `source`.
    ///
    /// # Errors
    /// As [`Sets::real`].
    pub fn sim(&self, stage: &'a SimDemos, kind: EnvKind, source: &Stored) -> Result<SetOrder<'a>> {
        let ingredients = self.ingredients("stages.demos.sim", &stage.env, &[])?.with("source", &source.provenance.key);
        self.order("sim", ingredients, DemonstrationSource::Mimicgen, &stage.env, kind)
    }

    fn ingredients(&self, stage: &str, env: &str, others: &[(Kind, &str)]) -> Result<Ingredients> {
        let mut ingredients = Ingredients::default().with("revision", REVISION).with("seed", self.recipe.recipe.seed);
        for part in [stage.to_string(), format!("envs.{env}")] {
            ingredients = ingredients.with(&part, self.recipe.fingerprint(&[&part]));
        }
        for (kind, component) in std::iter::once((Kind::Env, self.component(env)?)).chain(others.iter().copied()) {
            let (bundle, _) = self.loader.catalog.find(kind, component).map_err(Error::refused)?;
            ingredients = ingredients.with(&format!("plugin of {component}"), &bundle.sha256);
        }
        Ok(ingredients)
    }

    fn component(&self, env: &str) -> Result<&str> {
        let found = self.recipe.recipe.envs.get(env).ok_or_else(|| Error::refused(format!("the recipe has no environment `{env}`")))?;
        Ok(&found.component)
    }

    fn order(
        &self,
        name: &str,
        ingredients: Ingredients,
        source: DemonstrationSource,
        env: &'a str,
        kind: EnvKind,
    ) -> Result<SetOrder<'a>> {
        let purpose = if source == DemonstrationSource::Mimicgen { Purpose::Generation } else { Purpose::Recording };
        let label = match kind {
            EnvKind::Simulated => " (simulated)",
            EnvKind::StandIn => " (simulated stand-in for a real robot)",
            EnvKind::Real => "",
        };
        Ok(SetOrder {
            folder: folder_for(self.data_dir, &format!("{}-{name}", self.recipe.recipe.name), &ingredients),
            seed: draws::at(self.recipe.recipe.seed, purpose, 0, 0).next_u64(),
            robot_type: format!("{}{label}", self.component(env)?),
            order: Order { ingredients, source, env, kind },
        })
    }
}

impl SetOrder<'_> {
    /// Opens the recorded set, or records it; `expert` is created only then.
    ///
    /// # Errors
    /// As [`open_or_make`] and [`record`], or if the expert cannot be created.
    pub fn record<P: Policy, E: From<Error>>(
        &self,
        stage: &RealDemos,
        env: &mut dyn Env,
        expert: impl FnOnce() -> Result<P, E>,
        tell: Tell<'_>,
    ) -> Result<Stored, E> {
        let request = Recording {
            episodes: stage.episodes,
            attempts_per_episode: stage.attempts_per_episode,
            seed: self.seed,
            variant: "",
            robot_type: &self.robot_type,
        };
        open_or_make(&self.folder, &self.order, |folder| Ok(record(folder, env, &mut expert()?, &request, tell)?))
    }

    /// Opens the generated set, or generates it.
    ///
    /// # Errors
    /// As [`open_or_make`] and [`mimicgen::generate`].
    pub fn generate(&self, stage: &SimDemos, env: &mut dyn Env, source: &Stored, keep_failures: bool, tell: Tell<'_>) -> Result<Stored> {
        let request = Generation {
            source: &source.dataset,
            settings: stage,
            seed: self.seed,
            variant: "",
            robot_type: &self.robot_type,
            keep_failures,
        };
        open_or_make(&self.folder, &self.order, |folder| mimicgen::generate(folder, env, &request, tell))
    }
}
