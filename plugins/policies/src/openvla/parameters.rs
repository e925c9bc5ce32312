//! The parameters themselves: drawn from the component's seed, found by name, changed only in place.

use rand::SeedableRng;
use rand::distr::Distribution;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use std::collections::HashMap;
use tch::{Kind, Tensor};

use super::layout::{Init, ParameterLayout};

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
    let normal = |deviation: f64, bound: f64| {
        let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, &entry.name));
        let count: i64 = entry.shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| {
                let inside = std::iter::repeat_with(|| -> f64 { StandardNormal.sample(&mut rng) }).find(|z| z.abs() <= bound);
                (deviation * inside.expect("an endless iterator finds a value within the bound")) as f32
            })
            .collect();
        Tensor::from_slice(&values).view(entry.shape.as_slice())
    };
    match entry.init {
        Init::Zeros => Tensor::zeros(&entry.shape, options),
        Init::Ones => Tensor::ones(&entry.shape, options),
        Init::TruncatedNormal(deviation) => normal(deviation, 2.0),
        Init::Normal(deviation) => normal(deviation, f64::INFINITY),
    }
}

/// One stream per seed and purpose (FNV-1a over the purpose, then splitmix64's finaliser).
pub fn mix(seed: u64, purpose: &str) -> u64 {
    let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ hash;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
