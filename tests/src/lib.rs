//! What the end-to-end tests share: where the built host and plugins are, and how to start the host as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Folder of the built binaries and plugin libraries (`target/debug`, wherever cargo put it).
///
/// # Panics
/// If the test binary does not lie in a cargo target folder.
pub fn built() -> PathBuf {
    let exe = std::env::current_exe().expect("a test binary has a path");
    exe.ancestors().nth(2).expect("test binaries lie in <profile>/deps").to_path_buf()
}

/// A built plugin library.
///
/// # Panics
/// If it was not built.
pub fn plugin(name: &str) -> PathBuf {
    let path = built().join(format!("libtwinhost_{name}.so"));
    assert!(path.is_file(), "{} is not built: run `cargo xtask build-plugins`, or test with `cargo xtask test`", path.display());
    path
}

/// A copy of a built plugin library in which every occurrence of `from` reads `to`.
///
/// # Panics
/// If the two differ in length, or `from` does not occur.
pub fn altered(folder: &Path, plugin_name: &str, from: &[u8], to: &[u8]) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(plugin(plugin_name)).expect("the library is readable");
    let places: Vec<usize> = bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{} does not occur", String::from_utf8_lossy(from));
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    let path = folder.join("libaltered.so");
    std::fs::write(&path, bytes).expect("the folder is writable");
    path
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// A command that starts the host in `folder`.
pub fn host(folder: &Path) -> Command {
    newcomer(Command::new(built().join("host")), folder)
}

/// A command in `folder` of somebody who has installed and allowed nothing yet.
pub fn newcomer(mut command: Command, folder: &Path) -> Command {
    command.current_dir(folder).env_remove("TWINHOST_PLUGIN_PATH");
    command.env("XDG_DATA_HOME", folder.join("xdg-data")).env("XDG_CONFIG_HOME", folder.join("xdg-config"));
    command
}

/// Where cargo builds what lies outside of this repository, so that what it depends on is compiled once for all tests and runs.
pub fn outside() -> PathBuf {
    built().with_file_name("outside")
}

/// Runs and returns exit code, standard output and standard error.
///
/// # Panics
/// If the host cannot be started at all.
pub fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the host binary is built (cargo xtask test builds it)");
    (status.code().unwrap_or(-1), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}
