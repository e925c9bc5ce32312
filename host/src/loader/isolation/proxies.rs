//! Components that live elsewhere, under the traits of those that live here.

use std::path::{Path, PathBuf};
use twinhost_plugin_api::{
    ActMode, ActRequest, Batch, DatasetStatistics, Env, EnvSpec, Error, Policy, PolicySpec, ResetRequest, Result, Reward, RewardSpec,
    Tensor,
};

use super::remote::{Launch, Remote};
use crate::loader::watchdog::Call;

fn spec<S: serde::de::DeserializeOwned>(remote: &Remote) -> Result<S> {
    serde_json::from_str(&remote.spec).map_err(|e| Error::internal(format!("describes itself in a way this host does not understand: {e}")))
}

fn folder(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::io(format!("the path {} is not UTF-8", path.display())))
}

pub struct RemoteEnv {
    remote: Remote,
    spec: EnvSpec,
}

impl RemoteEnv {
    /// # Errors
    /// As [`Remote::start`].
    pub fn start(launch: Launch) -> Result<Self> {
        let remote = Remote::start(launch)?;
        Ok(Self { spec: spec(&remote)?, remote })
    }
}

impl Env for RemoteEnv {
    fn spec(&self) -> EnvSpec {
        self.spec.clone()
    }
    /// A reset needs nothing of what was before, so it is where a child that ended begins anew.
    fn reset(&mut self, request: &ResetRequest) -> Result<Batch> {
        if self.remote.is_down() {
            self.remote.restart()?;
        }
        self.remote.call(
            Call::Reset,
            |w| {
                w.numbers(request.seeds.iter().copied());
                w.u64(u64::from(request.auto_reset));
                w.text(&request.variant);
                w.u64(u64::from(request.privileged));
                Ok(())
            },
            |r| r.batch(),
        )
    }
    fn step(&mut self, actions: &Tensor) -> Result<Batch> {
        self.remote.call(Call::Step, |w| w.tensor(actions), |r| r.batch())
    }
    fn render(&mut self, env: usize, camera: &str, width: usize, height: usize) -> Result<Tensor> {
        self.remote.call(
            Call::Render,
            |w| {
                w.u64(env as u64);
                w.text(camera);
                w.u64(width as u64);
                w.u64(height as u64);
                Ok(())
            },
            |r| r.tensor(),
        )
    }
    fn save_state(&mut self) -> Result<Vec<u8>> {
        self.remote.call(Call::SaveState, |_| Ok(()), |r| Ok(r.bytes()?.to_vec()))
    }
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        if self.remote.is_down() {
            self.remote.restart()?;
        }
        self.remote.call(
            Call::LoadState,
            |w| {
                w.bytes(state);
                Ok(())
            },
            |_| Ok(()),
        )
    }
}

pub struct RemoteReward {
    remote: Remote,
    spec: RewardSpec,
}

impl RemoteReward {
    /// # Errors
    /// As [`Remote::start`].
    pub fn start(launch: Launch) -> Result<Self> {
        let remote = Remote::start(launch)?;
        Ok(Self { spec: spec(&remote)?, remote })
    }
}

impl Reward for RemoteReward {
    fn spec(&self) -> RewardSpec {
        self.spec.clone()
    }
    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        if self.remote.is_down() {
            self.remote.restart()?;
        }
        self.remote.call(
            Call::Reset,
            |w| {
                w.numbers(rows.iter().map(|r| *r as u64));
                Ok(())
            },
            |_| Ok(()),
        )
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        self.remote.call(Call::Score, |w| w.batch(transition), |r| r.batch())
    }
}

/// A policy that acts; one that is trained lives in the host's process, because gradients do not cross between two.
pub struct RemotePolicy {
    remote: Remote,
    spec: PolicySpec,
    /// What a fresh child is given before it goes on.
    statistics: Option<String>,
    weights: Option<PathBuf>,
}

impl RemotePolicy {
    /// # Errors
    /// As [`Remote::start`].
    pub fn start(launch: Launch) -> Result<Self> {
        let remote = Remote::start(launch)?;
        Ok(Self { spec: spec(&remote)?, remote, statistics: None, weights: None })
    }

    fn tell(&mut self, call: Call, text: &str) -> Result<()> {
        self.remote.call(
            call,
            |w| {
                w.text(text);
                Ok(())
            },
            |_| Ok(()),
        )
    }
}

impl Policy for RemotePolicy {
    fn spec(&self) -> PolicySpec {
        PolicySpec { differentiable: false, ..self.spec.clone() }
    }
    fn reset(&mut self, rows: &[usize], seeds: &[u64]) -> Result<()> {
        if self.remote.is_down() {
            self.remote.restart()?;
            if let Some(json) = self.statistics.clone() {
                self.tell(Call::SetStatistics, &json)?;
            }
            if let Some(from) = self.weights.clone() {
                self.tell(Call::Load, folder(&from)?)?;
            }
        }
        self.remote.call(
            Call::Reset,
            |w| {
                w.numbers(rows.iter().map(|r| *r as u64));
                w.numbers(seeds.iter().copied());
                Ok(())
            },
            |_| Ok(()),
        )
    }
    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        self.remote.call(
            Call::Act,
            |w| {
                w.u64(u64::from(request.mode == ActMode::Greedy));
                w.u64(u64::from(request.temperature.to_bits()));
                w.u64(request.seed);
                w.u64(u64::from(request.training));
                w.batch(observation)
            },
            |r| r.batch(),
        )
    }
    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        let json = serde_json::to_string(statistics).map_err(|e| Error::internal(e.to_string()))?;
        self.tell(Call::SetStatistics, &json)?;
        self.statistics = Some(json);
        Ok(())
    }
    fn save(&mut self, to: &Path) -> Result<()> {
        self.tell(Call::Save, folder(to)?)
    }
    fn load(&mut self, from: &Path) -> Result<()> {
        self.tell(Call::Load, folder(from)?)?;
        self.weights = Some(from.to_path_buf());
        Ok(())
    }
    fn digest(&mut self) -> Result<String> {
        self.remote.call(Call::Digest, |_| Ok(()), |r| Ok(r.text()?.to_owned()))
    }
}
