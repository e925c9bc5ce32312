//! Sandboxed components, from file to answer: the four worlds, the limits, and faults that stay the component's own.

#![allow(clippy::unwrap_used, reason = "a helper of a test may end it")]

#[path = "sandbox/faults.rs"]
mod faults;
#[path = "sandbox/files.rs"]
mod files;
#[path = "sandbox/grants.rs"]
mod grants;
#[path = "sandbox/guests.rs"]
mod guests;
#[path = "sandbox/mutations.rs"]
mod mutations;
#[path = "sandbox/worlds.rs"]
mod worlds;
