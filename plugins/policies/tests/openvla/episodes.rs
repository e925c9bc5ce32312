//! Observations and statistics for a small policy.

use twinhost_plugin_api::Batch;
use twinhost_plugin_api::{ComponentConfig, DatasetStatistics, FeatureStatistics, HostServices, Tensor, names};
use twinhost_plugin_torch::TorchPolicy;
use twinhost_policies::Openvla;

/// A network small enough to run many times in a test.
pub const SMALL: &str = "(
    image_size: 32, patch_size: 8, chunk: 2, state_dim: 3, action_dim: 4,
    dino: (width: 16, depth: 2, heads: 2, mlp: 32), siglip: (width: 16, depth: 2, heads: 2, mlp: 32),
    language: (hidden: 32, intermediate: 64, layers: 2, heads: 2), real_vocab: 320, value_head: (16, 8), augmentation: (),
)";

pub const TASKS: [&str; 3] = ["Pick up the red cube", "push the cube", "Open the top drawer slowly"];

/// The small policy with `more` fields in its configuration.
pub fn policy(more: &str, seed: u64) -> Openvla {
    let config = SMALL.replacen('(', &format!("({more} "), 1);
    let mut policy = Openvla::new(ComponentConfig::new(&config).parse().unwrap(), HostServices::standalone(1, seed)).unwrap();
    policy.set_statistics(&statistics(3, 4)).unwrap();
    policy
}

pub fn feature(dim: usize) -> FeatureStatistics {
    let mut mask = vec![true; dim];
    mask[dim - 1] = false;
    FeatureStatistics {
        mean: vec![0.0; dim],
        std: vec![1.0; dim],
        min: vec![-3.0; dim],
        max: vec![3.0; dim],
        q01: (0..dim).map(|i| -1.0 - 0.1 * i as f64).collect(),
        q99: (0..dim).map(|i| 1.5 + 0.1 * i as f64).collect(),
        mask,
    }
}

pub fn statistics(state: usize, action: usize) -> DatasetStatistics {
    DatasetStatistics {
        action: feature(action),
        state: feature(state),
        tasks: TASKS.map(String::from).into(),
        num_transitions: 100,
        num_trajectories: 4,
    }
}

/// Rows that all differ, with instructions of three lengths.
pub fn observations(rows: usize) -> Batch {
    let pixels = (0..rows * 32 * 32 * 3).map(|i| ((i * 37 + (i / 3072) * 53 + i / 101) % 256) as u8).collect();
    let state = (0..rows * 3).map(|i| ((i * 29) % 17) as f32 / 8.5 - 1.0).collect();
    let mut batch = Batch::new()
        .with("observation.images.base", Tensor::from_vec(pixels, &[rows, 32, 32, 3]))
        .with(names::STATE, Tensor::from_vec(state, &[rows, 3]));
    batch.insert_text(names::TASK, (0..rows).map(|i| TASKS[i % 3].to_string()).collect());
    batch
}

/// Observations with demonstrated actions `[rows, 2, 4]`.
pub fn demonstrations(rows: usize) -> Batch {
    let actions = (0..rows * 8).map(|i| ((i * 13) % 19) as f32 / 9.5 - 1.0).collect();
    observations(rows).with(names::ACTION, Tensor::from_vec(actions, &[rows, 2, 4]))
}

/// Adds the features of one batch to another.
pub fn joined(mut batch: Batch, more: &Batch) -> Batch {
    for (name, tensor) in more.iter() {
        batch.insert(name, tensor.try_clone().unwrap());
    }
    batch
}
