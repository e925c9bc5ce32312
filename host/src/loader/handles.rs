//! Components behind the boundary, as plain traits. Each handle puts its component's name in front of every error.

use abi_stable::std_types::{ROption, RResult, RString, RVec};
use serde::de::DeserializeOwned;
use std::path::Path;
use twinhost_plugin_api::v1::algorithm::AlgorithmBox;
use twinhost_plugin_api::v1::env::EnvBox;
use twinhost_plugin_api::v1::policy::{DifferentiableBox, PolicyBox};
use twinhost_plugin_api::v1::reward::RewardBox;
use twinhost_plugin_api::{
    ActRequest, Algorithm, AlgorithmSpec, Anchor, Batch, DatasetStatistics, Env, EnvSpec, Error, Metrics, Policy, PolicySpec, ResetRequest,
    Result, Reward, RewardSpec, Tensor, UpdateRequest,
};

use super::manifest::Kind;

/// A component behind the boundary: its name, its end of the interface, and what it says of itself.
pub struct Handle<B, S> {
    name: String,
    inner: B,
    spec: S,
}

pub type EnvHandle = Handle<EnvBox, EnvSpec>;
pub type PolicyHandle = Handle<PolicyBox, PolicySpec>;
pub type AlgorithmHandle = Handle<AlgorithmBox, AlgorithmSpec>;
pub type RewardHandle = Handle<RewardBox, RewardSpec>;

impl<B, S: DeserializeOwned> Handle<B, S> {
    pub(super) fn new(kind: Kind, name: &str, inner: B, describe: impl FnOnce(&B) -> RResult<RString, Error>) -> Result<Self> {
        let name = format!("{kind} `{name}`");
        let json = describe(&inner).into_result()?;
        let spec = serde_json::from_str(&json)
            .map_err(|e| Error::internal(format!("{name} describes itself in a way this host does not understand: {e}")))?;
        Ok(Self { name, inner, spec })
    }
}

impl<B, S> Handle<B, S> {
    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| e.context(&self.name))
    }
}

fn folder(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::io(format!("the path {} is not UTF-8", path.display())))
}

impl Env for EnvHandle {
    fn spec(&self) -> EnvSpec {
        self.spec.clone()
    }
    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        let result = self.inner.reset(request).into_result();
        self.named(result)
    }
    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        let result = self.inner.step(actions).into_result();
        self.named(result)
    }
    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        let result = self.inner.render(env, camera.into(), width, height).into_result();
        self.named(result)
    }
    fn save_state(&mut self) -> Result<Vec<u8>> {
        let result = self.inner.save_state().into_result().map(RVec::into_vec);
        self.named(result)
    }
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let result = self.inner.load_state(state.into()).into_result();
        self.named(result)
    }
}

impl Policy for PolicyHandle {
    fn spec(&self) -> PolicySpec {
        self.spec.clone()
    }
    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        let result = self.inner.reset(&rows.to_vec().into(), &seeds.to_vec().into()).into_result();
        self.named(result)
    }
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        let result = self.inner.act(observation, request).into_result();
        self.named(result)
    }
    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        let json = serde_json::to_string(statistics).map_err(|e| Error::internal(e.to_string()))?;
        let result = self.inner.set_statistics(json.as_str().into()).into_result();
        self.named(result)
    }
    fn save(&mut self, to: &Path) -> Result<()> {
        let result = self.inner.save(folder(to)?.into()).into_result();
        self.named(result)
    }
    fn load(&mut self, from: &Path) -> Result<()> {
        let result = self.inner.load(folder(from)?.into()).into_result();
        self.named(result)
    }
    fn digest(&mut self) -> Result<String> {
        let result = self.inner.digest().into_result().map(Into::into);
        self.named(result)
    }
    fn differentiable(&mut self) -> Option<DifferentiableBox> {
        self.inner.differentiable().into_result().ok().and_then(ROption::into_option)
    }
}

impl Algorithm for AlgorithmHandle {
    fn spec(&self) -> AlgorithmSpec {
        self.spec.clone()
    }
    fn update(&mut self, data: &Batch, anchor: Option<&mut Anchor>, request: &UpdateRequest) -> Result<Metrics> {
        let result = self.inner.update(data, anchor.into(), request).into_result();
        self.named(result.map(|metrics| metrics.into_iter().map(|m| (m.0.into(), m.1)).collect()))
    }
    fn save(&mut self, to: &Path) -> Result<()> {
        let result = self.inner.save(folder(to)?.into()).into_result();
        self.named(result)
    }
    fn load(&mut self, from: &Path) -> Result<()> {
        let result = self.inner.load(folder(from)?.into()).into_result();
        self.named(result)
    }
}

impl Reward for RewardHandle {
    fn spec(&self) -> RewardSpec {
        self.spec.clone()
    }
    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        let result = self.inner.reset(&rows.to_vec().into()).into_result();
        self.named(result)
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let result = self.inner.score(transition).into_result();
        self.named(result)
    }
}
