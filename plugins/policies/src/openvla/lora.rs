//! Low-rank adaptation (LoRA): `W' = W + (alpha / rank) B A`, A gaussian and B zero at the start, so that nothing changes at first.
//!
//! A saved folder holds the merged weights under the public names, the adapters alone in PEFT's form, and the weights below the
//! adapters, so that training continues bit for bit: subtracting `B A` from merged weights would not give the old ones back.

use serde_json::json;
use std::path::Path;
use tch::Tensor;
use twinhost_plugin_api::{Error, Result};

use super::config::LoraConfig;
use super::layout::{Init, OPTIONAL_GROUPS, ParameterLayout};
use super::parameters::Parameters;
use super::storage::{SHARD_BYTES, TensorFiles, write_atomically, write_tensors};

const DOWN: &str = "lora_A.weight";
const UP: &str = "lora_B.weight";
/// PEFT's prefix of every name.
const PEFT: &str = "base_model.model.";
const ADAPTERS: &str = "adapter_model";
const ADAPTER_CONFIG: &str = "adapter_config.json";
const BASE: &str = "adapter_base";

/// The two factors of one layer's adapter.
pub struct Adapter {
    /// A, `[rank, inputs]`.
    down: Tensor,
    /// B, `[outputs, rank]`.
    up: Tensor,
    /// alpha / rank.
    scale: f64,
}

impl Adapter {
    /// `(alpha / rank) x A^T B^T`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.down, None::<&Tensor>).linear(&self.up, None::<&Tensor>) * self.scale
    }

    fn delta(&self) -> Tensor {
        self.up.mm(&self.down) * self.scale
    }
}

/// Names and shapes of the adapters of every adaptable weight.
pub fn layout(base: &[ParameterLayout], rank: i64) -> Vec<ParameterLayout> {
    let adapted = base.iter().filter(|entry| entry.adaptable);
    adapted
        .flat_map(|entry| {
            let part = |which: &str, shape: [i64; 2], init: Init| ParameterLayout {
                name: factor(&entry.name, which),
                shape: shape.to_vec(),
                init,
                unused: false,
                adaptable: false,
            };
            [part(DOWN, [rank, entry.shape[1]], Init::Normal(1.0 / rank as f64)), part(UP, [entry.shape[0], rank], Init::Zeros)]
        })
        .collect()
}

/// Whether a parameter learns while adapters are in use.
pub fn is_trained(name: &str) -> bool {
    is_factor(name) || OPTIONAL_GROUPS.iter().any(|group| name.starts_with(group))
}

/// Whether a parameter is part of an adapter.
pub fn is_factor(name: &str) -> bool {
    name.ends_with(DOWN) || name.ends_with(UP)
}

fn factor(weight: &str, which: &str) -> String {
    format!("{}{which}", weight.trim_end_matches("weight"))
}

/// The adapter of a weight, if the parameters have one.
pub fn adapter_of(parameters: &Parameters, weight: &str) -> Option<Adapter> {
    let down = parameters.find(&factor(weight, DOWN))?;
    let up = parameters.find(&factor(weight, UP))?;
    Some(Adapter { down: down.shallow_clone(), up: up.shallow_clone(), scale: parameters.adapter_scale() })
}

/// All parameters under their public names, adapters merged into their weights.
pub fn merged(parameters: &Parameters) -> Vec<(String, Tensor)> {
    let _no_grad = tch::no_grad_guard();
    let public = parameters.iter().filter(|(entry, _)| !is_factor(&entry.name));
    public
        .map(|(entry, tensor)| {
            let value = adapter_of(parameters, &entry.name).map_or_else(|| tensor.shallow_clone(), |adapter| tensor + adapter.delta());
            (entry.name.clone(), value)
        })
        .collect()
}

/// Writes adapters and the weights below them; removes those of an earlier save if there are none.
///
/// # Errors
/// If a file cannot be written or removed.
pub fn save(folder: &Path, parameters: &Parameters, lora: Option<LoraConfig>) -> Result<()> {
    let Some(lora) = lora else {
        let stale = [format!("{ADAPTERS}.safetensors"), format!("{BASE}.safetensors"), ADAPTER_CONFIG.into()].map(|name| folder.join(name));
        return stale
            .into_iter()
            .filter(|path| path.exists())
            .try_for_each(|path| std::fs::remove_file(&path).map_err(|e| Error::io(format!("removing {}: {e}", path.display()))));
    };
    let entries = |wanted: &dyn Fn(&ParameterLayout) -> bool, prefix: &str| {
        let chosen = parameters.iter().filter(|(entry, _)| wanted(entry));
        chosen.map(|(entry, tensor)| (format!("{prefix}{}", entry.name), tensor.shallow_clone())).collect::<Vec<_>>()
    };
    write_tensors(folder, BASE, entries(&|entry| entry.adaptable, ""), SHARD_BYTES)?;
    write_tensors(folder, ADAPTERS, entries(&|entry| is_factor(&entry.name), PEFT), SHARD_BYTES)?;
    let description = json!({
        "peft_type": "LORA", "r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": 0.0, "target_modules": "all-linear",
        "init_lora_weights": "gaussian", "bias": "none",
    });
    write_atomically(&folder.join(ADAPTER_CONFIG), |temporary| std::fs::write(temporary, description.to_string()))
}

/// Saved adapters and the weights below them, checked but not yet read.
pub struct SavedAdapters {
    adapters: TensorFiles,
    base: TensorFiles,
}

impl SavedAdapters {
    /// `None` if the folder has no adapters: they start anew on top of its weights.
    ///
    /// # Errors
    /// If a file is damaged or does not fit the parameters.
    pub fn find(folder: &Path, parameters: &Parameters) -> Result<Option<Self>> {
        if !folder.join(ADAPTER_CONFIG).exists() {
            return Ok(None);
        }
        let saved = Self { adapters: TensorFiles::open(folder, ADAPTERS)?, base: TensorFiles::open(folder, BASE)? };
        for (entry, _) in parameters.iter() {
            if is_factor(&entry.name) {
                saved.adapters.check(&format!("{PEFT}{}", entry.name), &entry.shape)?;
            } else if entry.adaptable {
                saved.base.check(&entry.name, &entry.shape)?;
            }
        }
        Ok(Some(saved))
    }

    /// The saved value of a factor or of a weight below an adapter; `None` for every other parameter.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read(&self, entry: &ParameterLayout) -> Result<Option<Tensor>> {
        if is_factor(&entry.name) {
            self.adapters.read(&format!("{PEFT}{}", entry.name)).map(Some)
        } else if entry.adaptable {
            self.base.read(&entry.name).map(Some)
        } else {
            Ok(None)
        }
    }
}
