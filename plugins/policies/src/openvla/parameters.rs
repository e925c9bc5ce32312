//! The parameters themselves: drawn from the component's seed, found by name, changed only in place.

use rand::SeedableRng;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::collections::HashMap;
use std::f64::consts::PI;
use tch::{Kind, Tensor};

use super::architecture::ACTION_BINS;
use super::layout::{Init, ParameterLayout};

/// Cosines that make up the initial output rows of the action tokens, and the size of the first.
const ORDINAL_TERMS: i64 = 32;
const ORDINAL_SCALE: f64 = 0.5;

/// Named parameter tensors (f32) in layout order, those of low-rank adapters after all others.
pub struct Parameters {
    entries: Vec<(ParameterLayout, Tensor)>,
    index: HashMap<String, usize>,
    adapter_scale: f64,
}

impl Parameters {
    /// Draws every parameter of the layout. A parameter's values depend on the seed and its own name and shape, nothing else.
    pub fn draw(layout: Vec<ParameterLayout>, seed: u64) -> Self {
        Self::with(layout, |entry| draw(entry, seed))
    }

    /// Reserves memory for every parameter, all zero, for a checkpoint to fill.
    pub fn reserve(layout: Vec<ParameterLayout>) -> Self {
        Self::with(layout, |entry| Tensor::zeros(&entry.shape, (Kind::Float, tch::Device::Cpu)))
    }

    fn with(layout: Vec<ParameterLayout>, make: impl Fn(&ParameterLayout) -> Tensor) -> Self {
        let mut index = HashMap::new();
        let mut entries = Vec::with_capacity(layout.len());
        for entry in layout {
            let tensor = make(&entry).set_requires_grad(!entry.unused);
            index.insert(entry.name.clone(), entries.len());
            entries.push((entry, tensor));
        }
        Self { entries, index, adapter_scale: 0.0 }
    }

    /// The parameter of that name, sharing its storage.
    pub fn get(&self, name: &str) -> Tensor {
        self.find(name).expect("every module asks for names of its own layout").shallow_clone()
    }

    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.index.get(name).map(|&at| &self.entries[at].1)
    }

    /// Adds adapters that count `scale` times, drawn from the seed, and freezes whatever is not among the trained.
    pub fn adapt(&mut self, adapters: Vec<ParameterLayout>, scale: f64, seed: u64, is_trained: impl Fn(&str) -> bool) {
        self.adapter_scale = scale;
        for entry in adapters {
            let tensor = draw(&entry, seed);
            self.index.insert(entry.name.clone(), self.entries.len());
            self.entries.push((entry, tensor));
        }
        for (entry, tensor) in &self.entries {
            // Returns the same tensor.
            let _ = tensor.set_requires_grad(is_trained(&entry.name));
        }
    }

    /// alpha / rank of the adapters, if there are any.
    pub fn adapter_scale(&self) -> f64 {
        self.adapter_scale
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ParameterLayout, &Tensor)> {
        self.entries.iter().map(|(layout, tensor)| (layout, tensor))
    }
}

/// A fresh value for one parameter.
pub fn draw(entry: &ParameterLayout, seed: u64) -> Tensor {
    let options = (Kind::Float, tch::Device::Cpu);
    let rng = ChaCha8Rng::seed_from_u64(mix(seed, &entry.name));
    match entry.init {
        Init::Zeros => Tensor::zeros(&entry.shape, options),
        Init::Ones => Tensor::ones(&entry.shape, options),
        Init::TruncatedNormal(deviation) => normal(&entry.shape, deviation, 2.0, rng),
        Init::Normal(deviation) => normal(&entry.shape, deviation, f64::INFINITY, rng),
        Init::Grid => grid(entry.shape[1], entry.shape[2]),
        Init::Ordinal { first } => {
            let (rows, width) = (entry.shape[0], entry.shape[1]);
            let noise = normal(&[rows, width], 0.02, 2.0, rng.clone());
            let mut directions = rng;
            directions.set_stream(1);
            let smooth = action_cosines().mm(&normal(&[ORDINAL_TERMS, width], (1.0 / width as f64).sqrt(), f64::INFINITY, directions));
            let _ = noise.narrow(0, first, ACTION_BINS).g_add_(&smooth);
            noise
        }
    }
}

fn normal(shape: &[i64], deviation: f64, bound: f64, mut rng: ChaCha8Rng) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| {
            let inside = std::iter::repeat_with(|| -> f64 { StandardNormal.sample(&mut rng) }).find(|z| z.abs() <= bound);
            (deviation * inside.expect("an endless iterator finds a value within the bound")) as f32
        })
        .collect();
    Tensor::from_slice(&values).view(shape)
}

/// `[1, patches, width]`: sine and cosine of row and column at wavelengths from four patches to twice the grid.
fn grid(patches: i64, width: i64) -> Tensor {
    let side = (patches as f64).sqrt().round() as i64;
    let waves = (width + 3) / 4;
    let value = |patch: i64, channel: i64| {
        let place = if channel % 2 == 0 { patch / side } else { patch % side } as f64;
        let fraction = (channel / 4) as f64 / (waves - 1).max(1) as f64;
        let phase = place * PI / 2.0 * (2.0 / side.max(2) as f64).powf(fraction);
        (if channel % 4 < 2 { phase.sin() } else { phase.cos() }) as f32
    };
    let values: Vec<f32> = (0..patches).flat_map(|patch| (0..width).map(move |channel| value(patch, channel))).collect();
    Tensor::from_slice(&values).view([1, patches, width])
}

/// `[256, terms]`: the first cosines over the range of an action, finer ones weaker.
fn action_cosines() -> Tensor {
    let value = |bin: i64, term: i64| {
        let place = (bin as f64 + 0.5) / ACTION_BINS as f64;
        ((PI * term as f64 * place).cos() * ORDINAL_SCALE / term as f64) as f32
    };
    let values: Vec<f32> = (0..ACTION_BINS).flat_map(|bin| (1..=ORDINAL_TERMS).map(move |term| value(bin, term))).collect();
    Tensor::from_slice(&values).view([ACTION_BINS, ORDINAL_TERMS])
}

/// One stream per seed and purpose (FNV-1a over the purpose, then splitmix64's finaliser).
pub fn mix(seed: u64, purpose: &str) -> u64 {
    let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ hash;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
