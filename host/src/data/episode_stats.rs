//! The ten numbers per feature that LeRobot keeps in `meta/stats.json` and in the episodes table.
//!
//! Means and (population) deviations combine exactly over episodes. Quantiles are exact within an episode; over several, LeRobot's format
//! holds their count-weighted mean, which is *not* a quantile of the whole: normalisation uses [`super::statistics()`] instead.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use twinhost_plugin_api::{DType, Tensor};

use super::error::{Error, Result};
use super::statistics::quantile_of_sorted;

pub const QUANTILES: [(&str, f64); 5] = [("q01", 0.01), ("q10", 0.10), ("q50", 0.50), ("q90", 0.90), ("q99", 0.99)];

/// Statistics of one feature, flattened; `shape` is that of one value (`[3, 1, 1]` for images).
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStats {
    pub shape: Vec<usize>,
    pub count: u64,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
    /// In the order of [`QUANTILES`].
    pub quantiles: [Vec<f64>; 5],
}

pub type Stats = BTreeMap<String, FeatureStats>;

impl FeatureStats {
    /// The fields in LeRobot's order, by name.
    pub fn fields(&self) -> [(&'static str, &Vec<f64>); 9] {
        let [a, b, c, d, e] = &self.quantiles;
        [
            ("min", &self.min),
            ("max", &self.max),
            ("mean", &self.mean),
            ("std", &self.std),
            ("q01", a),
            ("q10", b),
            ("q50", c),
            ("q90", d),
            ("q99", e),
        ]
    }

    /// Over the first axis of `[T, ...]`.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn of(name: &str, values: &Tensor) -> Result<Self> {
        let width = values.row_len().max(1);
        let all = as_f64(values)?;
        if let Some(at) = all.iter().position(|v| !v.is_finite()) {
            return Err(Error::refused(format!("feature `{name}` is {} at frame {}, entry {}", all[at], at / width, at % width)));
        }
        let columns = (0..width).map(|d| all.iter().skip(d).step_by(width).copied().collect());
        let shape = values.shape();
        Ok(Self::of_columns(if shape.len() > 1 { &shape[1..] } else { &[1] }, columns))
    }

