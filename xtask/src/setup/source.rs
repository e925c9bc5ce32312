//! Where each library comes from: the user's own copy, a Python torch, or the pinned wheels.

use super::cache::{self, Cache};
use super::pins::{LIBTORCH, Library, MUJOCO};
use super::python;
use crate::failure::{Failure, Result};
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};

/// The torch whose C++ interface our bindings were generated for.
const TORCH_SERIES: &str = "2.11";

/// Where a library is taken from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder that is there already; `why` says who chose it.
    Given { folder: PathBuf, why: String },
    /// The pinned wheels, unpacked in the cache.
    Wheels,
}

impl Source {
    /// One line for a person.
    pub fn describe(&self, cache: &Cache) -> String {
        match self {
            Source::Given { folder, why } => format!("{} ({why})", folder.display()),
            Source::Wheels => format!("pinned wheels, CPU only, under {}", cache.root().display()),
        }
    }
}

/// `LIBTORCH` wins, then the choice of an earlier set-up, then a Python torch of the right version, then the wheels.
///
/// An earlier choice of someone else's copy stays, so that leaving a virtual environment does not silently swap a CUDA torch for
/// a CPU one; an earlier choice of our wheels gives way to a Python torch that has appeared since.
pub fn choose_libtorch(workspace: &Workspace, cache: &Cache) -> Result<Source> {
    if let Some(folder) = variable(workspace, "LIBTORCH", &LIBTORCH) {
        let Some(folder) = from_outside(cache, &folder) else { return Ok(Source::Wheels) };
        check_libtorch(&folder).map_err(|problem| {
            Failure::new(format!(
                "LIBTORCH points at {}, which {problem}; unset LIBTORCH to let set-up provide {}, or point it at a libtorch {TORCH_SERIES}",
                folder.display(),
                LIBTORCH.version
            ))
        })?;
        return Ok(given(folder, "from LIBTORCH"));
    }
    if let Some(folder) = earlier_choice(workspace, cache, &LIBTORCH).filter(|folder| check_libtorch(folder).is_ok()) {
        return Ok(given(folder, "chosen by an earlier set-up; delete .deps/libtorch to choose again"));
    }
    let python = python::torch().filter(|torch| is_series(&torch.version)).filter(|torch| check_libtorch(&torch.folder).is_ok());
    Ok(match python {
        Some(torch) => given(torch.folder, &format!("python3's torch {}", torch.version)),
        None => Source::Wheels,
    })
}

/// `MUJOCO_DYNAMIC_LINK_DIR` wins, then the choice of an earlier set-up, then the wheel.
pub fn choose_mujoco(workspace: &Workspace, cache: &Cache) -> Result<Source> {
    let is_mujoco = |folder: &Path| folder.join("libmujoco.so").exists() && folder.join(MUJOCO.sentinel).exists();
    if let Some(folder) = variable(workspace, "MUJOCO_DYNAMIC_LINK_DIR", &MUJOCO) {
        return match from_outside(cache, &folder) {
            None => Ok(Source::Wheels),
            Some(folder) if is_mujoco(&folder) => Ok(given(folder, "from MUJOCO_DYNAMIC_LINK_DIR")),
            Some(folder) => Err(Failure::new(format!(
                "MUJOCO_DYNAMIC_LINK_DIR points at {}, which holds no libmujoco.so with {} beside it; unset the variable to let set-up provide it",
                folder.display(),
                MUJOCO.sentinel
            ))),
        };
    }
    Ok(match earlier_choice(workspace, cache, &MUJOCO).filter(|folder| is_mujoco(folder)) {
        Some(folder) => given(folder, "chosen by an earlier set-up; delete .deps/mujoco to choose again"),
        None => Source::Wheels,
    })
}

fn given(folder: PathBuf, why: &str) -> Source {
    Source::Given { folder, why: why.to_owned() }
}

/// The value the user gave to a variable; cargo itself sets it to our own link, which is no wish of anybody's.
fn variable(workspace: &Workspace, name: &str, library: &Library) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)?;
    (value != workspace.deps().join(library.link)).then_some(value)
}

