//! How a task ends badly: one sentence that names the thing and the remedy, and the exit code that goes with it.

use std::fmt;

/// Exit code for wrong input or a machine that lacks something; the user can mend it.
const EXIT_USER: u8 = 2;

/// Why a task stopped.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    exit_code: u8,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure the user can mend, told in one sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit_code: EXIT_USER }
    }

    /// The checkout itself is what has to be mended: a test failed, a rule is broken.
    pub fn work(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit_code: 1 }
    }

    /// A child process failed after it printed its own reasons; its exit code is passed on.
    pub fn child(what: &str, status: std::process::ExitStatus) -> Self {
        let exit_code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Self { sentence: format!("{what} failed ({status})"), exit_code }
    }

    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Adds to an I/O error what was being done, and the remedy where the cause has one.
pub trait During<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let what = what();
            Failure::new(match error.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => format!(
                    "could not {what}: the disk is full; free about 1.5 GB there, or set XDG_CACHE_HOME to a folder on another disk, and run the command again"
                ),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    format!("could not {what}: {error}; make it writable, or set XDG_CACHE_HOME to a folder that is")
                }
                _ => format!("could not {what}: {error}"),
            })
        })
    }
}
