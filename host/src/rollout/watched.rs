//! An environment whose actions pass monitors first.
//!
//! Whoever steps it, be it learning, evaluation or a demonstration, cannot go past the monitors. Every step tells the action that was actually
//! sent, and that one is recorded.

use twinhost_plugin_api::{Batch, Env, EnvSpec, Error, ResetRequest, Result, Tensor, names};

use super::chunk_outcomes;
use crate::loader::{EnvHandle, FilterHandle};

/// How often monitors intervened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interventions {
    /// Chunks reviewed, one per environment and step.
    pub reviewed: u64,
    /// Chunks in which a motion was made smaller.
    pub reduced: u64,
    /// Chunks that were forbidden.
    pub vetoed: u64,
}

/// An environment and the monitors before it; without any, the environment itself.
pub struct WatchedEnv {
    env: EnvHandle,
    filters: Vec<FilterHandle>,
    /// What the monitors read of the last observation.
    seen: Batch,
    interventions: Interventions,
}

impl WatchedEnv {
    pub fn new(env: EnvHandle, filters: Vec<FilterHandle>) -> Self {
        Self { env, filters, seen: Batch::new(), interventions: Interventions::default() }
    }

    /// The environment's process has ended; the next reset starts it anew.
    pub fn is_down(&self) -> bool {
        self.env.is_down()
    }

    pub fn is_watched(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Counts since the last call.
    pub fn take_interventions(&mut self) -> Interventions {
        std::mem::take(&mut self.interventions)
    }

    fn see(&mut self, observation: &Batch) -> Result<()> {
        let mut seen = Batch::new();
        for name in self.filters.iter().flat_map(FilterHandle::needs) {
            if let Some(tensor) = observation.find(name) {
                seen.insert(name, tensor.try_clone()?);
            } else {
                seen.insert_text(name, observation.texts(name)?.iter().map(ToString::to_string).collect());
            }
        }
        self.seen = seen;
        Ok(())
    }

    /// The action as the monitors leave it.
    fn reviewed(&mut self, actions: &Tensor) -> Result<Tensor> {
        let mut sent = actions.try_clone()?;
        self.interventions.reviewed += actions.dim(0) as u64;
        for filter in &mut self.filters {
            let reviewed = filter.review(&self.seen, &sent)?;
            if let Some(veto) = reviewed.vetoes.first().filter(|_| self.interventions.vetoed == 0) {
                tracing::warn!("{} stops environment {}: {}", filter.name(), veto.row, veto.reason);
            }
            self.interventions.reduced += reviewed.reduced as u64;
            self.interventions.vetoed += reviewed.vetoes.len() as u64;
            sent = reviewed.action;
        }
        Ok(sent)
    }
}

impl Env for WatchedEnv {
    fn spec(&self) -> EnvSpec {
        self.env.spec()
    }

    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        let observation = self.env.reset(request)?;
        let all: Vec<usize> = (0..request.seeds.len()).collect();
        self.filters.iter_mut().try_for_each(|filter| filter.reset(&all))?;
        self.see(&observation)?;
        Ok(observation)
    }

    /// As [`Env::step`]; the result of a watched environment also has `action` f32 `[B, C, A]`, what was actually sent.
    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        if !self.is_watched() {
            return self.env.step(actions);
        }
        let sent = self.reviewed(actions)?;
        let mut step = self.env.step(&sent)?;
        let rows: Vec<usize> = chunk_outcomes(&step)?.iter().enumerate().filter(|(_, chunk)| chunk.ended).map(|(row, _)| row).collect();
        if !rows.is_empty() {
            self.filters.iter_mut().try_for_each(|filter| filter.reset(&rows))?;
        }
        self.see(&step)?;
        step.insert(names::ACTION, sent);
        Ok(step)
    }

    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        self.env.render(env, camera, width, height)
    }

    fn save_state(&mut self) -> Result<Vec<u8>> {
        self.env.save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        if self.is_watched() {
            return Err(Error::unsupported("a watched environment cannot load a state: its monitors do not know what came before"));
        }
        self.env.load_state(state)
    }
}
