//! JavaScript: `componentize-js` puts the source into an engine compiled to WebAssembly, with everything that needs the system left out.

use super::super::error::{During as _, Result};
use super::super::tools;
use super::Task;
use crate::recipe::Permission;

/// Wraps the author's object, so that an exception arrives as an error with its stack.
const ENTRY: &str = include_str!("entry.js");
/// Run by node; `componentize-js` has no command line that can leave features out.
const BUILD: &str = include_str!("build.js");

/// JavaScript's own functions with what was granted behind them.
const CLOCK: &str = include_str!("clock.js");
const RANDOM: &str = include_str!("random.js");
const LOG: &str = include_str!("log.js");
const NO_LOG: &str = include_str!("no_log.js");
const STATE: &str = include_str!("state.js");

/// What determines a build besides the author's files.
pub const INGREDIENTS: [&str; 8] = [ENTRY, BUILD, CLOCK, RANDOM, LOG, NO_LOG, STATE, tools::COMPONENTIZE_JS];

pub fn component(task: &Task<'_>) -> Result<Vec<u8>> {
    let (tool, package) = tools::componentize_js()?;
    task.world.write(&task.stage.join("wit-v1"))?;
    // Modules are evaluated in the order of their imports, so that the author's finds everything in place.
    let grants = task.asks.iter().map(|ask| match ask {
        Permission::Clock => ("twinhost_clock.js", CLOCK),
        Permission::Random => ("twinhost_random.js", RANDOM),
        Permission::Log => ("twinhost_log.js", LOG),
    });
    let missed = (!task.asks.contains(&Permission::Log)).then_some(("twinhost_no_log.js", NO_LOG));
    let grants: Vec<(&str, &str)> = grants.chain(missed).collect();
    let imports: String = grants.iter().map(|(file, _)| format!("import \"./{file}\";\n")).collect();
    let entry = imports + &ENTRY.replace("AUTHORS_FILE", task.main).replace("INTERFACE", task.interface);
    for (name, text) in
        [("twinhost_entry.js", entry.as_str()), ("twinhost_state.js", STATE), ("twinhost_build.mjs", BUILD)].into_iter().chain(grants)
    {
        let path = task.stage.join(name);
        std::fs::write(&path, text).during("write", &path)?;
    }
    let mut command = tool.command();
    command.current_dir(task.stage).arg("twinhost_build.mjs").arg(package).arg(task.world.name);
    tools::run("componentize-js", &mut command, task.source)?;
    let output = task.stage.join("out.wasm");
    std::fs::read(&output).during("read", &output)
}
