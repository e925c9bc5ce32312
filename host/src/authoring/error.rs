//! What can go wrong between a source and a plugin.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project's files or names do not fit together.
    #[error("{0}")]
    Project(String),
    /// Another program is needed and not there.
    #[error("{needed_for} needs {tool}, which was not found; install it with\n  {command}")]
    Missing { needed_for: String, tool: String, command: String },
    /// Another program refused the source; its own words follow.
    #[error("{program} could not build {}:\n{}", source_path.display(), complaint.trim_end())]
    Tool { program: String, source_path: PathBuf, complaint: String },
    /// What was built is not what the host loads.
    #[error("{}: {reason}", path.display())]
    Artefact { path: PathBuf, reason: String },
    #[error("cannot {action} {}: {error}", path.display())]
    Io { action: &'static str, path: PathBuf, error: std::io::Error },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says which file an input or output error is about.
pub(super) trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Io { action, path: path.to_path_buf(), error })
    }
}
