//! What components said: creating one can take seconds, and the arms of a recipe mostly share them.

use std::cell::RefCell;
use std::collections::HashMap;
use twinhost_plugin_api::{AlgorithmSpec, EnvSpec, Error, PolicySpec, RewardSpec};

use super::Components;
use crate::loader::{Kind, Terms};
use crate::recipe::Isolation;
use crate::recipe::lock::LockedPlugin;

/// Answers by what was asked.
type Answers<T> = RefCell<HashMap<String, Result<T, Error>>>;

/// Remembers what components said: creating one can take seconds, and the arms of a recipe mostly share them.
pub struct Memory<'a> {
    components: &'a dyn Components,
    envs: Answers<EnvSpec>,
    policies: Answers<PolicySpec>,
    trials: Answers<()>,
    algorithms: Answers<AlgorithmSpec>,
}

impl<'a> Memory<'a> {
    pub fn of(components: &'a dyn Components) -> Self {
        Self {
            components,
            envs: RefCell::default(),
            policies: RefCell::default(),
            trials: RefCell::default(),
            algorithms: RefCell::default(),
        }
    }
}

fn remember<T: Clone>(answers: &Answers<T>, question: &[&str], ask: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    answers.borrow_mut().entry(question.join("\n")).or_insert_with(ask).clone()
}

impl Components for Memory<'_> {
    fn plugin(&self, kind: Kind, component: &str) -> Result<LockedPlugin, String> {
        self.components.plugin(kind, component)
    }
    fn env(&self, component: &str, config: &str, isolation: Isolation) -> Result<EnvSpec, Error> {
        let place = format!("{isolation:?}");
        remember(&self.envs, &[component, config, &place], || self.components.env(component, config, isolation))
    }
    fn policy(&self, component: &str, config: &str, isolation: Isolation, env: Option<&EnvSpec>) -> Result<PolicySpec, Error> {
        let question = [component, config, &format!("{isolation:?} {env:?}")];
        remember(&self.policies, &question, || self.components.policy(component, config, isolation, env))
    }
    fn trial(&self, component: &str, config: &str, isolation: Isolation, told: Option<&EnvSpec>, env: &EnvSpec) -> Result<(), Error> {
        let question = [component, config, &format!("{isolation:?} {told:?} {:?}", env.observation)];
        remember(&self.trials, &question, || self.components.trial(component, config, isolation, told, env))
    }
    fn algorithm(&self, component: &str, config: &str, policy: (&str, &str)) -> Result<AlgorithmSpec, Error> {
        remember(&self.algorithms, &[component, config, policy.0, policy.1], || self.components.algorithm(component, config, policy))
    }
    fn reward(&self, component: &str, config: &str, isolation: Isolation, terms: &Terms) -> Result<RewardSpec, Error> {
        self.components.reward(component, config, isolation, terms)
    }
    fn filter(&self, component: &str, config: &str, terms: &Terms) -> Result<Vec<String>, Error> {
        self.components.filter(component, config, terms)
    }
}
