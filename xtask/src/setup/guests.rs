//! The compilers of sandboxed components, one per language, as packages in the user's cache: where `host plugin build` looks for them, at the
//! versions it asks for.
//!
//! None of this is needed to build or run the host, so what cannot be had is said and left out; tests that need it say what they did not compare.

use super::cache::Cache;
use super::python;
use std::path::Path;
use std::process::{Command, Stdio};

/// As in `host/src/authoring/tools.rs`; a test compares.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.0";
const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js@0.23.0";
const ZIG: &str = "ziglang==0.17.0";

const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// Installs what is missing and can be had; prints a line for whatever it did or could not do.
pub fn provide(cache: &Cache) {
    let tools = cache.root().join("tools");
    tell("Rust", rust());
    tell("Python", python_package(&tools, COMPONENTIZE_PY));
    tell("JavaScript", javascript(&tools));
    if !ends_well(Command::new("clang").args(["--target=wasm32-wasi", "-x", "c", "-E", "-include", "stdlib.h", "-"])) {
        tell("C", python_package(&tools, ZIG));
    }
}

/// What was done; nothing, if all was there; or why it cannot be done.
type Outcome = Result<Option<String>, String>;

fn tell(language: &str, outcome: Outcome) {
    match outcome {
        Ok(None) => {}
        Ok(Some(done)) => println!("{language} components: {done}"),
        Err(reason) => println!("{language} components cannot be built on this machine: {reason}"),
    }
}

fn rust() -> Outcome {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", RUST_TARGET]).output();
    if asked.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()) {
        return Ok(None);
    }
    let mut rustup = Command::new("rustup");
    run(rustup.args(["target", "add", RUST_TARGET]))?;
    Ok(Some(format!("added the target {RUST_TARGET}")))
}

fn python_package(tools: &Path, requirement: &str) -> Outcome {
    let folder = tools.join(requirement.replace("==", "-"));
    if folder.is_dir() {
        return Ok(None);
    }
    let interpreter = python::with_pip().map_err(|e| e.to_string())?;
    installed(&folder, |unfinished| {
        let mut pip = Command::new(interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--target"])
            .arg(unfinished)
            .arg(requirement);
        pip
    })
}

fn javascript(tools: &Path) -> Outcome {
    let (_, version) = COMPONENTIZE_JS.rsplit_once('@').expect("a package with a version");
    let folder = tools.join(format!("componentize-js-{version}"));
    if folder.is_dir() {
        return Ok(None);
    }
    installed(&folder, |unfinished| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-fund", "--no-audit", "--prefix"]).arg(unfinished).arg(COMPONENTIZE_JS);
        npm
    })
}

/// Installs beside the place and moves there when it is complete, so that a folder that is there is whole.
fn installed(folder: &Path, install: impl FnOnce(&Path) -> Command) -> Outcome {
    let unfinished = folder.with_extension(format!("tmp-{}", std::process::id()));
    std::fs::create_dir_all(&unfinished).map_err(|e| format!("cannot create {}: {e}", unfinished.display()))?;
    let outcome = run(&mut install(&unfinished))
        .and_then(|()| std::fs::rename(&unfinished, folder).map_err(|e| format!("cannot move {} into place: {e}", folder.display())));
    if outcome.is_err() {
        // The reason is told; what is left of the attempt is worth nothing.
        drop(std::fs::remove_dir_all(&unfinished));
    }
    outcome.map(|()| Some(format!("installed {}", folder.display())))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{program} cannot be started ({e})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(format!("{program} failed: {}", last.trim()))
}

fn ends_well(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn the_host_asks_for_the_same_versions() {
        let tools =
            std::fs::read_to_string(Workspace::find().expect("a checkout").root().join("host/src/authoring/tools.rs")).expect("readable");
        for pin in [COMPONENTIZE_PY, COMPONENTIZE_JS, ZIG] {
            assert!(tools.contains(&format!("{pin:?}")), "host/src/authoring/tools.rs does not ask for {pin}");
        }
    }
}
