//! One file to hand on: a guest is one already; a native plugin becomes a zip archive of its bundle folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::cache::write_whole;
use super::error::{During as _, Error, Result};
use super::project::{Artefact, Project};

/// Writes `NAME-VERSION.zip` (native) or `NAME-VERSION.wasm` (guest) into `into`, whole or not at all.
///
/// # Errors
/// If a file cannot be read or written.
pub fn pack(project: &Project, built: &Artefact, into: &Path) -> Result<PathBuf> {
    let manifest = &project.manifest;
    let extension = if project.is_guest() { "wasm" } else { "zip" };
    let target = into.join(format!("{}-{}.{extension}", manifest.name, manifest.version));
    let library = std::fs::read(&built.path).during("read", &built.path)?;
    std::fs::create_dir_all(into).during("create", into)?;
    if project.is_guest() {
        write_whole(&target, &library)?;
    } else {
        let entries = [("plugin.ron", project.text().as_bytes(), 0o644), (manifest.library.as_str(), &library, 0o755)];
        let refuse = |error| Error::Artefact { path: target.clone(), reason: format!("cannot be written: {error}") };
        write_whole(&target, &archive(&manifest.name, &entries).map_err(refuse)?)?;
    }
    Ok(target)
}

/// Same files, same bytes: the archive carries no time.
fn archive(folder: &str, entries: &[(&str, &[u8], u32)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes, mode) in entries {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(*mode);
        zip.start_file(format!("{folder}/{name}"), options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}
