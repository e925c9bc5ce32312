//! The sandbox: components written in any language, compiled to WebAssembly, behind the author-side traits of their kind.
//!
//! A component file is read and judged without compiling it (`inspection`), compiled once per content (`program`), and run in an instance of its
//! own that can reach nothing but its arguments (`sandbox`). What comes back is held against the component's own description (`exchange`), and
//! whatever goes wrong becomes one sentence with the guest's own backtrace (`failure`).
//!
//! `wasmtime` types stop here, as `abi_stable` types stop at the loader's native side.

mod bindings;
mod cache;
mod engine;
mod env;
mod exchange;
mod failure;
mod filter;
mod grants;
mod inspection;
mod policy;
mod program;
mod reward;
mod sandbox;

pub use engine::Metering;
pub use env::GuestEnv;
pub use filter::GuestFilter;
pub use inspection::{MANIFEST_SECTION, inspect};
pub use policy::GuestPolicy;
pub use program::{Program, Programs};
pub use reward::GuestReward;
pub use sandbox::{Bounds, Setup};

/// Reads a component's description of itself.
fn described<T: serde::de::DeserializeOwned>(json: &str) -> twinhost_plugin_api::Result<T> {
    serde_json::from_str(json)
        .map_err(|e| twinhost_plugin_api::Error::internal(format!("describes itself in a way that cannot be read: {e}")))
}

fn is_metric_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
}
