//! The world `env` behind the trait [`Env`].

use twinhost_plugin_api::{Batch, Env, EnvKind, EnvSpec, Error, ResetRequest, Result, Tensor, names};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::env as world;
use super::described;
use super::exchange::{floats, incoming, own_env_error, size, truths};
use super::program::Program;
use super::sandbox::{Allowance, Bounds, Sandbox, Setup, World};

/// A sandboxed simulator.
pub struct GuestEnv {
    sandbox: Sandbox<world::Env>,
    spec: EnvSpec,
}

impl World for world::Env {
    fn instantiate(store: &mut Store<Allowance>, component: &Component, linker: &Linker<Allowance>) -> wasmtime::Result<Self> {
        Self::instantiate(store, component, linker)
    }
    fn configure(&self, store: &mut Store<Allowance>, setup: &Setup) -> wasmtime::Result<Result<String>> {
        let answer = self.twinhost_plugin_simulation().call_configure(store, &setup.config, setup.seed)?;
        Ok(answer.map_err(own_env_error))
    }
}

impl GuestEnv {
    /// # Errors
    /// If the component does not start, refuses its configuration, or describes itself in a way that cannot be used.
    pub fn start(program: Program, bounds: Bounds, setup: Setup) -> Result<Self> {
        let (sandbox, description) = Sandbox::start(program, bounds, setup)?;
        let spec: EnvSpec = described(&description)?;
        if spec.kind == EnvKind::Real {
            return Err(Error::internal("describes itself as `Real`, and nothing in the sandbox can be: write `Simulated` or `StandIn`"));
        }
        Ok(Self { sandbox, spec })
    }
}

impl Env for GuestEnv {
    fn spec(&self) -> EnvSpec {
        self.spec.clone()
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        let request = world::exports::twinhost::plugin::simulation::ResetRequest {
            seeds: &request.seeds,
            auto_reset: request.auto_reset,
            task_variant: &request.variant,
            privileged: request.privileged,
        };
        let observation =
            self.sandbox.call(|store, world| Ok(world.twinhost_plugin_simulation().call_reset(store, request)?.map_err(own_env_error)))?;
        incoming(observation)
    }

    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        let (rows, steps) = (self.spec.num_envs, actions.dim(1));
        let (values, count) = (actions.as_slice::<f32>()?, size(steps)?);
        let result = self
            .sandbox
            .call(|store, world| Ok(world.twinhost_plugin_simulation().call_step(store, values, count)?.map_err(own_env_error)))?;
        let mut out = incoming(result.observation)?;
        if let Some(last) = result.final_observation {
            let last = incoming(last)?;
            for (name, tensor) in last.iter() {
                out.insert(format!("{}{name}", names::FINAL), tensor.try_clone()?);
            }
            for (name, texts) in last.iter_texts() {
                out.insert_text(format!("{}{name}", names::FINAL), texts.iter().map(ToString::to_string).collect());
            }
        }
        out.insert(names::REWARD, floats("rewards", result.rewards, &[rows, steps])?);
        out.insert(names::TERMINATED, truths("terminated", &result.terminated, &[rows, steps])?);
        out.insert(names::TRUNCATED, truths("truncated", &result.truncated, &[rows, steps])?);
        out.insert(names::SUCCESS, truths("success", &result.success, &[rows])?);
        Ok(out)
    }

    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        let (env, columns, lines) = (size(env)?, size(width)?, size(height)?);
        let pixels = self.sandbox.call(|store, world| {
            Ok(world.twinhost_plugin_simulation().call_render(store, env, camera, columns, lines)?.map_err(own_env_error))
        })?;
        if height.checked_mul(width).and_then(|area| area.checked_mul(3)) != Some(pixels.len()) {
            return Err(Error::internal(format!("returned an image of {} bytes, which must be [{height}, {width}, 3]", pixels.len())));
        }
        Ok(Tensor::from_vec(pixels, &[height, width, 3]))
    }

    fn save_state(&mut self) -> Result<Vec<u8>> {
        self.sandbox.call(|store, world| Ok(world.twinhost_plugin_simulation().call_save_state(store)?.map_err(own_env_error)))
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.sandbox.call(|store, world| Ok(world.twinhost_plugin_simulation().call_load_state(store, state)?.map_err(own_env_error)))
    }
}
