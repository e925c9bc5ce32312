//! From a core WebAssembly module to the component file that the sandbox loads.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::error::{Error, Result};
use super::wit::{self, World};
use crate::loader::COMPONENT_MANIFEST_SECTION;
use crate::recipe::Permission;

/// Says in a module which world it is for, as a toolchain does that knows of components.
///
/// # Errors
/// If the interface's own texts are damaged.
pub fn described(mut module: Vec<u8>, world: &World) -> Result<Vec<u8>> {
    let refuse = |e: String| Error::Project(format!("the world `{}` cannot be put into a module: {e}", world.name));
    let (resolve, world) = world.resolve().map_err(refuse)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(|e| refuse(e.to_string()))?;
    Ok(module)
}

/// Wraps a module that a guest toolchain made; the module says itself which world it is for.
///
/// # Errors
/// If it does not say so, lacks an export of the world, or imports what is not in it.
pub fn encoded(module: &[u8], source: &Path) -> Result<Vec<u8>> {
    let encode = || ComponentEncoder::default().module(module)?.validate(true).encode();
    encode().map_err(|e| {
        let causes: Vec<String> = e.chain().map(ToString::to_string).collect();
        let mut reason = format!("does not become a component: {}", causes.join(": "));
        let ungranted = Permission::ALL.iter().find(|ask| reason.contains(&wit::granting(**ask)));
        if let Some(ask) = ungranted {
            reason += &format!("\n  what a guest is to be given it has to ask for: write `asks: [{ask:?}]` beside its name in plugin.ron");
        } else if reason.contains("wasi_snapshot_preview1") || reason.contains("import") {
            reason.push_str(
                "\n  a guest imports nothing of the system's: leave out files, printing and exit; a clock, random numbers and lines in the log \
                 can be asked for (`asks` in plugin.ron)",
            );
        }
        Error::Artefact { path: source.to_path_buf(), reason }
    })
}

/// Puts the manifest into the file, as a custom section at the end (section id 0, a length, a name with its length, the text).
pub fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    let mut section = Vec::new();
    leb128(&mut section, COMPONENT_MANIFEST_SECTION.len());
    section.extend(COMPONENT_MANIFEST_SECTION.as_bytes());
    section.extend(manifest.as_bytes());
    component.push(0);
    leb128(&mut component, section.len());
    component.extend(section);
    component
}

/// WebAssembly's form of a length, 7 bits a byte, low ones first.
fn leb128(into: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_the_specification_does() {
        // WebAssembly core specification, 5.2.2: unsigned LEB128; 624485 is its usual example.
        for (value, bytes) in [(0, &[0][..]), (127, &[0x7f]), (128, &[0x80, 1]), (624_485, &[0xe5, 0x8e, 0x26])] {
            let mut written = Vec::new();
            leb128(&mut written, value);
            assert_eq!(written, bytes);
        }
    }
}
