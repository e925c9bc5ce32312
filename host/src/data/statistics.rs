//! Normalisation statistics: exact quantiles over every frame, computed once and fixed for all later stages.

use std::collections::BTreeSet;
use twinhost_plugin_api::{ActionSpec, DatasetStatistics, FeatureStatistics, Tensor, names};

use super::buffer::EpisodeBuffer;
use super::error::{Error, Result};

/// The q-quantile of ascending values with linear interpolation between ranks (numpy's default).
pub fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let low = position.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * position.fract()
}

/// Statistics of `action` and `observation.state` over all frames of all buffers, each frame counting once.
///
/// Dimensions that the action specification calls discrete get mask false: they are passed through, not normalised.
///
/// # Errors
/// If there is no frame, a value is not finite, or the dimensions differ between buffers or from the action specification.
pub fn statistics(buffers: &[&EpisodeBuffer], action: &ActionSpec) -> Result<DatasetStatistics> {
    let frames: usize = buffers.iter().map(|b| b.len()).sum();
    if frames == 0 {
        return Err(Error::refused("no demonstration frames to compute normalisation statistics from"));
    }
    let actions: Vec<&Tensor> = buffers.iter().map(|b| b.feature(names::ACTION)).collect::<Result<_>>()?;
    let states: Vec<&Tensor> = buffers.iter().map(|b| b.feature(names::STATE)).collect::<Result<_>>()?;
    let dim = actions[0].row_len();
    if dim != action.dim() {
        return Err(Error::refused(format!(
            "the demonstrations have {dim}-dimensional actions but the environment expects {}",
            action.dim()
        )));
    }
    let mask = (0..dim).map(|d| !action.discrete.get(d).copied().unwrap_or(false)).collect();
    let tasks: BTreeSet<&str> = buffers.iter().flat_map(|b| b.tasks()).collect();
    Ok(DatasetStatistics {
        action: over(names::ACTION, &actions, mask)?,
        state: over(names::STATE, &states, vec![true; states[0].row_len()])?,
        tasks: tasks.into_iter().map(String::from).collect(),
        num_transitions: frames as u64,
        num_trajectories: buffers.iter().map(|b| b.episodes() as u64).sum(),
    })
}

fn over(name: &str, parts: &[&Tensor], mask: Vec<bool>) -> Result<FeatureStatistics> {
    let dim = mask.len();
    let mut out = FeatureStatistics { mean: vec![], std: vec![], min: vec![], max: vec![], q01: vec![], q99: vec![], mask };
    for d in 0..dim {
        let mut column: Vec<f64> = Vec::new();
        for part in parts {
            if part.row_len() != dim {
                return Err(Error::refused(format!("`{name}` has {dim} dimensions in one dataset and {} in another", part.row_len())));
            }
            column.extend(part.as_slice::<f32>()?.iter().skip(d).step_by(dim).map(|&v| f64::from(v)));
        }
        if let Some(bad) = column.iter().find(|v| !v.is_finite()) {
            return Err(Error::refused(format!("`{name}`, dimension {d}, holds {bad}")));
        }
        let n = column.len() as f64;
        let mean = column.iter().sum::<f64>() / n;
        column.sort_unstable_by(f64::total_cmp);
        out.mean.push(mean);
        out.std.push((column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt());
        out.min.push(column[0]);
        out.max.push(column[column.len() - 1]);
        out.q01.push(quantile_of_sorted(&column, 0.01));
        out.q99.push(quantile_of_sorted(&column, 0.99));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::quantile_of_sorted;

    #[test]
    fn quantiles_interpolate_between_ranks() {
        // Ranks 0..=4 at 0, 0.25, 0.5, 0.75, 1: q01 lies 4 % of the way from rank 0 to rank 1.
        let sorted = [10.0, 20.0, 40.0, 80.0, 160.0];
        assert!((quantile_of_sorted(&sorted, 0.01) - 10.4).abs() < 1e-12);
        assert_eq!(quantile_of_sorted(&sorted, 0.5), 40.0);
        assert!((quantile_of_sorted(&sorted, 0.99) - (80.0 + 0.96 * 80.0)).abs() < 1e-12);
        assert_eq!(quantile_of_sorted(&[3.0], 0.99), 3.0);
    }
}
