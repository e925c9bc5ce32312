//! Continuous actions as tokens: quantile normalisation and 256 uniform bins.

use twinhost_plugin_api::{Error, FeatureStatistics, Result};

use super::architecture::ACTION_BINS;

/// Keeps a constant dimension from dividing by zero.
const RANGE_EPSILON: f64 = 1e-8;

/// Affine map of each dimension between its 1 %..99 % range and [-1, 1]. Dimensions whose mask is false pass unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    q01: Vec<f64>,
    q99: Vec<f64>,
    mask: Vec<bool>,
    constant: Vec<bool>,
}

impl Normaliser {
    /// # Errors
    /// If the statistics do not have `dim` entries each, or are not finite and ordered.
    pub fn new(statistics: &FeatureStatistics, dim: usize, what: &str) -> Result<Self> {
        let lists = [
            ("q01", statistics.q01.len()),
            ("q99", statistics.q99.len()),
            ("min", statistics.min.len()),
            ("max", statistics.max.len()),
            ("mask", statistics.mask.len()),
        ];
        if let Some((name, count)) = lists.into_iter().find(|&(_, count)| count != dim) {
            return Err(Error::input(format!(
                "the statistics of `{what}` have {count} entries in `{name}`, this policy has {dim} dimensions"
            )));
        }
        for i in 0..dim {
            let (low, high) = (statistics.q01[i], statistics.q99[i]);
            if !(low.is_finite() && high.is_finite() && low <= high) {
                return Err(Error::input(format!("the statistics of `{what}`: dimension {i} has the quantiles q01 = {low}, q99 = {high}")));
            }
        }
        let constant = statistics.min.iter().zip(&statistics.max).map(|(low, high)| low == high).collect();
        Ok(Self { q01: statistics.q01.clone(), q99: statistics.q99.clone(), mask: statistics.mask.clone(), constant })
    }

    pub fn dim(&self) -> usize {
        self.mask.len()
    }

    /// `clip(2 (x - q01) / (q99 - q01) - 1, -1, 1)` for dimension `i`; 0 if it never varied.
    pub fn normalise(&self, i: usize, x: f64) -> f64 {
        match (self.mask[i], self.constant[i]) {
            (false, _) => x,
            (true, true) => 0.0,
            (true, false) => (2.0 * (x - self.q01[i]) / (self.q99[i] - self.q01[i] + RANGE_EPSILON) - 1.0).clamp(-1.0, 1.0),
        }
    }

    /// The inverse on [-1, 1].
    pub fn unnormalise(&self, i: usize, x: f64) -> f64 {
        if self.mask[i] { 0.5 * (x + 1.0) * (self.q99[i] - self.q01[i]) + self.q01[i] } else { x }
    }
}

/// 256 edges over [-1, 1]. A value belongs to the last edge that is not above it, and bin d in 1..=256 is the token `real_vocab - d`.
#[derive(Clone, Debug)]
pub struct ActionBins {
    edges: Vec<f64>,
    real_vocab: i64,
}

impl ActionBins {
    pub fn new(real_vocab: i64) -> Self {
        let last = ACTION_BINS - 1;
        let edges = (0..=last).map(|i| if i == last { 1.0 } else { -1.0 + i as f64 * (2.0 / last as f64) }).collect();
        Self { edges, real_vocab }
    }

    /// Token of a normalised action; values outside [-1, 1] are clipped.
    pub fn encode(&self, x: f64) -> i64 {
        let clipped = x.clamp(-1.0, 1.0);
        self.real_vocab - self.edges.partition_point(|&edge| edge <= clipped) as i64
    }

    /// Centre of a token's bin. There are 255 centres for 256 tokens: the two highest tokens' actions coincide.
    pub fn decode(&self, token: i64) -> f64 {
        let index = (self.real_vocab - token - 1).clamp(0, ACTION_BINS - 2);
        -1.0 + (2 * index + 1) as f64 / (ACTION_BINS - 1) as f64
    }
}
