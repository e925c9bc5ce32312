//! JavaScript: `componentize-js` puts the source into an engine compiled to WebAssembly, with everything that needs the system left out.

use super::super::error::{During as _, Result};
use super::super::tools;
use super::super::wit;
use super::Task;

/// Wraps the author's object, so that an exception arrives as an error with its stack.
const ENTRY: &str = include_str!("entry.js");
/// Run by node; `componentize-js` has no command line that can leave features out.
const BUILD: &str = include_str!("build.js");

/// What determines a build besides the author's files.
pub const INGREDIENTS: [&str; 3] = [ENTRY, BUILD, tools::COMPONENTIZE_JS];

pub fn component(task: &Task<'_>) -> Result<Vec<u8>> {
    let (tool, package) = tools::componentize_js()?;
    wit::write(&task.stage.join("wit-v1"))?;
    let entry = ENTRY.replace("AUTHORS_FILE", task.main).replace("INTERFACE", task.interface);
    for (name, text) in [("twinhost_entry.js", entry.as_str()), ("twinhost_build.mjs", BUILD)] {
        let path = task.stage.join(name);
        std::fs::write(&path, text).during("write", &path)?;
    }
    let mut command = tool.command();
    command.current_dir(task.stage).arg("twinhost_build.mjs").arg(package).arg(task.kind.word());
    tools::run("componentize-js", &mut command, task.source)?;
    let output = task.stage.join("out.wasm");
    std::fs::read(&output).during("read", &output)
}
