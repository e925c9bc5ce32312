//! Components behind the boundary, as plain traits. Each handle watches its calls, holds what comes back against the component's
//! specification, and puts component and call in front of every error.

use abi_stable::std_types::{ROption, RResult, RString, RVec};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use twinhost_plugin_api::v1::algorithm::AlgorithmBox;
use twinhost_plugin_api::v1::env::EnvBox;
use twinhost_plugin_api::v1::policy::{DifferentiableBox, PolicyBox};
use twinhost_plugin_api::v1::reward::RewardBox;
use twinhost_plugin_api::{
    ActRequest, Algorithm, AlgorithmSpec, Anchor, Batch, DatasetStatistics, Env, EnvSpec, Error, ErrorKind, Metrics, Policy, PolicySpec,
    ResetRequest, Result, Reward, RewardSpec, Tensor, UpdateRequest,
};

use super::isolation::Status;
use super::manifest::Kind;
use super::watchdog::{Call, Watch};
use twinhost_plugin_api::checks;

/// A component behind the boundary: its name, its end of the interface, and what it says of itself.
pub struct Handle<B, S> {
    name: String,
    inner: B,
    spec: S,
    watch: Watch,
    /// A panic may have left the component half changed, so it is not called again.
    panicked: bool,
    /// Of a component in a process of its own.
    elsewhere: Option<Arc<Status>>,
}

pub type EnvHandle = Handle<EnvBox, EnvSpec>;
pub type PolicyHandle = Handle<PolicyBox, PolicySpec>;
pub type AlgorithmHandle = Handle<AlgorithmBox, AlgorithmSpec>;
pub type RewardHandle = Handle<RewardBox, RewardSpec>;

impl<B, S: DeserializeOwned> Handle<B, S> {
    /// Creates the component and asks it for its specification, both under watch: calls longer than `limit` are reported.
    pub(super) fn new(
        kind: Kind,
        name: &str,
        limit: Duration,
        create: impl FnOnce() -> RResult<B, Error>,
        describe: impl FnOnce(&B) -> RResult<RString, Error>,
    ) -> Result<Self> {
        let name = format!("{kind} `{name}`");
        let watch = Watch::new(&name, limit);
        let created = watch.during(Call::Create, || create().into_result().and_then(|b| Ok((describe(&b).into_result()?, b))));
        let (json, inner) = created.map_err(|e| if e.kind == ErrorKind::Panic { e.context(Call::Create.word()) } else { e })?;
        let spec = serde_json::from_str(&json)
            .map_err(|e| Error::internal(format!("{name} describes itself in a way this host does not understand: {e}")))?;
        Ok(Self { name, inner, spec, watch, panicked: false, elsewhere: None })
    }
}

impl<B, S> Handle<B, S> {
    /// The same handle for a component in a process of its own.
    pub(super) fn elsewhere(mut self, status: Arc<Status>) -> Self {
        self.elsewhere = Some(status);
        self
    }

    /// The component's own process has ended, and a reset starts it again.
    pub fn is_down(&self) -> bool {
        self.elsewhere.as_ref().is_some_and(|status| status.down.load(Ordering::Relaxed))
    }

    /// Number of the component's own process, if it has one.
    pub fn process_id(&self) -> Option<u32> {
        self.elsewhere.as_ref().map(|status| status.process.load(Ordering::Relaxed)).filter(|process| *process != 0)
    }

    pub(super) fn spec_ref(&self) -> &S {
        &self.spec
    }

    pub(super) fn call<T>(&mut self, call: Call, run: impl FnOnce(&mut B) -> RResult<T, Error>) -> Result<T> {
        self.checked(call, run, |_, _| Ok(()))
    }

    pub(super) fn checked<T>(
        &mut self,
        call: Call,
        run: impl FnOnce(&mut B) -> RResult<T, Error>,
        check: impl FnOnce(&S, &T) -> Result<()>,
    ) -> Result<T> {
        // Whatever a driver did before, it is told to stop.
        let must_be_told = matches!(call, Call::Disable | Call::EmergencyStop | Call::Stop);
        if self.panicked && !must_be_told {
            return Err(Error::internal(format!("{}, {call}: it panicked in an earlier call and is not called any more", self.name)));
        }
        let result = self.watch.during(call, || run(&mut self.inner)).into_result();
        let result = result.and_then(|out| check(&self.spec, &out).map(|()| out));
        result.map_err(|e| {
            self.panicked |= e.kind == ErrorKind::Panic;
            e.context(format!("{}, {call}", self.name))
        })
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
        self.checked(Call::Reset, |env| env.reset(request), checks::observation)
    }
    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        self.checked(Call::Step, |env| env.step(actions), |spec, out| checks::step(spec, actions.dim(1), out))
    }
    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        self.checked(Call::Render, |e| e.render(env, camera.into(), width, height), |_, out| checks::image(width, height, out))
    }
    fn save_state(&mut self) -> Result<Vec<u8>> {
        self.call(Call::SaveState, |env| env.save_state()).map(RVec::into_vec)
    }
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.call(Call::LoadState, |env| env.load_state(state.into()))
    }
}

impl Policy for PolicyHandle {
    fn spec(&self) -> PolicySpec {
        self.spec.clone()
    }
    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        self.call(Call::Reset, |policy| policy.reset(&rows.to_vec().into(), &seeds.to_vec().into()))
    }
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        self.checked(Call::Act, |policy| policy.act(observation, request), |spec, out| checks::action(spec, observation.rows(), out))
    }
    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        let json = serde_json::to_string(statistics).map_err(|e| Error::internal(e.to_string()))?;
        self.call(Call::SetStatistics, |policy| policy.set_statistics(json.as_str().into()))
    }
    fn save(&mut self, to: &Path) -> Result<()> {
        let to = folder(to)?;
        self.call(Call::Save, |policy| policy.save(to.into()))
    }
    fn load(&mut self, from: &Path) -> Result<()> {
        let from = folder(from)?;
        self.call(Call::Load, |policy| policy.load(from.into()))
    }
    fn digest(&mut self) -> Result<String> {
        self.call(Call::Digest, |policy| policy.digest()).map(Into::into)
    }
    fn differentiable(&mut self) -> Option<DifferentiableBox> {
        self.call(Call::Differentiable, |policy| policy.differentiable()).ok().and_then(ROption::into_option)
    }
}

impl Algorithm for AlgorithmHandle {
    fn spec(&self) -> AlgorithmSpec {
        self.spec.clone()
    }
    fn update(&mut self, data: &Batch, anchor: Option<&mut Anchor>, request: &UpdateRequest) -> Result<Metrics> {
        let metrics = self.call(Call::Update, |algorithm| algorithm.update(data, anchor.into(), request))?;
        Ok(metrics.into_iter().map(|m| (m.0.into(), m.1)).collect())
    }
    fn save(&mut self, to: &Path) -> Result<()> {
        let to = folder(to)?;
        self.call(Call::Save, |algorithm| algorithm.save(to.into()))
    }
    fn load(&mut self, from: &Path) -> Result<()> {
        let from = folder(from)?;
        self.call(Call::Load, |algorithm| algorithm.load(from.into()))
    }
}

impl Reward for RewardHandle {
    fn spec(&self) -> RewardSpec {
        self.spec.clone()
    }
    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        self.call(Call::Reset, |reward| reward.reset(&rows.to_vec().into()))
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        self.checked(Call::Score, |reward| reward.score(transition), |spec, out| checks::score(spec, transition, out))
    }
}
