//! What can go wrong with stored data: every message names the file, the feature or the value, and the remedy.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io { action: &'static str, path: PathBuf, cause: io::Error },
    /// A file does not hold what its format says.
    #[error("{}: {message}", path.display())]
    Format { path: PathBuf, message: String },
    /// A request does not fit the data; the message says what would.
    #[error("{0}")]
    Refused(String),
    /// Writing durably failed.
    #[error(transparent)]
    Storage(#[from] crate::observe::Error),
    /// Too many attempts at an episode failed.
    #[error("{0}")]
    TooFewSuccesses(String),
    /// An environment or policy failed.
    #[error(transparent)]
    Component(#[from] twinhost_plugin_api::Error),
    /// The caller's progress callback asked to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    /// For `map_err`: `fs::read(p).map_err(Error::io("read", p))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }

    pub fn format(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }
}
