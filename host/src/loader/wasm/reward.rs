//! The world `reward` behind the trait [`Reward`].

use twinhost_plugin_api::{Batch, Error, Result, Reward, RewardSpec, Tensor, names};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::reward as world;
use super::exchange::{Outgoing, floats, own_error, size, sizes, truths};
use super::program::Program;
use super::sandbox::{Allowance, Bounds, Sandbox, Setup, World};
use super::{described, is_metric_name};

/// A sandboxed reward.
pub struct GuestReward {
    sandbox: Sandbox<world::Reward>,
    spec: RewardSpec,
}

impl World for world::Reward {
    fn instantiate(store: &mut Store<Allowance>, component: &Component, linker: &Linker<Allowance>) -> wasmtime::Result<Self> {
        Self::instantiate(store, component, linker)
    }
    fn configure(&self, store: &mut Store<Allowance>, setup: &Setup) -> wasmtime::Result<Result<String>> {
        let answer = self.twinhost_plugin_scoring().call_configure(store, &setup.config, &setup.environment, setup.seed)?;
        Ok(answer.map_err(own_error))
    }
}

impl GuestReward {
    /// # Errors
    /// If the component does not start, refuses its configuration, or describes itself in a way that cannot be read.
    pub fn start(program: Program, bounds: Bounds, setup: Setup) -> Result<Self> {
        let (sandbox, description) = Sandbox::start(program, bounds, setup)?;
        Ok(Self { sandbox, spec: described(&description)? })
    }
}

impl Reward for GuestReward {
    fn spec(&self) -> RewardSpec {
        self.spec.clone()
    }

    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        let rows = sizes(rows)?;
        self.sandbox.call(|store, world| Ok(world.twinhost_plugin_scoring().call_reset(store, &rows)?.map_err(own_error)))
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let like = transition.find(names::REWARD).or_else(|| transition.find(names::TERMINATED)).or_else(|| transition.find(names::ACTION));
        let like = like.ok_or_else(|| Error::input("the transition has neither `next.reward` nor `action`, so its length is unknown"))?;
        let (rows, steps) = (like.dim(0), like.dim(1));
        let count = size(steps)?;
        let scores = Outgoing::new(transition, &self.spec.needs, rows)?.with(|batch| {
            self.sandbox.call(|store, world| Ok(world.twinhost_plugin_scoring().call_score(store, batch, count)?.map_err(own_error)))
        })?;
        let mut out = Batch::new().with(names::REWARD, floats("rewards", scores.rewards, &[rows, steps])?);
        if !scores.done.is_empty() {
            out.insert(names::DONE, truths("done", &scores.done, &[rows, steps])?);
        }
        if !scores.success.is_empty() || self.spec.decides_success {
            out.insert(names::SUCCESS, truths("success", &scores.success, &[rows])?);
        }
        for metric in scores.metrics {
            if !is_metric_name(&metric.name) || !metric.value.is_finite() {
                return Err(Error::internal(format!(
                    "returned the metric `{}` with the value {}: a name has letters, digits, `_`, `-`, `.` and `/`, a value is finite",
                    metric.name.escape_debug(),
                    metric.value
                )));
            }
            out.insert(format!("{}{}", names::METRICS, metric.name), Tensor::from_vec(vec![metric.value], &[1]));
        }
        Ok(out)
    }
}
