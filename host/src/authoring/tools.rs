//! Other people's programs: found, started, and quoted when they complain.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::error::{Error, Result};

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
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Err(refuse(if said.trim().is_empty() { format!("it ended with {} and no word", output.status) } else { said }))
}
