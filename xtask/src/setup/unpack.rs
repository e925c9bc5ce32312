//! Unpacking verified wheels into a library's folder: into a temporary one first, which then appears in one rename.

use super::cache::Cache;
use super::pins::{Library, Wheel};
use super::progress::Meter;
use crate::failure::{During, Failure, Result};
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Unpacks the wheels, checks that the library is in them, and publishes the folder.
pub fn unpack(cache: &Cache, library: &Library, wheels: &[PathBuf]) -> Result<()> {
    let temporary = cache.temporary("unpack")?;
    let folder = temporary.path();
    let mut shared_libraries = Vec::new();
    for (pin, path) in library.wheels.iter().zip(wheels) {
        shared_libraries.extend(unpack_wheel(path, pin, folder)?);
    }
    for (link, target) in library.symlinks {
        std::os::unix::fs::symlink(target, folder.join(link)).during(|| format!("link {link}"))?;
    }
    let sentinel = folder.join(library.root).join(library.sentinel);
    if !sentinel.is_file() {
        return Err(Failure::new(format!(
            "the pinned wheels of {} hold no {}; the pins in xtask are wrong",
            library.name, library.sentinel
        )));
    }
    cache.publish(library, folder, &shared_libraries)
}

/// Unpacks the members that the pin keeps; returns the shared libraries among them with their sizes.
/// The archive reader checks each member's CRC-32 as it is read.
fn unpack_wheel(wheel: &Path, pin: &Wheel, folder: &Path) -> Result<Vec<(String, u64)>> {
    let damaged =
        |error: zip::result::ZipError| Failure::new(format!("could not read {}: {error}; delete it and run again", wheel.display()));
    let file = File::open(wheel).during(|| format!("open {}", wheel.display()))?;
    let mut archive = ZipArchive::new(BufReader::with_capacity(1 << 20, file)).map_err(damaged)?;
    let (mut wanted, mut total) = (Vec::new(), 0);
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(damaged)?;
        if (pin.keep)(&member.name().map_err(damaged)?) {
            wanted.push(index);
            total += member.size();
        }
    }
    let mut meter = Meter::new(format!("unpacking {}", pin.requirement), total);
    let (mut done, mut shared_libraries, mut buffer) = (0, Vec::new(), vec![0; 1 << 20]);
    for index in wanted {
        let mut member = archive.by_index(index).map_err(damaged)?;
        let name = member.name().map_err(damaged)?.into_owned();
        let Some(relative) = member.enclosed_name() else {
            return Err(Failure::new(format!("{} holds a path that leaves its folder: {name}", wheel.display())));
        };
        let place = folder.join(&relative);
        if member.is_dir() {
            fs::create_dir_all(&place).during(|| format!("create {}", place.display()))?;
            continue;
        }
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).during(|| format!("create {}", parent.display()))?;
        }
        let mut file = File::create(&place).during(|| format!("create {}", place.display()))?;
        loop {
            let read = member.read(&mut buffer).during(|| format!("unpack {name} of {}", wheel.display()))?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).during(|| format!("write {}", place.display()))?;
            done += read as u64;
            meter.set(done);
        }
        if name.contains(".so") {
            shared_libraries.push((name, member.size()));
        }
    }
    meter.finish();
    Ok(shared_libraries)
}
