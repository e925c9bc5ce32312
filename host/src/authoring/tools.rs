//! Other people's programs: found, started, and quoted when they complain.
//!
//! Rust's and C's are looked for on the search path. Those that come as packages are looked for in `tools/` of the user's cache first, where the
//! command that a message shows puts them, and where `cargo xtask setup` puts them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::cache;
use super::error::{Error, Result};
use super::guest::c_works;

/// The versions whose results are tested.
pub const COMPONENTIZE_PY: &str = "componentize-py==0.25.0";
pub const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js@0.23.0";
const ZIG: &str = "ziglang==0.17.0";

/// A program that was found, with the arguments that come first.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Tool {
    fn new(name: &str, program: impl Into<OsString>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { name: name.into(), program: program.into(), arguments, environment: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// cargo, as the `CARGO` variable or the search path has it.
pub fn cargo(needed_for: &str) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if answers(Command::new(&program).arg("--version")) {
        return Ok(Command::new(program));
    }
    Err(Error::Missing {
        needed_for: needed_for.into(),
        tool: "Rust's cargo".into(),
        command: "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh".into(),
    })
}

/// The compiler for Python components.
pub fn componentize_py() -> Result<Tool> {
    let (folder, install) = python_package(COMPONENTIZE_PY)?;
    let script = "import sys, componentize_py; sys.exit(componentize_py.script())";
    let cached = Tool::new("componentize-py", "python3", &["-c", script]).with("PYTHONPATH", folder);
    let on_path = Tool::new("componentize-py", "componentize-py", &[]);
    let version = COMPONENTIZE_PY.replace("==", " ");
    let is_right = |tool: &&Tool| said(tool.command().arg("--version")).is_some_and(|text| text.trim() == version);
    [cached, on_path].iter().find(is_right).cloned().ok_or_else(|| Error::Missing {
        needed_for: "a Python component".into(),
        tool: format!("componentize-py {}", version.split(' ').next_back().unwrap_or_default()),
        command: install,
    })
}

/// node, and the folder of the `componentize-js` package.
pub fn componentize_js() -> Result<(Tool, PathBuf)> {
    let (package, version) = COMPONENTIZE_JS.rsplit_once('@').expect("a package with a version");
    let missing = |tool: String, command: String| Error::Missing { needed_for: "a JavaScript component".into(), tool, command };
    let node = Tool::new("node", "node", &[]);
    let major =
        said(node.command().arg("--version")).and_then(|text| text.trim().strip_prefix('v')?.split('.').next()?.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        return Err(missing("Node.js 20 or newer, with npm".into(), "sudo apt-get install -y nodejs npm   # or https://nodejs.org".into()));
    }
    let prefix = cache::of_user()?.join("tools").join(format!("componentize-js-{version}"));
    let folder = prefix.join("node_modules").join(package);
    if folder.join("src/componentize.js").is_file() {
        return Ok((node, folder));
    }
    Err(missing(format!("componentize-js {version}"), format!("npm install --prefix {} {COMPONENTIZE_JS}", prefix.display())))
}

/// clang with a C library for WebAssembly, else zig.
pub fn c_compiler(stage: &Path) -> Result<Tool> {
    let (folder, install) = python_package(ZIG)?;
    let candidates = [
        Tool::new("clang", "clang", &["--target=wasm32-wasi"]),
        Tool::new("zig", "python3", &["-m", "ziglang", "cc", "-target", "wasm32-wasi"]).with("PYTHONPATH", folder),
        Tool::new("zig", "zig", &["cc", "-target", "wasm32-wasi"]),
    ];
    candidates.iter().find(|tool| c_works(tool, stage)).cloned().ok_or_else(|| Error::Missing {
        needed_for: "a C component".into(),
        tool: "clang with wasi-libc (or zig)".into(),
        command: format!(
            "sudo apt-get install -y --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32\nor, without root:\n  {install}"
        ),
    })
}

/// Where a Python package of this requirement lies in the cache, and the command that puts it there.
fn python_package(requirement: &str) -> Result<(PathBuf, String)> {
    let folder = cache::of_user()?.join("tools").join(requirement.replace("==", "-"));
    let install = format!("python3 -m pip install --target {} {requirement}", folder.display());
    Ok((folder, install))
}

/// Standard output of a command that ends well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True if the program starts and ends well.
pub fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs to the end; a failure quotes what the program said about `source`.
pub fn run(program: &str, command: &mut Command, source: &Path) -> Result<Output> {
    let refuse = |complaint: String| Error::Tool { program: program.into(), source_path: source.to_path_buf(), complaint };
    let output = command.stdin(Stdio::null()).output().map_err(|e| refuse(format!("it cannot be started: {e}")))?;
    if output.status.success() {
        return Ok(output);
    }
    // Complaints come on stderr; what else is said may be for machines.
    let heard = if output.stderr.trim_ascii().is_empty() { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(heard).into_owned();
    Err(refuse(if said.trim().is_empty() { format!("it ended with {} and no word", output.status) } else { said }))
}
