//! Getting the pinned wheels with the ordinary pip client, and making sure they are the pinned ones.

use super::cache::Cache;
use super::pins::{Library, Wheel};
use super::progress::Meter;
use super::python;
use crate::failure::{During, Failure, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The wheels are built for this Python; the machine's own version does not matter to us.
const WHEEL_PYTHON: &str = "3.12";

/// Fetches what is not yet in the cache and verifies all of it; returns the archives in the library's order.
pub fn fetch(cache: &Cache, library: &Library) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(cache.wheels()).during(|| format!("create {}", cache.wheels().display()))?;
    library.wheels.iter().map(|wheel| fetch_wheel(cache, wheel)).collect()
}

fn fetch_wheel(cache: &Cache, wheel: &Wheel) -> Result<PathBuf> {
    let place = cache.wheels().join(wheel.file);
    if place.exists() {
        if sha256_of(&place)? == wheel.sha256 {
            return Ok(place);
        }
        eprintln!("{} in the cache is damaged; fetching it again", wheel.file);
        fs::remove_file(&place).during(|| format!("remove {}", place.display()))?;
    }
    let interpreter = python::with_pip()?;
    let mut found = String::new();
    for attempt in ["first", "second"] {
        let folder = cache.temporary("download")?;
        run_pip(interpreter, wheel, folder.path())?;
        let archive = folder.path().join(wheel.file);
        if !archive.is_file() {
            return Err(Failure::new(format!(
                "pip fetched no {} for {}; the package index offers other files than the pinned ones",
                wheel.file, wheel.requirement
            )));
        }
        found = sha256_of(&archive)?;
        if found == wheel.sha256 {
            fs::rename(&archive, &place).during(|| format!("move {} into the cache", wheel.file))?;
            return Ok(place);
        }
        eprintln!("the {attempt} download of {} has the wrong SHA-256", wheel.file);
    }
    Err(Failure::new(format!(
        "{} has SHA-256 {found}, not the pinned {}, twice in a row; a mirror or proxy alters it: check `pip config list` and run again",
        wheel.file, wheel.sha256
    )))
}

fn run_pip(interpreter: &str, wheel: &Wheel, folder: &Path) -> Result<()> {
    let mut pip = Command::new(interpreter);
    pip.args(["-m", "pip", "download", "--quiet", "--progress-bar", "off", "--disable-pip-version-check", "--no-input", "--no-cache-dir"])
        .args(["--retries", "3", "--timeout", "30", "--no-deps", "--only-binary=:all:", "--implementation", "cp"])
        .args(["--python-version", WHEEL_PYTHON, "--platform", wheel.platform, "--dest"])
        .arg(folder)
        .arg(wheel.requirement)
        // pip writes half a gigabyte to its temporary folder first; keep that on the cache's disk, where we can watch it grow.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = pip.spawn().during(|| format!("start {interpreter} -m pip"))?;
    let mut complaint = child.stderr.take().expect("stderr was piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        // A pip that writes no UTF-8 has nothing we could match on; its exit code still counts.
        let _ = complaint.read_to_string(&mut text);
        text
    });
    let mut meter = Meter::new(format!("fetching {}", wheel.requirement), wheel.bytes);
    let status = loop {
        if let Some(status) = child.try_wait().during(|| "wait for pip".to_owned())? {
            break status;
        }
        meter.set(bytes_under(folder));
        std::thread::sleep(Duration::from_millis(100));
    };
    let complaint = reader.join().unwrap_or_default();
    if !status.success() {
        return Err(explain(wheel, &complaint));
    }
    meter.finish();
    Ok(())
}

/// pip's pages of complaint in one sentence with a remedy.
fn explain(wheel: &Wheel, complaint: &str) -> Failure {
    let says = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    let what = wheel.requirement;
    Failure::new(if says(&["No space left on device", "Errno 28"]) {
        format!(
            "the disk filled up while fetching {what}; free about 1.5 GB, or set XDG_CACHE_HOME to a folder on another disk, and run again"
        )
    } else if says(&["DO NOT MATCH THE HASHES"]) {
        format!("{what} arrived damaged; run again, and if it happens again check the proxy or mirror in `pip config list`")
    } else if says(&[
        "NewConnectionError",
        "name resolution",
        "Name or service not known",
        "Network is unreachable",
        "ProxyError",
        "timed out",
        "Connection",
    ]) {
        format!(
            "the package index could not be reached while fetching {what}; check the network and pip's proxy settings (`pip config list`), then run again"
        )
    } else if says(&["No matching distribution", "Could not find a version"]) {
        format!("the package index offers no {what} for {}; check `pip config list` for an index that does not mirror it", wheel.platform)
    } else {
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        format!("pip could not fetch {what}: {}", last.trim())
    })
}

fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_under(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// SHA-256 of a file, lower-case hexadecimal.
fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).during(|| format!("open {}", path.display()))?;
    let mut digest = Sha256::new();
    std::io::copy(&mut file, &mut digest).during(|| format!("read {}", path.display()))?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::pins::MUJOCO;

    #[test]
    fn digest_is_the_published_one_for_abc() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("abc");
        fs::write(&path, "abc").expect("write");
        // FIPS 180-4, the example of appendix B.1.
        assert_eq!(sha256_of(&path).expect("digest"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn pips_complaints_become_one_sentence_with_a_remedy() {
        let check = |complaint: &str, expect: &str| {
            let sentence = explain(&MUJOCO.wheels[0], complaint).to_string();
            assert!(sentence.contains(expect) && !sentence.contains('\n'), "{complaint:?} became {sentence:?}");
        };
        check("ERROR: Could not install: [Errno 28] No space left on device\n", "XDG_CACHE_HOME");
        check(
            "WARNING: Retrying: NewConnectionError('x')\nERROR: No matching distribution found for mujoco==3.17.0\n",
            "could not be reached",
        );
        check("ERROR: No matching distribution found for mujoco==3.17.0\n", "offers no mujoco==3.17.0");
        check("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n", "damaged");
        check("ERROR: something new\n\n", "ERROR: something new");
        check("", "no reason given");
    }
}
