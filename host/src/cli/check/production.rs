//! The loader's plugins, asked what a check wants to know.

use twinhost_plugin_api::{AlgorithmSpec, EnvSpec, Error, PolicySpec, RewardSpec};

use super::{Components, trial};
use crate::loader::{Kind, Loader, Terms, host_services};
use crate::recipe::Isolation;
use crate::recipe::lock::LockedPlugin;

/// What a policy is told of the environment, if there is one that could be created.
fn told(loader: &Loader, env: Option<&EnvSpec>) -> Terms {
    env.map_or_else(|| loader.terms(), |env| loader.terms_in(env))
}

impl Components for Loader {
    fn plugin(&self, kind: Kind, component: &str) -> Result<LockedPlugin, String> {
        let (bundle, _) = self.catalog.find(kind, component)?;
        Ok(LockedPlugin {
            name: bundle.manifest.name.clone(),
            version: bundle.manifest.version.clone(),
            sha256: bundle.source_sha256.as_ref().unwrap_or(&bundle.sha256).clone(),
            abi: bundle.stamp.clone(),
        })
    }
    fn env(&self, component: &str, config: &str, isolation: Isolation) -> Result<EnvSpec, Error> {
        use twinhost_plugin_api::Env as _;
        self.placed_env(isolation, component, config, host_services(1, 0)).map(|env| env.spec())
    }
    fn policy(&self, component: &str, config: &str, isolation: Isolation, env: Option<&EnvSpec>) -> Result<PolicySpec, Error> {
        use twinhost_plugin_api::Policy as _;
        self.placed_policy(isolation, component, config, host_services(1, 0), &told(self, env)).map(|policy| policy.spec())
    }
    fn trial(&self, component: &str, config: &str, isolation: Isolation, env: Option<&EnvSpec>, shown: &EnvSpec) -> Result<(), Error> {
        trial::act_once(&mut self.placed_policy(isolation, component, config, host_services(1, 0), &told(self, env))?, shown)
    }
    fn algorithm(&self, component: &str, config: &str, policy: (&str, &str)) -> Result<AlgorithmSpec, Error> {
        use twinhost_plugin_api::{Algorithm as _, Policy as _};
        let fixed = || Error::input("the policy of this recipe cannot be trained: it has no differentiable side");
        if self.catalog.find(Kind::Policy, policy.0).is_ok_and(|(bundle, _)| bundle.sandboxed) {
            return Err(fixed());
        }
        let mut policy = Loader::policy(self, policy.0, policy.1, host_services(1, 0), &self.terms())?;
        let differentiable = policy.differentiable().ok_or_else(fixed)?;
        Loader::algorithm(self, component, config, host_services(1, 0), differentiable).map(|algorithm| algorithm.spec())
    }
    fn reward(&self, component: &str, config: &str, isolation: Isolation, terms: &Terms) -> Result<RewardSpec, Error> {
        use twinhost_plugin_api::Reward as _;
        let reward = self.placed_reward(isolation, component, config, host_services(1, 0), terms);
        reward.map(|reward| reward.spec())
    }
    fn filter(&self, component: &str, config: &str, terms: &Terms) -> Result<Vec<String>, Error> {
        Loader::filter(self, component, config, host_services(1, 0), terms).map(|filter| filter.needs().to_vec())
    }
}
