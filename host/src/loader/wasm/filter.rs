//! The world `filter`: proposals of a monitor. Whether they are allowed is judged outside the sandbox, in [`crate::loader::filter`].

use twinhost_plugin_api::{Batch, Error, Result, Tensor};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::filter as world;
use super::described;
use super::exchange::{Outgoing, floats, own_error, size, sizes};
use super::program::Program;
use super::sandbox::{Allowance, Bounds, Sandbox, Setup, World};
use crate::loader::filter::{Filter, Proposal, Veto};

/// A sandboxed action monitor.
pub struct GuestFilter {
    sandbox: Sandbox<world::Filter>,
    needs: Vec<String>,
}

impl World for world::Filter {
    fn instantiate(store: &mut Store<Allowance>, component: &Component, linker: &Linker<Allowance>) -> wasmtime::Result<Self> {
        Self::instantiate(store, component, linker)
    }
    fn configure(&self, store: &mut Store<Allowance>, setup: &Setup) -> wasmtime::Result<Result<String>> {
        let answer = self.twinhost_plugin_monitoring().call_configure(store, &setup.config, &setup.environment, setup.seed)?;
        Ok(answer.map_err(own_error))
    }
}

impl GuestFilter {
    /// # Errors
    /// If the component does not start, refuses its configuration, or describes itself in a way that cannot be read.
    pub fn start(program: Program, bounds: Bounds, setup: Setup) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Description {
            needs: Vec<String>,
        }
        let (sandbox, description) = Sandbox::start(program, bounds, setup)?;
        Ok(Self { sandbox, needs: described::<Description>(&description)?.needs })
    }
}

impl Filter for GuestFilter {
    fn needs(&self) -> &[String] {
        &self.needs
    }

    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        let rows = sizes(rows)?;
        self.sandbox.call(|store, world| Ok(world.twinhost_plugin_monitoring().call_reset(store, &rows)?.map_err(own_error)))
    }

    fn review(&mut self, observation: &Batch, action: &Tensor) -> Result<Proposal> {
        let (rows, steps) = (action.dim(0), size(action.dim(1))?);
        let values = action.as_slice::<f32>()?;
        let verdict = Outgoing::new(observation, &self.needs, rows)?.with(|batch| {
            self.sandbox
                .call(|store, world| Ok(world.twinhost_plugin_monitoring().call_review(store, batch, values, steps)?.map_err(own_error)))
        })?;
        let action = match verdict.action {
            same if same.is_empty() => None,
            other => Some(floats("action", other, &action.shape())?),
        };
        let veto = |veto: world::exports::twinhost::plugin::monitoring::Veto| match veto.row as usize {
            row if row < rows => Ok(Veto { row, reason: veto.reason }),
            row => Err(Error::internal(format!("vetoed row {row}, and there are {rows}"))),
        };
        Ok(Proposal { action, vetoes: verdict.vetoes.into_iter().map(veto).collect::<Result<_>>()? })
    }
}
