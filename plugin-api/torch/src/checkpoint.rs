//! Optimiser state on disk: one safetensors file, so that a crash can never leave two files that disagree.
//!
//! `<weight>/exp_avg` and `<weight>/exp_avg_sq` (f32, the weight's shape); the metadata entry `twinhost` holds the format version and
//! each group's step counter as JSON.

use super::TorchResult;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use tch::{Kind, Tensor};

use super::optimizer::{AdamW, Group, Slot};
use twinhost_plugin_api::v1::{Error, Result};

const FILE: &str = "optimizer.safetensors";
const METADATA_KEY: &str = "twinhost";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    /// Steps taken by each group; sorted, so that equal states give equal files.
    steps: BTreeMap<String, u64>,
}

/// Names and values of the two moments of one weight.
fn moments(group: &Group, slot: &Slot) -> [(String, Tensor); 2] {
    [("exp_avg", &group.exp_avg), ("exp_avg_sq", &group.exp_avg_sq)]
        .map(|(moment, flat)| (format!("{}/{moment}", slot.name), flat.narrow(0, slot.offset, slot.len)))
}

/// # Errors
/// If the file cannot be written; the previous one then stays as it was.
pub(super) fn save(optimizer: &AdamW, folder: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut steps = BTreeMap::new();
    for group in &optimizer.groups {
        steps.insert(group.name.clone(), group.step);
        for slot in &group.slots {
            for (name, values) in moments(group, slot) {
                let mut floats = vec![0f32; values.numel()];
                values
                    .f_to_device(tch::Device::Cpu)
                    .or_error()?
                    .f_contiguous()
                    .or_error()?
                    .f_copy_data(&mut floats, values.numel())
                    .or_error()?;
                let bytes = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
                tensors.push((name, slot.shape.iter().map(|&d| d as usize).collect(), bytes));
            }
        }
    }
    let internal = |e: &dyn std::fmt::Display| Error::internal(format!("{FILE}: {e}"));
    let state = serde_json::to_string(&State { format: FORMAT, steps }).map_err(|e| internal(&e))?;
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| internal(&e))?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(METADATA_KEY.to_string(), state)]))).map_err(|e| internal(&e))?;
    write_atomically(&folder.join(FILE), &bytes)
}

/// Temporary file, fsync, rename, fsync of the folder: after a crash there is the old file or the new one.
///
/// # Errors
/// If writing fails, e.g. because the disk is full; the temporary file is removed again.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|e| {
        // Best effort: the error that matters is the one being reported.
        let _ = std::fs::remove_file(&temporary);
        Error::io(format!("cannot write {}: {e}", path.display()))
    })
}

/// # Errors
/// If the file is missing, truncated, of another format, or belongs to another policy. The optimiser is then unchanged.
pub(super) fn load(optimizer: &mut AdamW, folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    let fault = |what: String| Error::input(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(&path).map_err(|e| Error::io(format!("{}: cannot read the optimiser state: {e}", path.display())))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| fault(format!("not a complete safetensors file: {e}")))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| fault(e.to_string()))?;
    let state = metadata
        .metadata()
        .as_ref()
        .and_then(|m| m.get(METADATA_KEY))
        .ok_or_else(|| fault(format!("no metadata entry `{METADATA_KEY}`")))?;
    let state: State = serde_json::from_str(state).map_err(|e| fault(format!("metadata entry `{METADATA_KEY}`: {e}")))?;
    if state.format != FORMAT {
        return Err(fault(format!("format {} is not the supported format {FORMAT}", state.format)));
    }

    let mut restored = Vec::new();
    for (index, group) in optimizer.groups.iter().enumerate() {
        let step = *state.steps.get(&group.name).ok_or_else(|| fault(format!("no step counter of the group `{}`", group.name)))?;
        let mut flats = [Vec::new(), Vec::new()];
        for slot in &group.slots {
            for ((name, _), flat) in moments(group, slot).into_iter().zip(&mut flats) {
                let view = file.tensor(&name).map_err(|_| fault(format!("no tensor `{name}`; the file belongs to another policy")))?;
                let shape: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
                if view.dtype() != Dtype::F32 || shape != slot.shape {
                    return Err(fault(format!(
                        "tensor `{name}` is {:?} {shape:?}, the policy's weight has shape {:?}",
                        view.dtype(),
                        slot.shape
                    )));
                }
                flat.push(Tensor::f_from_data_size(view.data(), &[slot.len], Kind::Float).or_error()?);
            }
        }
        restored.push((index, step, flats.map(|parts| Tensor::cat(&parts, 0).to_device(group.exp_avg.device()))));
    }
    let expected: usize = optimizer.groups.iter().map(|g| 2 * g.slots.len()).sum();
    if file.len() != expected {
        return Err(fault(format!("{} tensors, the policy needs {expected}; the file belongs to another policy", file.len())));
    }
    for (index, step, [exp_avg, exp_avg_sq]) in restored {
        let group = &mut optimizer.groups[index];
        (group.step, group.exp_avg, group.exp_avg_sq) = (step, exp_avg, exp_avg_sq);
    }
    Ok(())
}
