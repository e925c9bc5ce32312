//! Demonstrations: stored as LeRobot datasets, recorded from experts, multiplied by MimicGen, and drawn from for training.
//!
//! ```text
//! NAME-KEY/twinhost.json                                what it was made from, attempts and successes (Provenance; written last)
//!          meta/info.json                               features, fps, totals; the commit point of every append
//!          meta/{stats.json,tasks.parquet}
//!          meta/episodes/chunk-CCC/file-FFF.parquet     one row per episode, with its statistics and `twinhost/seed`
//!          data/chunk-CCC/file-FFF.parquet              one row per frame: observation.*, action, next.*, privileged.*, images as PNG
//!          failures/                                    failed attempts, a dataset of their own, where they are kept
//! ```
//!
//! This is LeRobot v3.0; `twinhost*` and `failures` are additions that its readers ignore. Each frame is an observation, the action taken on it, and
//! what came of it. `privileged.*` is the ground truth that MimicGen reads back; it never becomes a model input.
//!
//! [`DatasetWriter`] and [`Dataset`] are the format on disk; [`EpisodeBuffer`] holds all frames in memory for training and [`MixedSampler`] says
//! which of them make up a batch; [`statistics()`] are the numbers that normalise them. [`record::record`] and [`mimicgen::generate`] make
//! datasets, [`open_or_make`] makes each one only once, [`sets`] are those that a recipe asks for.

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
