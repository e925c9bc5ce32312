//! The `openvla` policy against recorded results of the public implementations, and against its own promises.

// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

#[path = "openvla/acting.rs"]
mod acting;
#[path = "openvla/adapters.rs"]
mod adapters;
#[path = "openvla/augmented.rs"]
mod augmented;
#[path = "openvla/checkpoints.rs"]
mod checkpoints;
#[path = "openvla/episodes.rs"]
mod episodes;
#[path = "openvla/learning.rs"]
mod learning;
#[path = "openvla/names.rs"]
mod names;
#[path = "openvla/parity.rs"]
mod parity;
#[path = "openvla/prompts.rs"]
mod prompts;
#[path = "openvla/tokens.rs"]
mod tokens;