    fn of_columns(shape: &[usize], columns: impl Iterator<Item = Vec<f64>>) -> Self {
        let mut out = Self::empty(shape);
        for mut column in columns {
            column.sort_unstable_by(f64::total_cmp);
            let n = column.len() as f64;
            let mean = column.iter().sum::<f64>() / n;
            out.count = column.len() as u64;
            out.min.push(column[0]);
            out.max.push(column[column.len() - 1]);
            out.mean.push(mean);
            out.std.push((column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt());
            for (slot, (_, q)) in out.quantiles.iter_mut().zip(QUANTILES) {
                slot.push(quantile_of_sorted(&column, q));
            }
        }
        out
    }

    fn empty(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), count: 0, min: vec![], max: vec![], mean: vec![], std: vec![], quantiles: Default::default() }
    }

    /// Per channel over evenly spaced frames of u8 `[T, H, W, 3]`, in units of 255; `count` is the number of frames.
    ///
    /// # Errors
    /// If the tensor is not u8.
    pub fn of_images(frames: &Tensor) -> Result<Self> {
        let rows = frames.dim(0);
        let picked = sampled_frames(rows);
        let mut histograms = [[0u64; 256]; 3];
        let row_len = frames.row_len();
        let pixels = frames.as_slice::<u8>()?;
        for &t in &picked {
            for pixel in pixels[t * row_len..(t + 1) * row_len].chunks_exact(3) {
                for (histogram, &v) in histograms.iter_mut().zip(pixel) {
                    histogram[usize::from(v)] += 1;
                }
            }
        }
        let mut out = Self::empty(&[3, 1, 1]);
        out.count = picked.len() as u64;
        for histogram in &histograms {
            let total: u64 = histogram.iter().sum();
            let n = total.max(1) as f64;
            let moment =
                |f: &dyn Fn(f64) -> f64| histogram.iter().enumerate().map(|(v, &c)| c as f64 * f(v as f64 / 255.0)).sum::<f64>() / n;
            let mean = moment(&|v| v);
            let level = |rank: u64| {
                let mut seen = 0;
                let found = histogram.iter().position(|&c| {
                    seen += c;
                    seen > rank
                });
                found.unwrap_or(0) as f64 / 255.0
            };
            out.min.push(level(0));
            out.max.push(level(total.saturating_sub(1)));
            out.mean.push(mean);
            out.std.push(moment(&|v| (v - mean).powi(2)).sqrt());
            for (slot, (_, q)) in out.quantiles.iter_mut().zip(QUANTILES) {
                let position = q * total.saturating_sub(1) as f64;
                let (low, high) = (level(position.floor() as u64), level(position.ceil() as u64));
                slot.push(low + (high - low) * position.fract());
            }
        }
        Ok(out)
    }

    /// Statistics of both sets together; see the module's note on quantiles.
    pub fn combine(&mut self, other: &Self) {
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        for d in 0..self.mean.len().min(other.mean.len()) {
            let delta = other.mean[d] - self.mean[d];
            let variance = (a * self.std[d].powi(2) + b * other.std[d].powi(2)) / n + delta * delta * a * b / (n * n);
            self.min[d] = self.min[d].min(other.min[d]);
            self.max[d] = self.max[d].max(other.max[d]);
            self.mean[d] += delta * b / n;
            self.std[d] = variance.sqrt();
            for (mine, theirs) in self.quantiles.iter_mut().zip(&other.quantiles) {
                mine[d] = (a * mine[d] + b * theirs[d]) / n;
            }
        }
        self.count += other.count;
    }

    fn to_json(&self) -> Value {
        let mut entry: serde_json::Map<String, Value> =
            self.fields().iter().map(|(k, v)| (k.to_string(), nested(v, &self.shape))).collect();
        entry.insert("count".into(), json!([self.count]));
        entry.into()
    }

    fn from_json(value: &Value) -> Option<Self> {
        let flat = |key: &str| -> Option<(Vec<f64>, Vec<usize>)> {
            let (mut out, mut shape) = (Vec::new(), Vec::new());
            flatten(value.get(key)?, 0, &mut out, &mut shape)?;
            Some((out, shape))
        };
        let (min, shape) = flat("min")?;
        let get = |key| flat(key).map(|(v, _)| v).filter(|v| v.len() == min.len());
        let quantiles = QUANTILES.map(|(key, _)| get(key));
        let [a, b, c, d, e] = quantiles;
        Some(Self {
            shape,
            count: value.get("count")?.get(0)?.as_f64()? as u64,
            max: get("max")?,
            mean: get("mean")?,
            std: get("std")?,
            quantiles: [a?, b?, c?, d?, e?],
            min,
        })
    }
}

/// LeRobot samples `max(min(100, T), min(T^0.75, 10000))` evenly spaced frames of a video.
fn sampled_frames(frames: usize) -> Vec<usize> {
    let count = frames.min(100).max(((frames as f64).powf(0.75) as usize).min(10_000));
    let last = frames.saturating_sub(1) as f64;
    (0..count).map(|i| if count < 2 { 0 } else { (last * i as f64 / (count - 1) as f64).round() as usize }).collect()
}

fn as_f64(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(match tensor.dtype() {
        DType::Bool => tensor.as_slice::<bool>()?.iter().map(|&v| f64::from(u8::from(v))).collect(),
        DType::U8 => tensor.as_slice::<u8>()?.iter().map(|&v| f64::from(v)).collect(),
        DType::I32 => tensor.as_slice::<i32>()?.iter().map(|&v| f64::from(v)).collect(),
        DType::I64 => tensor.as_slice::<i64>()?.iter().map(|&v| v as f64).collect(),
        DType::F32 => tensor.as_slice::<f32>()?.iter().map(|&v| f64::from(v)).collect(),
        _ => tensor.as_slice::<f64>()?.to_vec(),
    })
}

