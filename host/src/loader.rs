//! Finds plugins, refuses those that do not fit, and turns the rest into plain [`twinhost_plugin_api`] traits.
//!
//! A plugin is a native library (`native`) or a WebAssembly component in a sandbox (`wasm`); whoever uses one cannot tell.
//! `abi_stable` and `wasmtime` types stop here: the rest of the host sees [`EnvHandle`], [`PolicyHandle`], ... which implement the author-side
//! traits and put the component's name in front of every error.

mod conformance;
mod devices;
mod discovery;
mod elf;
mod filter;
mod handles;
mod inspection;
mod isolation;
mod libraries;
mod manifest;
mod native;
mod placed;
mod probe;
mod sandboxed;
mod services;
mod trust;
mod wasm;
mod watchdog;

pub use conformance::{examine, plain_env};
pub use devices::{CameraHandle, RobotHandle, TeleopHandle};
pub use discovery::{Bundle, Candidate, Catalog, NOT_OURS, SearchPath, search_order};
pub use filter::{Filter, FilterHandle, Proposal, Reviewed, Veto};
pub use handles::{AlgorithmHandle, EnvHandle, PolicyHandle, RewardHandle};
pub use inspection::{Inspection, Refusal, inspect};
pub use isolation::serve;
pub use libraries::{NativeLibrary, build_variables, locate};
pub use manifest::{ComponentEntry, Example, Kind, Manifest, Requirement};
pub use native::Loader;
pub use probe::{open_and_tell, open_in_child, set_host_binary};
pub use sandboxed::Terms;
pub use services::{cancel_now, host_services, is_cancelled};
pub use trust::{Trust, TrustList};
pub use wasm::MANIFEST_SECTION as COMPONENT_MANIFEST_SECTION;
