//! Errors of everything that writes or reads a run folder: each names the file, what was tried, and the remedy.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused. `cause` is part of the message, so it is not repeated as a source.
    #[error("cannot {action} {}: {cause}{}", path.display(), remedy(cause))]
    Io { action: &'static str, path: PathBuf, cause: io::Error },
    #[error("run folder {} is in use by {holder}; wait for it to end, stop it, or choose another folder with --run-dir", path.display())]
    InUse { path: PathBuf, holder: String },
    /// A file does not hold what its format says. `line` is 1-based, 0 for the file as a whole.
    #[error("{}{}: {message}", path.display(), position(*line))]
    Format { path: PathBuf, line: usize, message: String },
    /// A folder or value does not fit the request; the message says which, and what to do.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// For `map_err`: `fs::rename(a, b).map_err(Error::io("rename", a))`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { action, path, cause }
    }

    pub fn format(path: impl AsRef<Path>, line: usize, message: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), line, message: message.into() }
    }

    /// True if the file system has no room left (or the user's quota is spent): the run can be resumed once there is.
    pub fn is_storage_full(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

fn position(line: usize) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull => "; free some space on that file system (what was saved before is intact)",
        io::ErrorKind::QuotaExceeded => "; your disk quota is spent: free some space (what was saved before is intact)",
        io::ErrorKind::PermissionDenied => "; you may not write there: change its permissions or choose another folder with --run-dir",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a folder on a writable file system with --run-dir",
        io::ErrorKind::NotADirectory => "; a part of that path is a file, not a folder",
        _ => "",
    }
}
