//! What components are tried out with: random numbers of the right shape, or recorded rows.

use super::Settings;
use super::examination::{Checked, fail};
use crate::v1::{ActionSpec, Batch, DType, DatasetStatistics, Error, FeatureSpec, FeatureStatistics, Result, Tensor, names};

/// The instruction that comes with random observations.
pub const TASK: &str = "put the red cube on the plate";

/// What a policy is told of its data before it acts: actions and states in [-1, 1], and these instructions.
pub fn statistics(action_dim: usize, state_dim: usize, tasks: &[&str]) -> DatasetStatistics {
    let unit = |dim: usize| FeatureStatistics {
        mean: vec![0.0; dim],
        std: vec![0.5; dim],
        min: vec![-1.0; dim],
        max: vec![1.0; dim],
        q01: vec![-1.0; dim],
        q99: vec![1.0; dim],
        mask: vec![true; dim],
    };
    DatasetStatistics {
        action: unit(action_dim),
        state: unit(state_dim),
        tasks: tasks.iter().map(ToString::to_string).collect(),
        num_transitions: 1000,
        num_trajectories: 10,
    }
}

/// The statistics that go with what [`observation`] gives.
pub fn statistics_of(settings: &Settings, action_dim: usize) -> DatasetStatistics {
    let recorded = settings.recorded.as_ref();
    let shape = settings.features.iter().find(|f| f.name == names::STATE).map_or(1, |f| f.shape.iter().product());
    let state_dim = recorded.and_then(|rows| rows.find(names::STATE)).map_or(shape, Tensor::row_len);
    let mut tasks: Vec<&str> = match recorded.and_then(|rows| rows.texts(names::TASK).ok()) {
        Some(texts) => texts.iter().map(|text| text.as_str()).collect(),
        None => vec![TASK],
    };
    tasks.sort_unstable();
    tasks.dedup();
    statistics(action_dim, state_dim, &tasks)
}

/// SplitMix64: a number for a seed and a counter.
fn bits(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in [0, 1).
fn unit(seed: u64, counter: u64) -> f64 {
    (bits(seed, counter) >> 11) as f64 / (1u64 << 53) as f64
}

/// A tensor of random numbers: floats in [-1, 1), bytes over their range, small whole numbers, coins.
pub fn random(dtype: DType, shape: &[usize], seed: u64) -> Result<Tensor> {
    let count: u64 = shape.iter().product::<usize>() as u64;
    Ok(match dtype {
        DType::F32 => Tensor::from_vec((0..count).map(|i| (2.0 * unit(seed, i) - 1.0) as f32).collect(), shape),
        DType::F64 => Tensor::from_vec((0..count).map(|i| 2.0 * unit(seed, i) - 1.0).collect(), shape),
        DType::U8 => Tensor::from_vec((0..count).map(|i| bits(seed, i) as u8).collect(), shape),
        DType::Bool => Tensor::from_vec((0..count).map(|i| bits(seed, i) & 1 == 1).collect(), shape),
        DType::I32 => Tensor::from_vec((0..count).map(|i| (bits(seed, i) % 8) as i32).collect(), shape),
        DType::I64 => Tensor::from_vec((0..count).map(|i| (bits(seed, i) % 8) as i64).collect(), shape),
        DType::F16 | DType::BF16 => return Err(Error::unsupported("half precision numbers cannot be made here")),
    })
}

/// Actions `[B, C, A]` within the bounds of the specification, and within [-1, 1] where it has none.
pub fn actions(spec: &ActionSpec, rows: usize, chunk: usize, seed: u64) -> Tensor {
    let dim = spec.dim();
    let bound = |v: f32, default: f32| if v.is_finite() { v } else { default };
    let value = |i: usize| {
        let (low, high) = (bound(spec.low[i % dim], -1.0), bound(spec.high[i % dim], 1.0));
        low + (high - low) * unit(seed, i as u64) as f32
    };
    Tensor::from_vec((0..rows * chunk * dim).map(value).collect(), &[rows, chunk, dim])
}

/// The features a component reads, with `rows` rows, from recorded rows or at random; and an instruction for every row.
pub fn observation(settings: &Settings, needs: &[String], rows: usize, seed: u64) -> Checked<Batch> {
    if let Some(recorded) = &settings.recorded {
        let there = recorded.rows().max(1) as u64;
        let chosen: Vec<usize> = (0..rows as u64).map(|i| ((seed + i) % there) as usize).collect();
        return Ok(recorded.gather_rows(&chosen)?);
    }
    let mut out = Batch::new();
    for (i, name) in needs.iter().enumerate() {
        let feature = feature(settings, name)?;
        let shape: Vec<usize> = std::iter::once(rows).chain(feature.shape.iter().copied()).collect();
        out.insert(name.as_str(), random(feature.dtype, &shape, seed + 1000 * i as u64)?);
    }
    out.insert_text(names::TASK, vec![TASK.into(); rows]);
    Ok(out)
}

/// One chunk of B environments, as a reward gets it.
pub fn transition(settings: &Settings, needs: &[String], rows: usize, chunk: usize, seed: u64) -> Checked<Batch> {
    let given = |name: &String| !name.starts_with("next.") && name != names::ACTION && name != names::TASK;
    let mut out = observation(settings, &needs.iter().filter(|n| given(n)).cloned().collect::<Vec<_>>(), rows, seed)?;
    let dim = feature(settings, names::ACTION)?.shape.iter().product();
    out.insert(names::ACTION, random(DType::F32, &[rows, chunk, dim], seed + 1)?);
    out.insert(names::REWARD, random(DType::F32, &[rows, chunk], seed + 2)?);
    // An episode ends now and then, at the end of a chunk.
    let ends =
        |purpose: u64| (0..rows * chunk).map(|i| i % chunk == chunk - 1 && bits(seed + purpose, i as u64).is_multiple_of(4)).collect();
    out.insert(names::TERMINATED, Tensor::from_vec(ends(3), &[rows, chunk]));
    out.insert(names::TRUNCATED, Tensor::from_vec(ends(4), &[rows, chunk]));
    out.insert(names::SUCCESS, random(DType::Bool, &[rows], seed + 5)?);
    Ok(out)
}

fn feature<'a>(settings: &'a Settings, name: &str) -> Checked<&'a FeatureSpec> {
    match settings.features.iter().find(|f| f.name == name) {
        Some(feature) => Ok(feature),
        None => fail(format!("it reads `{name}`, whose shape the settings do not say: add it with `Settings::feature`")),
    }
}

/// The batch with its first float feature made NaN, or `None` if it has none.
pub fn poisoned(batch: &Batch) -> Checked<Option<Batch>> {
    let mut out = batch.try_clone()?;
    let Some(name) = batch.iter().find(|(name, t)| t.dtype() == DType::F32 && !name.starts_with("next.")).map(|(n, _)| n.to_owned()) else {
        return Ok(None);
    };
    out.get_mut(&name)?.as_mut_slice::<f32>()?.fill(f32::NAN);
    Ok(Some(out))
}
