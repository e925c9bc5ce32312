//! C: the frozen bindings and the author's source, compiled by clang with wasi-libc or by zig, which brings its own.

use std::ffi::OsString;

use super::super::component;
use super::super::error::{During as _, Result};
use super::super::tools::{self, Tool};
use super::Task;

/// World, header and glue.
const BINDINGS: [(&str, &str, &str); 4] = [
    ("reward", include_str!("../../../../plugin-api/c/v1/reward.h"), include_str!("../../../../plugin-api/c/v1/reward.c")),
    ("filter", include_str!("../../../../plugin-api/c/v1/filter.h"), include_str!("../../../../plugin-api/c/v1/filter.c")),
    ("policy", include_str!("../../../../plugin-api/c/v1/policy.h"), include_str!("../../../../plugin-api/c/v1/policy.c")),
    ("env", include_str!("../../../../plugin-api/c/v1/env.h"), include_str!("../../../../plugin-api/c/v1/env.c")),
];

/// What may be asked for.
const GRANTS: (&str, &str) = ("twinhost_grants.h", include_str!("../../../../plugin-api/c/v1/twinhost_grants.h"));

/// What determines a build besides the author's files.
pub const INGREDIENTS: [&str; 5] = [BINDINGS[0].2, BINDINGS[1].2, BINDINGS[2].2, BINDINGS[3].2, GRANTS.1];

pub fn module(task: &Task<'_>) -> Result<Vec<u8>> {
    let compiler = tools::c_compiler(task.stage)?;
    let bindings = bindings(task)?;
    let output = task.stage.join("out.wasm");
    let sources = task.files.iter().filter(|file| file.ends_with(".c")).map(OsString::from);
    let mut command = compiler.command();
    command
        .current_dir(task.stage)
        .args(["-O2", "-Wall", "-mexec-model=reactor", "-I.", "-o"])
        .arg(&output)
        .args(sources)
        .args(bindings)
        .arg("-lm");
    tools::run(&compiler.name, &mut command, task.source)?;
    let module = std::fs::read(&output).during("read", &output)?;
    component::described(module, &task.world)
}

/// Writes header and glue of the world; returns what has to be compiled with the author's source.
fn bindings(task: &Task<'_>) -> Result<Vec<OsString>> {
    let world = task.kind.word();
    let (_, header, glue) = BINDINGS.iter().find(|(name, ..)| *name == world).expect("every kind that has an interface has bindings");
    // The glue gets another name than the world's, because the author's own file may have that.
    let glue_name = format!("twinhost_{world}.c");
    for (name, text) in [(format!("{world}.h"), header), (glue_name.clone(), glue), (GRANTS.0.to_owned(), &GRANTS.1)] {
        let path = task.stage.join(name);
        std::fs::write(&path, text).during("write", &path)?;
    }
    Ok(vec![glue_name.into()])
}

/// A source that shows whether a compiler has all it needs: the C library and its own run-time library.
const PROBE: &str =
    "#include <math.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) { return strlen(malloc(1)) > sqrt(2.0); }\n";

/// True if the compiler makes a module of [`PROBE`].
pub fn works(compiler: &Tool, stage: &std::path::Path) -> bool {
    let source = stage.join("twinhost_probe.c");
    std::fs::write(&source, PROBE).is_ok()
        && tools::answers(compiler.command().current_dir(stage).args(["-o", "twinhost_probe.wasm", "twinhost_probe.c", "-lm"]))
        && std::fs::remove_file(&source).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::wit;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_bindings_are_of_this_interface() {
        let mut hasher = Sha256::new();
        wit::texts().filter(|(name, _)| !name.starts_with("deps/")).for_each(|(_, text)| hasher.update(text));
        // Of the interface they were made from. Another hash asks for new bindings: plugin-api/c/v1/README.md says how.
        assert_eq!(hex::encode(hasher.finalize()), "cbc9acc8a003803efb44d3fc0405d69d9315e98906acc7108686fdc138f50877");
    }
}
