//! Demonstrations end to end: the stored format against public fixtures, crash safety, and the training view.

#![allow(clippy::unwrap_used, reason = "a helper of a test may end it")]

#[path = "data/command_line.rs"]
mod command_line;
#[path = "data/crash.rs"]
mod crash;
#[path = "data/fixtures.rs"]
mod fixtures;
#[path = "data/generation.rs"]
mod generation;
#[path = "data/point_mass.rs"]
mod point_mass;
#[path = "data/samples.rs"]
mod samples;
#[path = "data/sampling.rs"]
mod sampling;
