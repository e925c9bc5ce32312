//! Opening a library runs its constructors, and those can end the process or never return. So a library that was not opened on this
//! machine before is opened by a child process first.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::discovery::Bundle;
use super::inspection::inspect;
use super::{libraries, native};

/// Written by the child once the library's constructors have returned.
const OPENED: &str = "opened";
/// Loading libtorch for the first time from a slow disk takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

static HOST_BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Says which executable to start as a child process: the host binary. A program that only links the library has none until it says so,
/// and then nothing is tried in a child.
pub fn set_host_binary(path: PathBuf) {
    // The first one stays: children of one process must be alike.
    let _ = HOST_BINARY.set(path);
}

pub(super) fn host_binary() -> Option<&'static Path> {
    HOST_BINARY.get().map(PathBuf::as_path)
}

/// Opens a plugin library in a child process.
///
/// # Errors
/// How the process ended, or that it did not return. A library that the system's loader merely refuses is no error here.
pub fn open_in_child(library: &Path) -> Result<(), String> {
    let Some(host) = host_binary() else { return Ok(()) };
    let mut child = Command::new(host)
        .args(["child", "open"])
        .arg(library)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot be tried out in a process of its own ({} does not start: {e})", host.display()))?;
    let step = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if waited < LIMIT => {
                std::thread::sleep(step);
                waited += step;
            }
            Ok(None) => {
                // It may have ended just now, which is as well.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "opening it does not return: one of its constructors hangs (it was ended after {} s)",
                    LIMIT.as_secs()
                ));
            }
            Err(e) => return Err(format!("cannot be tried out in a process of its own: {e}")),
        }
    };
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        // A constructor may have written anything before.
        let mut bytes = Vec::new();
        let _ = stdout.read_to_end(&mut bytes);
        said = String::from_utf8_lossy(&bytes).into_owned();
    }
    if status.success() && said.trim_end().ends_with(OPENED) {
        return Ok(());
    }
    Err(format!("opening it ends the process with {}: one of its constructors does that; a plugin must not", ended(status)))
}

/// The child's side of [`open_in_child`].
pub fn open_and_tell(library: &Path) -> ! {
    if let Ok(Some(found)) = inspect(library) {
        let missing = found.manifest.requires.iter().find_map(|requirement| libraries::open(requirement).err());
        if missing.is_none() {
            // Refused by the system's loader: the parent will be told the same, with the reason.
            drop(native::load(library));
        }
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "\n{OPENED}");
    let _ = out.flush();
    // SAFETY: ends the process without running destructors, which are not what is being tried here.
    unsafe { libc::_exit(0) }
}

/// How a process ended, e.g. `exit code 3` or `signal 11 (SIGSEGV)`.
pub(super) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal} ({})", signal_hook::low_level::signal_name(signal).unwrap_or("unknown")),
        (None, None) => status.to_string(),
    }
}

/// Tries a library in a child unless that was done before with the very same file.
pub(super) fn first_opening(bundle: &Bundle) -> Result<(), String> {
    if host_binary().is_none() {
        return Ok(());
    }
    let mark = crate::folders::cache().map(|cache| cache.join("opened").join(&bundle.sha256));
    if mark.as_ref().is_some_and(|mark| mark.is_file()) {
        return Ok(());
    }
    open_in_child(&bundle.library)?;
    if let Some(mark) = mark {
        // Without the mark it is tried again next time.
        let _ = mark.parent().map(std::fs::create_dir_all);
        let _ = std::fs::write(mark, "");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_end_are_named() {
        let check = |raw: i32, expect: &str| assert_eq!(ended(ExitStatus::from_raw(raw)), expect);
        check(3 << 8, "exit code 3");
        check(11, "signal 11 (SIGSEGV)");
        check(9, "signal 9 (SIGKILL)");
    }
}