/// The folder with its links resolved, or `None` if it lies in our own cache, or in one that was ours under another
/// `XDG_CACHE_HOME`: then it is nobody's choice but set-up's own.
fn from_outside(cache: &Cache, folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let root = fs::canonicalize(cache.root()).unwrap_or_else(|_| cache.root().to_path_buf());
    let is_ours = folder.starts_with(root) || folder.parent().is_some_and(cache::is_stamped);
    (!is_ours).then_some(folder)
}

fn earlier_choice(workspace: &Workspace, cache: &Cache, library: &Library) -> Option<PathBuf> {
    from_outside(cache, &fs::canonicalize(workspace.deps().join(library.link)).ok()?)
}

fn is_series(version: &str) -> bool {
    version.strip_prefix(TORCH_SERIES).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('+'))
}

/// What is wrong with a folder as a libtorch, in words that follow "which".
fn check_libtorch(folder: &Path) -> std::result::Result<(), String> {
    if !folder.join(LIBTORCH.sentinel).is_file() {
        return Err(format!("holds no {}", LIBTORCH.sentinel));
    }
    let header = folder.join("include/torch/headeronly/version.h");
    let Ok(text) = fs::read_to_string(&header) else {
        return Err(format!("holds no include/torch/headeronly/version.h, so it is older than {TORCH_SERIES} or has no headers"));
    };
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.trim().parse::<u32>().ok());
    let (major, minor) = (number("TORCH_VERSION_MAJOR"), number("TORCH_VERSION_MINOR"));
    match (major, minor) {
        (Some(major), Some(minor)) if format!("{major}.{minor}") == TORCH_SERIES => Ok(()),
        (Some(major), Some(minor)) => Err(format!("is libtorch {major}.{minor}")),
        _ => Err("does not tell its version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake_libtorch(folder: &Path, minor: u32) {
        fs::create_dir_all(folder.join("lib")).expect("lib");
        fs::create_dir_all(folder.join("include/torch/headeronly")).expect("include");
        fs::write(folder.join(LIBTORCH.sentinel), "").expect("library");
        let header = format!("#pragma once\n\n#define TORCH_VERSION_MAJOR 2\n\n#define TORCH_VERSION_MINOR {minor}\n");
        fs::write(folder.join("include/torch/headeronly/version.h"), header).expect("header");
    }

    #[test]
    fn a_libtorch_is_told_from_its_header() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let check = |minor: u32, expect: std::result::Result<(), &str>| {
            let folder = temporary.path().join(minor.to_string());
            fake_libtorch(&folder, minor);
            assert_eq!(check_libtorch(&folder), expect.map_err(str::to_owned));
        };
        check(11, Ok(()));
        check(9, Err("is libtorch 2.9"));
        check(1, Err("is libtorch 2.1"));
        let empty = check_libtorch(&temporary.path().join("nothing")).expect_err("an empty folder");
        assert!(empty.contains("libtorch_cpu.so"), "{empty}");
    }

    #[test]
    fn only_the_pinned_series_of_a_python_torch_is_used() {
        let check = |version: &str, expect: bool| assert_eq!(is_series(version), expect, "{version}");
        check("2.11.0+cu130", true);
        check("2.11.1", true);
        check("2.1.1", false);
        check("2.110.0", false);
        check("2.10.0", false);
    }

    #[test]
    fn an_earlier_choice_outside_the_cache_stays_and_one_inside_is_ours() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let root = fs::canonicalize(temporary.path()).expect("a path");
        let (workspace, user_cache) = (Workspace::at(&root), Cache::at(&root.join("cache")));
        let (own, outside, moved) = (root.join("cache/libtorch-2.11.0/torch"), root.join("elsewhere/torch"), root.join("old-cache/torch"));
        for folder in [&own, &outside, &moved] {
            fake_libtorch(folder, 11);
        }
        fs::write(root.join("old-cache").join(cache::STAMP), "{}").expect("stamp");
        let check = |target: &Path, expect: Option<&Path>| {
            crate::setup::link::point(&workspace.deps(), LIBTORCH.link, target).expect("link");
            assert_eq!(earlier_choice(&workspace, &user_cache, &LIBTORCH).as_deref(), expect);
        };
        check(&own, None);
        check(&outside, Some(&outside));
        check(&moved, None);
    }
}
