//! Demonstrations: stored as LeRobot datasets, recorded from experts, multiplied by MimicGen, and drawn from for training.
//!
//! [`DatasetWriter`] and [`Dataset`] are the format on disk; [`EpisodeBuffer`] holds all frames in memory for training and [`MixedSampler`] says
//! which of them make up a batch; [`statistics()`] are the numbers that normalise them. [`record::record`] and [`mimicgen::generate`] make
//! datasets, [`open_or_make`] makes each one only once.

pub mod attempts;
mod buffer;
mod columns;
mod dataset;
pub mod describe;
mod draws;
mod episode;
mod episode_stats;
mod error;
mod images;
pub mod mimicgen;
pub mod record;
mod sampler;
mod schema;
pub mod sets;
mod statistics;
pub mod store;
mod tables;
mod writer;

pub use attempts::{Outcome, Progress};
pub use buffer::{ACTION_IS_PAD, Cameras, EpisodeBuffer, gather};
pub use dataset::{Dataset, Frames};
pub use episode::Episode;
pub use error::{Error, Result};
pub use sampler::{MixedSampler, Origin};
pub use schema::{FeatureEntry, Info, Storage};
pub use statistics::statistics;
pub use store::{Ingredients, Order, Provenance, Stored, default_folder, folder_for, open_or_make};
pub use tables::EpisodeEntry;
pub use writer::DatasetWriter;
