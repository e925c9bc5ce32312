//! Creates a component where a recipe wants it: here, or in a process of its own.

use twinhost_plugin_api::{HostServices, Result};

use super::handles::{EnvHandle, PolicyHandle, RewardHandle};
use super::native::Loader;
use super::sandboxed::Terms;
use crate::recipe::Isolation;

impl Loader {
    /// # Errors
    /// As [`Loader::env`] and [`Loader::isolated_env`].
    pub fn placed_env(&self, place: Isolation, reference: &str, config: &str, services: HostServices) -> Result<EnvHandle> {
        match place {
            Isolation::InProcess => self.env(reference, config, services),
            Isolation::Process => self.isolated_env(reference, config, services),
        }
    }

    /// # Errors
    /// As [`Loader::env`] and [`Loader::isolated_env`].
    pub fn placed_policy(
        &self,
        place: Isolation,
        reference: &str,
        config: &str,
        services: HostServices,
        terms: &Terms,
    ) -> Result<PolicyHandle> {
        match place {
            Isolation::InProcess => self.policy(reference, config, services, terms),
            Isolation::Process => self.isolated_policy(reference, config, services),
        }
    }

    /// # Errors
    /// As [`Loader::env`] and [`Loader::isolated_env`].
    pub fn placed_reward(
        &self,
        place: Isolation,
        reference: &str,
        config: &str,
        services: HostServices,
        terms: &Terms,
    ) -> Result<RewardHandle> {
        match place {
            Isolation::InProcess => self.reward(reference, config, services, terms),
            Isolation::Process => self.isolated_reward(reference, config, services),
        }
    }
}
