//! Rust: cargo, for the target that has no system to import from.

use std::path::Path;
use std::process::Command;

use super::super::cache;
use super::super::error::{During as _, Error, Result};
use super::super::project::cargo_artefacts;
use super::super::tools;

const TARGET: &str = "wasm32-unknown-unknown";

/// What a project in the working folder would find.
pub fn ready() -> Result<()> {
    tools::cargo("a Rust component")?;
    target(Path::new("."))
}

/// Builds the crate in `folder`; returns the core module, which carries the description of its world.
pub fn module(folder: &Path) -> Result<Vec<u8>> {
    let mut command = tools::cargo("a Rust component")?;
    target(folder)?;
    let cargo_toml = folder.join("Cargo.toml");
    command.current_dir(folder).args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    // One folder for all projects, so that what they have in common is compiled once and not once per project.
    command.arg("--manifest-path").arg(&cargo_toml).arg("--target-dir").arg(cache::of_user()?.join("cargo"));
    let output = tools::run("cargo", &mut command, folder)?;
    let module = cargo_artefacts(&output.stdout).filter(|path| path.extension().is_some_and(|e| e == "wasm")).last().ok_or_else(|| {
        let reason = "makes no WebAssembly module: its [lib] needs crate-type = [\"cdylib\"]".into();
        Error::Artefact { path: cargo_toml, reason }
    })?;
    std::fs::read(&module).during("read", &module)
}

/// Asks in the project's folder, because a rust-toolchain.toml there decides.
fn target(folder: &Path) -> Result<()> {
    let asked = Command::new("rustc").current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]).output();
    if asked.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()) {
        return Ok(());
    }
    Err(Error::Missing {
        needed_for: "a Rust component".into(),
        tool: format!("Rust's standard library for {TARGET}"),
        command: format!("rustup target add {TARGET}"),
    })
}
