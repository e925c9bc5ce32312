//! `host doctor`: checks the machine and says what is missing and how to get it.

use std::path::Path;

use super::{Failure, PluginPaths};
use crate::authoring::{Language, ready};
use crate::loader::{Candidate, Catalog, Requirement, locate};

struct Check {
    name: &'static str,
    /// What was found, or what is missing and how to get it.
    outcome: Result<String, String>,
}

/// Prints every check.
///
/// # Errors
/// If one failed.
pub fn run(paths: &PluginPaths) -> Result<(), Failure> {
    let catalog = Catalog::discover(&paths.plugin_dir);
    let mut checks = vec![processor(), memory(), disk()];
    let mut requirements: Vec<&Requirement> = catalog.bundles.iter().flat_map(|b| &b.manifest.requires).collect();
    requirements.dedup();
    for requirement in requirements {
        let name = if matches!(requirement, Requirement::Libtorch(_)) { "libtorch" } else { "MuJoCo" };
        let found = |l: crate::loader::NativeLibrary| {
            format!("{} at {} ({})", l.version.unwrap_or_else(|| "unknown version".into()), l.folder.display(), l.origin)
        };
        checks.push(Check { name, outcome: locate(requirement).map(found) });
    }
    checks.push(rendering());
    checks.push(plugins(&catalog));
    let mut failed = 0;
    for check in &checks {
        match &check.outcome {
            Ok(found) => println!("  ok       {:<10} {found}", check.name),
            Err(missing) => {
                failed += 1;
                println!("  MISSING  {:<10} {missing}", check.name);
            }
        }
    }
    for language in [Language::Python, Language::Rust, Language::C, Language::JavaScript] {
        // Needed by authors only, so nothing fails without them.
        match ready(language) {
            Ok(()) => println!("  ok       {:<10} sandboxed components can be built", language.word()),
            Err(missing) => println!("  absent   {:<10} {missing}", language.word()),
        }
    }
    if failed > 0 {
        return Err(Failure::user(format!("{failed} of {} checks failed", checks.len())));
    }
    println!("everything that the plugins found here need is there");
    Ok(())
}

fn processor() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Check { name: "processor", outcome: Ok(format!("{cores} cores, {}", std::env::consts::ARCH)) }
}

fn memory() -> Check {
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    let outcome = match available {
        Some(kib) if kib >= 3 << 20 => Ok(format!("{:.1} GiB available", kib as f64 / f64::from(1 << 20))),
        Some(kib) => {
            Err(format!("{:.1} GiB available, the default recipe needs 3 GiB: close other programs", kib as f64 / f64::from(1 << 20)))
        }
        None => Ok("unknown".into()),
    };
    Check { name: "memory", outcome }
}

fn disk() -> Check {
    let here = std::env::current_dir().unwrap_or_else(|_| ".".into());
    let outcome = fs4::available_space(&here)
        .map_err(|e| format!("{} cannot be examined: {e}", here.display()))
        .and_then(|bytes| {
            let gib = bytes as f64 / f64::from(1 << 30);
            if gib >= 1.0 {
                Ok(format!("{gib:.0} GiB free at {}", here.display()))
            } else {
                Err(format!("{gib:.1} GiB free at {}: a run needs 1 GiB", here.display()))
            }
        })
        .and_then(|text| writable(&here).map(|()| text));
    Check { name: "disk", outcome }
}

fn writable(folder: &Path) -> Result<(), String> {
    tempfile::Builder::new()
        .prefix(".twinhost-doctor")
        .tempfile_in(folder)
        .map(drop)
        .map_err(|e| format!("{} is not writable ({e}): run elsewhere or pass --run-dir", folder.display()))
}

fn rendering() -> Check {
    // SAFETY: libEGL is a system library whose constructors only set up its own state.
    let outcome = match unsafe { libloading::Library::new("libEGL.so.1") } {
        Ok(library) => {
            // Mesa keeps threads and thread-local state alive after the first use.
            std::mem::forget(library);
            Ok("EGL is installed".into())
        }
        Err(_) => {
            Err("EGL is not installed, simulated cameras need it: sudo apt-get install -y libegl1 libegl-mesa0 libgl1-mesa-dri".into())
        }
    };
    Check { name: "rendering", outcome }
}

fn plugins(catalog: &Catalog) -> Check {
    let refused: Vec<String> = catalog
        .candidates
        .iter()
        .filter_map(|c| match c {
            Candidate::Refused(refusal) => Some(refusal.to_string()),
            _ => None,
        })
        .collect();
    let names: Vec<String> = catalog.bundles.iter().map(|b| b.manifest.name.clone()).collect();
    let outcome = if names.is_empty() {
        Err("no plugins found: build them with `cargo xtask build-plugins`".into())
    } else if refused.is_empty() {
        Ok(names.join(", "))
    } else {
        Err(format!("{} are usable, but: {}", names.join(", "), refused.join("; ")))
    };
    Check { name: "plugins", outcome }
}
