//! The machine's Python: as the carrier of pip, and as a possible owner of a CUDA torch.

use super::packages;
use crate::failure::{Failure, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The one on `PATH` first; Debian's own as well, because apt installs pip only for that one.
const INTERPRETERS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// The first pip that understands today's platform tags and index pages.
const OLDEST_PIP: (u32, u32) = (20, 3);

/// A Python interpreter whose pip can fetch the wheels; installs pip where that is allowed.
pub fn with_pip() -> Result<&'static str> {
    match find_pip() {
        Err(NoPip::Absent) => {
            packages::install("pip, Python's package client", &["python3", "python3-pip"])?;
            find_pip().map_err(|_| {
                Failure::new("python3-pip is installed, yet neither `python3 -m pip` nor `/usr/bin/python3 -m pip` runs; repair that Python or put a working python3 on PATH")
            })
        }
        Err(NoPip::TooOld(interpreter, version)) => Err(Failure::new(format!(
            "pip {version} of {interpreter} is older than {}.{}; upgrade it with `{interpreter} -m pip install --user --upgrade pip`",
            OLDEST_PIP.0, OLDEST_PIP.1
        ))),
        Ok(interpreter) => Ok(interpreter),
    }
}

enum NoPip {
    Absent,
    TooOld(&'static str, String),
}

fn find_pip() -> std::result::Result<&'static str, NoPip> {
    let mut reason = NoPip::Absent;
    for interpreter in INTERPRETERS {
        let output = Command::new(interpreter).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output();
        let Some(output) = output.ok().filter(|output| output.status.success()) else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(1).unwrap_or_default();
        if is_recent(version) {
            return Ok(interpreter);
        }
        reason = NoPip::TooOld(interpreter, version.to_owned());
    }
    Err(reason)
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST_PIP
}

/// A torch that a Python on `PATH` would import.
#[derive(Debug, PartialEq, Eq)]
pub struct PythonTorch {
    /// Version with its build tag, for example `2.11.0+cu130`.
    pub version: String,
    /// The package folder, which holds `lib/` and `include/`.
    pub folder: PathBuf,
}

/// Asks `python3` for its torch without importing it, which would take seconds.
pub fn torch() -> Option<PythonTorch> {
    let script = "import importlib.metadata as m, importlib.util as u\nprint(m.version('torch')); print(u.find_spec('torch').submodule_search_locations[0])";
    let output = Command::new("python3").args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    Some(PythonTorch { version: lines.next()?.to_owned(), folder: PathBuf::from(lines.next()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_versions_compare_as_numbers() {
        let check = |version: &str, expect: bool| assert_eq!(is_recent(version), expect, "{version}");
        check("9.0.1", false);
        check("20.0.2", false);
        check("20.3", true);
        check("23.2.1", true);
        check("100.0.dev1", true);
        check("", false);
    }
}
