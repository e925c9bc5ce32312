//! One file to hand on: a guest is one already; a native plugin becomes a zip archive of its bundle folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::error::{During as _, Error, Result};
use super::project::{Artefact, Project};

/// Writes `NAME-VERSION.zip` (native) or `NAME-VERSION.wasm` (guest) into `into`, whole or not at all.
///
/// # Errors
/// If a file cannot be read or written.
pub fn pack(project: &Project, built: &Artefact, into: &Path) -> Result<PathBuf> {
    let Project { folder, manifest } = project;
    let is_guest = built.path.extension().is_some_and(|e| e == "wasm");
    let target = into.join(format!("{}-{}.{}", manifest.name, manifest.version, if is_guest { "wasm" } else { "zip" }));
    let library = std::fs::read(&built.path).during("read", &built.path)?;
    std::fs::create_dir_all(into).during("create", into)?;
    let mut file = tempfile::NamedTempFile::new_in(into).during("write into", into)?;
    if is_guest {
        file.write_all(&library).during("write", &target)?;
    } else {
        let text = folder.join("plugin.ron");
        let text = std::fs::read(&text).during("read", &text)?;
        archive(file.as_file_mut(), &manifest.name, &[("plugin.ron", &text, 0o644), (&manifest.library, &library, 0o755)])
            .map_err(|error| Error::Artefact { path: target.clone(), reason: format!("cannot be written: {error}") })?;
    }
    file.as_file().sync_all().during("write", &target)?;
    file.persist(&target).map_err(|e| e.error).during("write", &target)?;
    Ok(target)
}

/// Same files, same bytes: the archive carries no time.
fn archive(file: &mut std::fs::File, folder: &str, entries: &[(&str, &[u8], u32)]) -> zip::result::ZipResult<()> {
    let mut zip = zip::ZipWriter::new(file);
    for (name, bytes, mode) in entries {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(*mode);
        zip.start_file(format!("{folder}/{name}"), options)?;
        zip.write_all(bytes)?;
    }
    zip.finish()?;
    Ok(())
}
