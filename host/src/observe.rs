//! Everything a person or a tool sees of a run: its folder, metrics, progress, log, films and report.

pub mod about;
pub mod clock;
pub mod durable;
mod error;
pub mod evaluation;
pub mod film;
pub mod logging;
pub mod metrics;
pub mod progress;
pub mod report;
pub mod run_dir;
pub mod statistics;
mod tensorboard;

pub use about::{ArmAbout, Machine, RunAbout, RunPhase, RunStatus};
pub use error::{Error, Result};
pub use evaluation::{DemonstrationSet, DemonstrationSource, EvalEpisode, EvalGroup, EvalResult};
pub use logging::{Logging, init_logging};
pub use metrics::{MetricSink, metrics_digest};
pub use progress::{Progress, Stage};
pub use run_dir::{RunDir, RunLayout};
