//! Finds plugins, refuses those that do not fit, and turns the rest into plain [`twinhost_plugin_api`] traits.
//!
//! `abi_stable` types stop here: the rest of the host sees [`EnvHandle`], [`PolicyHandle`], ... which implement the author-side
//! traits and put the component's name in front of every error.

mod conformance;
mod devices;
mod discovery;
mod elf;
mod handles;
mod isolation;
mod libraries;
mod manifest;
mod native;
mod probe;
mod services;
mod trust;
mod watchdog;

pub use conformance::examine;
pub use devices::{CameraHandle, RobotHandle, TeleopHandle};
pub use discovery::{Bundle, Candidate, Catalog, SearchPath, search_order};
pub use elf::{Refusal, inspect};
pub use handles::{AlgorithmHandle, EnvHandle, PolicyHandle, RewardHandle};
pub use isolation::serve;
pub use libraries::{NativeLibrary, locate};
pub use manifest::{ComponentEntry, Example, Kind, Manifest, Requirement};
pub use native::Loader;
pub use probe::{open_and_tell, open_in_child, set_host_binary};
pub use services::{cancel_now, host_services, is_cancelled};
pub use trust::{Trust, TrustList};
