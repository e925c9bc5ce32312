//! The world `policy` behind the trait [`Policy`].

use serde_json::{Map, Value};
use twinhost_plugin_api::{ActMode, ActRequest, Batch, Policy, PolicySpec, Result, Tensor, names};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::policy as world;
use super::described;
use super::exchange::{Outgoing, floats, own_error, sizes};
use super::program::Program;
use super::sandbox::{Allowance, Bounds, Sandbox, Setup, World};

/// A sandboxed policy. It has no parameters, so there is nothing to train, save or load.
pub struct GuestPolicy {
    sandbox: Sandbox<world::Policy>,
    spec: PolicySpec,
    /// Features and texts that `act` reads.
    needs: Vec<String>,
}

impl World for world::Policy {
    fn instantiate(store: &mut Store<Allowance>, component: &Component, linker: &Linker<Allowance>) -> wasmtime::Result<Self> {
        Self::instantiate(store, component, linker)
    }
    fn configure(&self, store: &mut Store<Allowance>, setup: &Setup) -> wasmtime::Result<Result<String>> {
        let answer = self.twinhost_plugin_acting().call_configure(store, &setup.config, &setup.environment, setup.seed)?;
        Ok(answer.map_err(own_error))
    }
}

impl GuestPolicy {
    /// # Errors
    /// If the component does not start, refuses its configuration, or describes itself in a way that cannot be read.
    pub fn start(program: Program, bounds: Bounds, setup: Setup) -> Result<Self> {
        let (sandbox, description) = Sandbox::start(program, bounds, setup)?;
        let mut description: Map<String, Value> = described(&description)?;
        // What a sandboxed policy cannot have, whatever it says.
        description.extend([("differentiable".to_owned(), Value::Bool(false)), ("parameters".to_owned(), 0.into())]);
        let spec: PolicySpec = described(&Value::Object(description).to_string())?;
        let needs = spec.observation.iter().chain(&spec.texts).cloned().collect();
        Ok(Self { sandbox, spec, needs })
    }
}

impl Policy for GuestPolicy {
    fn spec(&self) -> PolicySpec {
        self.spec.clone()
    }

    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        let rows = sizes(rows)?;
        self.sandbox.call(|store, world| Ok(world.twinhost_plugin_acting().call_reset(store, &rows, seeds)?.map_err(own_error)))
    }

    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        let rows = observation.rows();
        let greedy = request.mode == ActMode::Greedy;
        let action = Outgoing::new(observation, &self.needs, rows)?.with(|batch| {
            self.sandbox
                .call(|store, world| Ok(world.twinhost_plugin_acting().call_act(store, batch, request.seed, greedy)?.map_err(own_error)))
        })?;
        let action = floats("action", action, &[rows, self.spec.chunk, self.spec.action_dim])?;
        Ok(Batch::new().with(names::ACTION, action).with(names::WEIGHTS_VERSION, Tensor::zeros::<i64>(&[rows])))
    }
}
