//! `cargo xtask setup`: everything a build needs that cargo cannot fetch.
//!
//! The story, in order: the machine's own packages (compiler, software rendering), then libtorch, then MuJoCo. A library
//! comes from where the user points (`LIBTORCH`, `MUJOCO_DYNAMIC_LINK_DIR`), else from a Python torch of the right version
//! (that is the way to CUDA), else from pinned PyPI wheels unpacked into the user's cache. The last step links `.deps/libtorch` and
//! `.deps/mujoco`, where `.cargo/config.toml` looks. Asked for by name, it also fetches the compilers of sandboxed components ([`guests`]). A second
//! run finds all of it in place and does nothing.

mod cache;
mod download;
mod guests;
mod link;
mod packages;
mod pins;
mod progress;
mod python;
mod source;
mod unpack;

use crate::failure::{Failure, Result};
use crate::workspace::Workspace;
use cache::Cache;
use pins::{LIBTORCH, Library, MUJOCO};
use source::Source;

/// Makes the machine ready to build. Prints what it found or did, one line each, when something changed or `verbose` is set.
pub fn setup(workspace: &Workspace, verbose: bool) -> Result<()> {
    packages::ensure_build_packages()?;
    let cache = Cache::of_user()?;
    let libtorch = source::choose_libtorch(workspace, &cache)?;
    let mujoco = source::choose_mujoco(workspace, &cache)?;
    let libtorch_changed = provide(workspace, &cache, &LIBTORCH, &libtorch)?;
    let mujoco_changed = provide(workspace, &cache, &MUJOCO, &mujoco)?;
    if verbose {
        guests::provide(&cache);
    }
    if verbose || libtorch_changed || mujoco_changed {
        println!("libtorch {}: {}", LIBTORCH.version, libtorch.describe(&cache));
        println!("MuJoCo {}: {}", MUJOCO.version, mujoco.describe(&cache));
        println!("ready: `cargo build`, `cargo test` and `cargo xtask run` find both through {}", workspace.deps().display());
    }
    Ok(())
}

/// Makes the library's folder complete and points the link in `.deps/` at it; true if anything had to be done.
fn provide(workspace: &Workspace, cache: &Cache, library: &'static Library, source: &Source) -> Result<bool> {
    let mut changed = false;
    let folder = match source {
        Source::Given { folder, .. } => folder.clone(),
        Source::Wheels => {
            if !cache.is_complete(library) {
                fetch_and_unpack(cache, library)?;
                changed = true;
            }
            cache.root_of(library)
        }
    };
    Ok(link::point(&workspace.deps(), library.link, &folder)? || changed)
}

/// Downloads and unpacks one library under the cache's lock, so that of two set-ups at once one waits and then finds it done.
fn fetch_and_unpack(cache: &Cache, library: &'static Library) -> Result<()> {
    refuse_unsupported_platform()?;
    let lock = cache.lock()?;
    if cache.is_complete(library) {
        return Ok(());
    }
    cache.sweep(&lock)?;
    let wheels = download::fetch(cache, library)?;
    unpack::unpack(cache, library, &wheels)?;
    for wheel in wheels {
        // The unpacked copy is verified and stamped; half a gigabyte of archives beside it would only fill the disk.
        let _ = std::fs::remove_file(wheel);
    }
    Ok(())
}

fn refuse_unsupported_platform() -> Result<()> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the pinned libraries exist for x86_64 Linux with glibc only, and this is {} {}; set LIBTORCH to a libtorch {} and \
         MUJOCO_DYNAMIC_LINK_DIR to a MuJoCo {} built for this machine",
        std::env::consts::ARCH,
        std::env::consts::OS,
        LIBTORCH.version,
        MUJOCO.version
    )))
}
