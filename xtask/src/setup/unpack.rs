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
    let sentinel = folder.join(library.root).join(library.sentinel);
    if !sentinel.is_file() {
        return Err(Failure::new(format!(
            "the pinned wheels of {} hold no {}; the pins in xtask are wrong",
            library.name, library.sentinel
        )));
    }
    for (link, target) in library.symlinks {
        std::os::unix::fs::symlink(target, folder.join(link)).during(|| format!("link {link}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    static TOY: Library = Library {
        name: "toy",
        version: "1",
        folder: "toy-1",
        root: "toy",
        link: "toy",
        sentinel: "lib/libtoy.so",
        wheels: &[Wheel {
            requirement: "toy==1",
            platform: "any",
            file: "toy-1-py3-none-any.whl",
            bytes: 0,
            sha256: "",
            keep: |member| !member.ends_with(".py"),
        }],
        symlinks: &[("toy/lib/libtoy.so.1", "libtoy.so")],
    };

    fn wheel(folder: &Path, members: &[(&str, &str)]) -> PathBuf {
        let path = folder.join(TOY.wheels[0].file);
        let mut writer = ZipWriter::new(File::create(&path).expect("create"));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, text) in members {
            writer.start_file(*name, options).expect("member");
            writer.write_all(text.as_bytes()).expect("write");
        }
        writer.finish().expect("finish");
        path
    }

    fn check_refused(cache: &Cache, wheel: PathBuf, expect: &str) {
        let refusal = unpack(cache, &TOY, &[wheel]).expect_err("a bad wheel").to_string();
        assert!(refusal.contains(expect), "{refusal}");
        assert!(!cache.is_complete(&TOY) && !cache.folder_of(&TOY).exists());
        let left: Vec<_> = fs::read_dir(cache.root()).expect("list").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [TOY.wheels[0].file], "nothing unfinished stays");
    }

    #[test]
    fn a_library_appears_whole_and_a_changed_file_makes_it_incomplete() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(temporary.path());
        let wheel = wheel(temporary.path(), &[("toy/lib/libtoy.so", "code"), ("toy/toy.py", "text"), ("toy/include/toy.h", "")]);
        for _ in 0..2 {
            unpack(&cache, &TOY, std::slice::from_ref(&wheel)).expect("a good wheel, also over an older folder");
            assert!(cache.is_complete(&TOY));
        }
        let folder = cache.root_of(&TOY);
        assert_eq!(fs::read_to_string(folder.join("lib/libtoy.so.1")).expect("the link"), "code");
        assert!(folder.join("include/toy.h").exists() && !folder.join("toy.py").exists());
        fs::write(folder.join("lib/libtoy.so"), "cod").expect("truncate");
        assert!(!cache.is_complete(&TOY));
    }

    #[test]
    fn a_damaged_incomplete_or_malicious_wheel_leaves_nothing_behind() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(temporary.path());
        check_refused(&cache, wheel(temporary.path(), &[("toy/include/toy.h", "")]), "hold no lib/libtoy.so");
        check_refused(&cache, wheel(temporary.path(), &[("../outside.so", "code")]), "leaves its folder");
        let damaged = wheel(temporary.path(), &[("toy/lib/libtoy.so", "code")]);
        let bytes = fs::read(&damaged).expect("read");
        let at = bytes.windows(4).position(|four| four == b"code").expect("stored as it is");
        fs::write(&damaged, [&bytes[..at], b"kode", &bytes[at + 4..]].concat()).expect("damage");
        check_refused(&cache, damaged.clone(), "could not unpack toy/lib/libtoy.so");
        fs::write(&damaged, &bytes[..bytes.len() / 2]).expect("truncate");
        check_refused(&cache, damaged, "could not read");
    }
}