fn nested(values: &[f64], shape: &[usize]) -> Value {
    match shape {
        [] | [_] => json!(values),
        [_, rest @ ..] => values.chunks(rest.iter().product::<usize>().max(1)).map(|c| nested(c, rest)).collect(),
    }
}

fn flatten(value: &Value, depth: usize, out: &mut Vec<f64>, shape: &mut Vec<usize>) -> Option<()> {
    let Value::Array(entries) = value else {
        out.push(value.as_f64()?);
        return Some(());
    };
    if shape.len() == depth {
        shape.push(entries.len());
    }
    entries.iter().try_for_each(|e| flatten(e, depth + 1, out, shape))
}

/// Adds one more set of episodes.
pub fn combine(total: &mut Stats, more: &Stats) {
    for (name, stats) in more {
        match total.get_mut(name) {
            Some(known) => known.combine(stats),
            None => {
                total.insert(name.clone(), stats.clone());
            }
        }
    }
}

/// The text of `meta/stats.json`.
pub fn to_json(stats: &Stats) -> String {
    let map: serde_json::Map<String, Value> = stats.iter().map(|(k, v)| (k.clone(), v.to_json())).collect();
    format!("{:#}\n", Value::Object(map))
}

/// Reads `meta/stats.json`; `None` if it is not in LeRobot v3.0's form.
pub fn from_json(text: &str) -> Option<Stats> {
    let Value::Object(map) = serde_json::from_str(text).ok()? else { return None };
    map.iter().map(|(k, v)| Some((k.clone(), FeatureStats::from_json(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn combining_two_halves_gives_the_moments_of_the_whole(a in prop::collection::vec(-9.0f64..9.0, 2..20), b in prop::collection::vec(-9.0f64..9.0, 2..20)) {
            let stats = |v: &[f64]| FeatureStats::of("x", &Tensor::from_vec(v.to_vec(), &[v.len(), 1])).unwrap();
            let whole = stats(&[a.clone(), b.clone()].concat());
            let mut combined = stats(&a);
            combined.combine(&stats(&b));
            prop_assert_eq!(combined.count, whole.count);
            prop_assert_eq!(&combined.min, &whole.min);
            prop_assert!((combined.mean[0] - whole.mean[0]).abs() < 1e-12);
            prop_assert!((combined.std[0] - whole.std[0]).abs() < 1e-12);
        }
    }

    #[test]
    fn images_are_summarised_per_channel() {
        // Red is 0 and 255 in equal parts: mean 1/2, deviation 1/2. Green is 51 = 0.2 everywhere.
        let frames = Tensor::from_vec([[0u8, 51, 9], [255, 51, 9]].concat(), &[2, 1, 1, 3]);
        let s = FeatureStats::of_images(&frames).unwrap();
        assert_eq!((s.count, s.shape.as_slice()), (2, [3, 1, 1].as_slice()));
        assert!((s.mean[0] - 0.5).abs() < 1e-12 && (s.std[0] - 0.5).abs() < 1e-12);
        assert!((s.quantiles[2][0] - 0.5).abs() < 1e-12, "median between the two levels");
        assert_eq!((s.min[1], s.max[1]), (0.2, 0.2));
        assert!(s.std[1] < 1e-9);
    }

    #[test]
    fn a_value_that_is_not_finite_is_named() {
        let e =
            FeatureStats::of("observation.state", &Tensor::from_vec(vec![0.0f32, 1.0, 2.0, f32::NAN], &[2, 2])).unwrap_err().to_string();
        assert!(e.contains("`observation.state` is NaN at frame 1, entry 1"), "{e}");
    }

    #[test]
    fn json_keeps_everything() {
        let mut stats = Stats::new();
        stats.insert("pose".into(), FeatureStats::of("pose", &Tensor::from_vec((0..12).map(f64::from).collect(), &[3, 2, 2])).unwrap());
        assert_eq!(from_json(&to_json(&stats)).unwrap(), stats);
    }
}
