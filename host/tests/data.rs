//! Demonstrations end to end: the stored format against public fixtures, crash safety, and the training view.

#[path = "data/crash.rs"]
mod crash;
#[path = "data/fixtures.rs"]
mod fixtures;
#[path = "data/samples.rs"]
mod samples;
#[path = "data/sampling.rs"]
mod sampling;
