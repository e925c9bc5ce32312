//! [`TorchPolicyAdapter`]: a [`TorchPolicy`] as the [`Policy`] that the host sees, together with its differentiable side.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use abi_stable::sabi_trait;
use abi_stable::std_types::{RResult, RStr, RVec};

use super::checkpoint::write_atomically;
use super::convert::{check_finite, from_torch};
use super::differentiable::{ENTROPY, EVALUATE, LOG_PROB, LOSS, SFT_LOSS, VALUE, give};
use super::{TorchPolicy, bound_threads};
use twinhost_plugin_api::v1::guard::guard;
use twinhost_plugin_api::v1::policy::{DifferentiableAbi, DifferentiableAbi_TO, DifferentiableBox, NamedHandle};
use twinhost_plugin_api::v1::{ActRequest, Batch, DatasetStatistics, Error, HostServices, Policy, PolicySpec, Result, Tensor, names};

/// File beside the weights that carries their version, so that a resumed run counts on.
const VERSION_FILE: &str = "weights_version.json";

struct Shared<T> {
    policy: T,
    version: u64,
    services: HostServices,
}

/// Makes a [`Policy`] of a [`TorchPolicy`]: counts weight versions, hashes the weights, and hands out the differentiable side, which
/// shares the policy with the acting side.
pub struct TorchPolicyAdapter<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

impl<T: TorchPolicy> TorchPolicyAdapter<T> {
    pub fn new(policy: T, services: HostServices) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { policy, version: 0, services })) }
    }
}

fn enter<T>(shared: &Mutex<Shared<T>>) -> Result<MutexGuard<'_, Shared<T>>> {
    let shared = shared.lock().map_err(|_| Error::internal("the policy panicked in an earlier call and cannot be used any more"))?;
    bound_threads(&shared.services);
    Ok(shared)
}

impl<T: TorchPolicy + 'static> Policy for TorchPolicyAdapter<T> {
    fn spec(&self) -> PolicySpec {
        // A poisoned lock still holds a valid specification, which no call changes.
        let shared = self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let parameters: usize = shared.policy.parameters().iter().map(|p| p.tensor.numel()).sum();
        PolicySpec { differentiable: true, parameters: parameters as u64, ..shared.policy.spec() }
    }

    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        let mut shared = enter(&self.shared)?;
        let mut result = {
            let _no_grad = tch::no_grad_guard();
            shared.policy.act(observation, request)?
        };
        for (name, tensor) in result.iter() {
            check_finite(tensor, name)?;
        }
        let rows = result.get(names::ACTION)?.dim(0);
        let version = i64::try_from(shared.version).unwrap_or(i64::MAX);
        result.insert(names::WEIGHTS_VERSION, Tensor::from_vec(vec![version; rows], &[rows]));
        Ok(result)
    }

    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        enter(&self.shared)?.policy.set_statistics(statistics)
    }

    fn save(&mut self, folder: &Path) -> Result<()> {
        let mut shared = enter(&self.shared)?;
        shared.policy.save(folder)?;
        let version = format!("{{\"weights_version\": {}}}\n", shared.version);
        write_atomically(&folder.join(VERSION_FILE), version.as_bytes())
    }

    fn load(&mut self, folder: &Path) -> Result<()> {
        let mut shared = enter(&self.shared)?;
        let path = folder.join(VERSION_FILE);
        let version = match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice::<serde_json::Value>(&text).ok().and_then(|v| v["weights_version"].as_u64()).ok_or_else(|| {
                    Error::input(format!("{}: expected {{\"weights_version\": <number>}}; delete the file to count from 0", path.display()))
                })?
            }
            // A published checkpoint has no such file: its weights count from 0.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(Error::io(format!("{}: {e}", path.display()))),
        };
        shared.policy.load(folder)?;
        shared.version = version;
        Ok(())
    }

    fn digest(&mut self) -> Result<String> {
        let shared = enter(&self.shared)?;
        let mut parameters = shared.policy.parameters();
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hasher = Sha256::new();
        for parameter in &parameters {
            let values = from_torch(&parameter.tensor)?;
            hasher.update(parameter.name.as_bytes());
            hasher.update(format!("{:?}{:?}", parameter.tensor.kind(), values.shape()).as_bytes());
            hasher.update(values.bytes()?);
        }
        Ok(hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    fn differentiable(&mut self) -> Option<DifferentiableBox> {
        let side = Side { shared: Arc::clone(&self.shared) };
        Some(DifferentiableAbi_TO::from_value(side, sabi_trait::TD_Opaque))
    }
}

/// The policy's end of the differentiable side.
struct Side<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

impl<T: TorchPolicy> DifferentiableAbi for Side<T> {
    fn compute(&mut self, what: RStr<'_>, batch: &Batch) -> RResult<RVec<NamedHandle>, Error> {
        guard(|| {
            let mut shared = enter(&self.shared)?;
            let mut handles = RVec::new();
            match what.as_str() {
                EVALUATE => {
                    let result = shared.policy.evaluate(batch)?;
                    handles.push(give(LOG_PROB, "", result.log_prob));
                    handles.push(give(ENTROPY, "", result.entropy));
                    if let Some(value) = result.value {
                        handles.push(give(VALUE, "", value));
                    }
                }
                SFT_LOSS => handles.push(give(LOSS, "", shared.policy.sft_loss(batch)?)),
                other => {
                    return Err(Error::unsupported(format!(
                        "this policy cannot compute `{other}` (it computes `{EVALUATE}` and `{SFT_LOSS}`)"
                    )));
                }
            }
            Ok(handles)
        })
    }

    fn parameters(&mut self) -> RResult<RVec<NamedHandle>, Error> {
        guard(|| Ok(enter(&self.shared)?.policy.parameters().into_iter().map(|p| give(&p.name, &p.group, p.tensor)).collect()))
    }

    fn weights_changed(&mut self) -> RResult<u64, Error> {
        guard(|| {
            let mut shared = enter(&self.shared)?;
            shared.version += 1;
            Ok(shared.version)
        })
    }
}
