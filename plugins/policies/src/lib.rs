//! Policy components of Twinhost.
//!
//! `openvla`: the OpenVLA architecture (fused DINOv2 + SigLIP vision, Llama decoder, actions as 256-bin tokens) in sizes from a small
//! network that two CPU cores train from scratch to the published 7B checkpoint.

mod allocator;
pub mod openvla;

pub use openvla::Openvla;

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    policies: {
        "openvla" => openvla::create,
    },
}
