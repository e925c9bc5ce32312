//! What a component file says about itself: kind, imports, manifest. Nothing is compiled here and nothing runs, so looking at a folder is quick.

use sha2::{Digest, Sha256};
use std::path::Path;
use wasmparser::{Encoding, Parser, Payload};

use super::grants;
use crate::loader::inspection::{Inspection, Refusal};
use crate::loader::manifest::{Kind, Manifest};

/// The custom section that holds the text of `plugin.ron`.
pub const MANIFEST_SECTION: &str = "twinhost.manifest";
const LONGEST_MANIFEST: usize = 64 * 1024;

const PACKAGE: &str = "twinhost:plugin";
const VERSION: &str = "1.0.0";
/// The exported interface of every world, and the kind of component it makes.
const WORLDS: [(&str, Kind); 4] =
    [("scoring", Kind::Reward), ("monitoring", Kind::Filter), ("acting", Kind::Policy), ("simulation", Kind::Env)];

/// Checks a component file. `Ok(None)`: a component, but not one of ours.
///
/// # Errors
/// If it is damaged, no component, built for another interface, has no fitting manifest, or imports what it may not have.
pub fn inspect(path: &Path, bytes: &[u8]) -> Result<Option<Inspection>, Refusal> {
    let refuse = |reason: String| Refusal::new(path, reason);
    let found = Found::read(bytes).map_err(refuse)?;
    let Some((kind, interface)) = found.world().map_err(refuse)? else { return Ok(None) };
    let types = format!("{PACKAGE}/types@{VERSION}");
    let imports: Vec<&str> = found.imports.iter().copied().filter(|import| *import != types).collect();
    if let Some(import) = imports.iter().find(|import| grants::needed(import).is_none()) {
        return Err(refuse(format!(
            "imports `{import}`, which no sandboxed component may import: build it with `host plugin build`, which leaves the system's \
             interfaces out"
        )));
    }
    let text = match found.manifest {
        Some(text) => text.to_owned(),
        None => beside(path).map_err(refuse)?,
    };
    if text.len() > LONGEST_MANIFEST {
        return Err(refuse(format!("has a manifest of {} bytes, more than {LONGEST_MANIFEST}", text.len())));
    }
    let manifest = Manifest::parse(&text).map_err(refuse)?;
    match manifest.components.as_slice() {
        [one] if one.kind == kind => {}
        [one] => {
            return Err(refuse(format!(
                "says in its plugin.ron that `{}` is a {}, but exports `{interface}`, which makes it a {kind}",
                one.name, one.kind
            )));
        }
        several => return Err(refuse(format!("lists {} components in its plugin.ron; a .wasm file holds exactly one", several.len()))),
    }
    for (import, permission) in imports.iter().filter_map(|import| Some((import, grants::needed(import)?))) {
        if !manifest.components.iter().any(|one| one.asks.contains(&permission)) {
            return Err(refuse(format!(
                "imports `{import}` without saying so: write `asks: [{permission:?}]` beside the component's name in its plugin.ron"
            )));
        }
    }
    let stamp = format!("{PACKAGE}@{VERSION} {kind}");
    Ok(Some(Inspection { manifest, stamp, sha256: hex::encode(Sha256::digest(bytes)), sandboxed: true }))
}

/// The text of a `plugin.ron` beside the file, if it is about this file.
fn beside(path: &Path) -> Result<String, String> {
    let manifest = path.with_file_name("plugin.ron");
    let text = std::fs::read_to_string(&manifest)
        .map_err(|_| "carries no manifest and has no plugin.ron beside it: `host plugin build` embeds one".to_owned())?;
    let about = Manifest::parse(&text)?.library;
    if path.file_name().is_none_or(|name| name != about.as_str()) {
        return Err(format!("carries no manifest, and {} is about `{about}`", manifest.display()));
    }
    Ok(text)
}

/// The outermost component's own sections.
#[derive(Default)]
struct Found<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
    manifest: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let damaged = |e: wasmparser::BinaryReaderError| format!("is a damaged component ({} at byte {})", e.message(), e.offset());
        let mut found = Self::default();
        let mut depth = 0usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err("is a bare WebAssembly module, not a component: build it with `host plugin build`".to_owned());
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        found.imports.push(import.map_err(damaged)?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        found.exports.push(export.map_err(damaged)?.name.name);
                    }
                }
                Payload::CustomSection(section) if depth == 0 && section.name() == MANIFEST_SECTION => {
                    let text = std::str::from_utf8(section.data()).map_err(|_| "has a manifest that is not text".to_owned())?;
                    found.manifest = Some(text);
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The kind of the one world of ours that this component is for, and the interface that says so.
    fn world(&self) -> Result<Option<(Kind, String)>, String> {
        let mut ours = self.exports.iter().filter_map(|export| Some((*export, export.strip_prefix(PACKAGE)?.strip_prefix('/')?)));
        let Some((export, rest)) = ours.next() else { return Ok(None) };
        if let Some((other, _)) = ours.next() {
            return Err(format!("exports both `{export}` and `{other}`; a .wasm file holds exactly one component"));
        }
        let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
        if version != VERSION {
            return Err(format!("was built for `{export}`, this host speaks {PACKAGE}@{VERSION}: rebuild it against that"));
        }
        let Some((_, kind)) = WORLDS.iter().find(|(name, _)| *name == interface) else {
            return Err(format!("exports `{export}`, which is not an interface of {PACKAGE}@{VERSION}"));
        };
        Ok(Some((*kind, export.to_owned())))
    }
}
