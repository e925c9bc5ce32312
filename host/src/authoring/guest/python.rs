//! Python: `componentize-py` bundles the interpreter with the sources and takes a snapshot after the imports have run.

use super::super::error::{During as _, Error, Result};
use super::super::tools;
use super::Task;

/// The module that the interpreter is started with; it wraps the author's so that an exception arrives as an error with its traceback.
const ENTRY: &str = include_str!("entry.py");

/// What determines a build besides the author's files.
pub const INGREDIENTS: [&str; 2] = [ENTRY, tools::COMPONENTIZE_PY];

pub fn component(task: &Task<'_>) -> Result<Vec<u8>> {
    let tool = tools::componentize_py()?;
    let module = task.main.strip_suffix(".py").unwrap_or(task.main);
    let (sources, output) = (task.stage, task.stage.join("out.wasm"));
    task.world.write(&task.stage.join("wit-v1"))?;
    let entry = sources.join("twinhost_entry.py");
    let asked: Vec<String> = task.asks.iter().map(|ask| format!("{ask:?}")).collect();
    let text = ENTRY.replace("AUTHORS_MODULE", module).replace("ASKED_PERMISSIONS", &asked.join(" "));
    std::fs::write(&entry, text).during("write", &entry)?;
    // What this machine's Python has installed is not part of the component: an empty environment hides it.
    let packages = task.stage.join("no-packages");
    std::fs::create_dir_all(packages.join("site-packages")).during("create", &packages)?;
    let mut command = tool.command();
    command
        .current_dir(sources)
        .env("VIRTUAL_ENV", &packages)
        .args(["-d", "wit-v1", "-w", task.world.name, "componentize", "--stub-wasi", "-p", ".", "twinhost_entry", "-o"])
        .arg(&output);
    tools::run("componentize-py", &mut command, task.source).map_err(shortened)?;
    std::fs::read(&output).during("read", &output)
}

/// Of a Python traceback within several of the tool's own, the author needs the Python part.
fn shortened(error: Error) -> Error {
    match error {
        Error::Tool { program, source_path, complaint } => {
            let from = complaint.find("Traceback (most recent call last)").unwrap_or(0);
            let kept: Vec<&str> = complaint[from..].lines().take_while(|line| !line.starts_with("Stack backtrace")).collect();
            Error::Tool { program, source_path, complaint: kept.join("\n") }
        }
        other => other,
    }
}
