//! Reads stamp, manifest and content hash from a native library file. Nothing of the library runs here: constructors would run at
//! `dlopen`, so every check that can be made on the file is made on the file.

use object::{Object, ObjectSection, ObjectSymbol};
use sha2::{Digest, Sha256};
use std::path::Path;
use twinhost_plugin_api::v1::module::{API_VERSION, MANIFEST_SECTION, STAMP_SECTION};

use super::inspection::{Inspection, Refusal};
use super::manifest::Manifest;

/// Symbol under which `abi_stable` finds the root module.
const ROOT_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// Checks a library file without loading it. `Ok(None)`: a library, but not one of ours.
///
/// # Errors
/// If it is damaged, not for this machine, or built for another interface.
pub fn inspect(path: &Path, bytes: &[u8]) -> Result<Option<Inspection>, Refusal> {
    let refuse = |reason: String| Refusal::new(path, reason);
    let file = object::File::parse(bytes).map_err(|e| refuse(format!("is a damaged library ({e})")))?;
    let native = if cfg!(target_arch = "x86_64") { object::Architecture::X86_64 } else { object::Architecture::Aarch64 };
    if file.architecture() != native {
        return Err(refuse(format!(
            "was built for {:?}, this machine is {native:?}: build it on or for this machine",
            file.architecture()
        )));
    }
    let section = |name: &str| -> Result<Option<String>, Refusal> {
        let Some(section) = file.section_by_name(name) else { return Ok(None) };
        let data = section.data().map_err(|e| refuse(format!("is a damaged library (section {name}: {e})")))?;
        String::from_utf8(data.to_vec()).map(Some).map_err(|_| refuse(format!("is damaged (section {name} is not text)")))
    };
    let Some(stamp) = section(STAMP_SECTION)? else { return Ok(None) };
    let api = stamp.split_whitespace().find_map(|word| word.strip_prefix("api=")).and_then(|v| v.parse::<u32>().ok());
    match api {
        Some(API_VERSION) => {}
        Some(other) => {
            return Err(refuse(format!(
                "was built for plugin API {other}, this host speaks {API_VERSION}: rebuild it against twinhost-plugin-api {}",
                env!("CARGO_PKG_VERSION")
            )));
        }
        None => return Err(refuse(format!("has an unreadable ABI stamp `{}`", stamp.escape_debug()))),
    }
    if !file.dynamic_symbols().any(|s| s.name() == Ok(ROOT_SYMBOL) && s.is_definition()) {
        return Err(refuse("does not export its root module: use `export_plugin!` in a crate of type cdylib".into()));
    }
    let text = section(MANIFEST_SECTION)?.ok_or_else(|| refuse("carries no manifest".into()))?;
    let manifest = Manifest::parse(&text).map_err(refuse)?;
    Ok(Some(Inspection { manifest, stamp, sha256: hex::encode(Sha256::digest(bytes)), sandboxed: false }))
}
