//! Training algorithms. Each is a [`TorchAlgorithm`](twinhost_plugin_torch::TorchAlgorithm); the SDK's learner adaptor adds what
//! all of them share: micro-batches, the real-data anchor, clipping, AdamW and checkpoints.

pub mod gae;
pub mod ppo;
pub mod rollout;
mod sft;

pub use sft::{Sft, SftConfig};

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    algorithms: {
        "ppo" => ppo::Ppo::create,
        "sft" => Sft::create,
    },
}
