//! libtorch and MuJoCo: found on disk, checked, and opened by path before the first plugin that needs them. The matching soname
//! then satisfies every plugin, so plugins carry no path and one process has one libtorch.

use std::path::{Path, PathBuf};

use super::manifest::Requirement;

/// A library folder that satisfies a requirement.
#[derive(Clone, Debug)]
pub struct NativeLibrary {
    pub folder: PathBuf,
    pub version: Option<String>,
    pub origin: String,
}

struct Known {
    name: &'static str,
    version: &'static str,
    variable: &'static str,
    /// Folder under the variable's value that holds the libraries.
    under: &'static str,
    /// Path below the cache folder, and below `.deps/` of a source checkout.
    cached: String,
    linked: &'static str,
    /// Files to open, in this order.
    files: Vec<String>,
}

fn known(requirement: &Requirement) -> Known {
    match requirement {
        Requirement::Libtorch(version) => Known {
            name: "libtorch",
            version: leak(version),
            variable: "LIBTORCH",
            under: "lib",
            cached: format!("libtorch-{version}/torch/lib"),
            linked: ".deps/libtorch/lib",
            files: ["libc10.so", "libtorch_cpu.so"].map(String::from).to_vec(),
        },
        Requirement::Mujoco(version) => Known {
            name: "MuJoCo",
            version: leak(version),
            variable: "MUJOCO_DYNAMIC_LINK_DIR",
            under: "",
            cached: format!("mujoco-{version}/mujoco"),
            linked: ".deps/mujoco",
            files: vec![format!("libmujoco.so.{version}")],
        },
    }
}

/// Variables with which a crate that needs the library is compiled; none if the user has set them.
///
/// # Errors
/// As [`locate`].
pub fn build_variables(requirement: &Requirement) -> Result<Vec<(&'static str, PathBuf)>, String> {
    let known = known(requirement);
    if std::env::var_os(known.variable).is_some_and(|value| !value.is_empty()) {
        return Ok(Vec::new());
    }
    let found = locate(requirement)?.folder;
    let root = if known.under.is_empty() { found.as_path() } else { found.parent().unwrap_or(&found) };
    if matches!(requirement, Requirement::Libtorch(_)) && !root.join("include/torch").is_dir() {
        let (name, variable) = (known.name, known.variable);
        return Err(format!("{name} at {} has no headers: run `cargo xtask setup`, or set {variable}", root.display()));
    }
    // As in every wheel of PyTorch since 2.6.
    let abi = matches!(requirement, Requirement::Libtorch(_)).then(|| ("LIBTORCH_CXX11_ABI", "1".into()));
    Ok(std::iter::once((known.variable, root.to_path_buf())).chain(abi).collect())
}

// Requirements come from a handful of manifests and live as long as the process.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_string().into_boxed_str())
}

/// Finds the folder for a requirement: environment variable, source checkout, user cache, beside the host binary.
///
/// # Errors
/// A sentence that says where it was looked for and how to get it.
pub fn locate(requirement: &Requirement) -> Result<NativeLibrary, String> {
    let known = known(requirement);
    let mut tried = Vec::new();
    for (origin, folder) in places(&known) {
        let complete = known.files.iter().all(|f| folder.join(f).is_file());
        if !complete {
            tried.push(folder.display().to_string());
            continue;
        }
        let version = version_of(requirement, &folder);
        if version.as_deref().is_some_and(|found| found.split('+').next() != Some(known.version)) {
            return Err(format!(
                "{} {} is needed, but {origin} leads to {} at {}: unset it or run `cargo xtask setup`",
                known.name,
                known.version,
                version.unwrap_or_default(),
                folder.display()
            ));
        }
        return Ok(NativeLibrary { folder, version, origin });
    }
    Err(format!(
        "{} {} was not found (looked in {}): run `cargo xtask setup`, or set {}",
        known.name,
        known.version,
        tried.join(", "),
        known.variable
    ))
}

fn places(known: &Known) -> Vec<(String, PathBuf)> {
    let mut out = Vec::new();
    if let Some(value) = std::env::var_os(known.variable).filter(|v| !v.is_empty()) {
        out.push((format!("the variable {}", known.variable), PathBuf::from(value).join(known.under)));
    }
    let exe = std::env::current_exe().ok().and_then(|exe| exe.canonicalize().ok());
    for ancestor in
        exe.iter().flat_map(|exe| exe.ancestors().skip(1)).chain([Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))])
    {
        if ancestor.join(known.linked).is_dir() {
            out.push(("the source checkout".into(), ancestor.join(known.linked)));
        }
    }
    if let Some(cache) = crate::folders::cache() {
        out.push(("the user's cache".into(), cache.join(&known.cached)));
    }
    if let Some(folder) = exe.as_ref().and_then(|exe| exe.parent()) {
        out.push(("the host's folder".into(), folder.join("lib")));
    }
    out
}

fn version_of(requirement: &Requirement, folder: &Path) -> Option<String> {
    match requirement {
        // Where the numbers are defined since 2.10, and before.
        Requirement::Libtorch(_) => ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"]
            .iter()
            .find_map(|header| torch_version(&std::fs::read_to_string(folder.join("../include").join(header)).ok()?)),
        Requirement::Mujoco(version) => Some(version.clone()),
    }
}

fn torch_version(header: &str) -> Option<String> {
    let number = |name: &str| {
        let lines = header.lines().filter_map(|line| line.trim().strip_prefix("#define "));
        lines.filter_map(|rest| rest.strip_prefix(name)).find_map(|rest| rest.split_whitespace().next())
    };
    Some(format!("{}.{}.{}", number("TORCH_VERSION_MAJOR ")?, number("TORCH_VERSION_MINOR ")?, number("TORCH_VERSION_PATCH ")?))
}

/// The innermost error: `libloading` wraps the system's own words.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Opens the libraries of a requirement for the life of the process.
///
/// # Errors
/// As [`locate`], or the loader's own message.
pub fn open(requirement: &Requirement) -> Result<(), String> {
    static OPENED: std::sync::Mutex<Vec<Requirement>> = std::sync::Mutex::new(Vec::new());
    let mut opened = OPENED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if opened.contains(requirement) {
        return Ok(());
    }
    if let Some(other) = opened.iter().find(|o| std::mem::discriminant(*o) == std::mem::discriminant(requirement)) {
        return Err(format!("needs {requirement:?}, but this process already uses {other:?}: rebuild the plugin against that version"));
    }
    let library = locate(requirement)?;
    for file in known(requirement).files {
        let path = library.folder.join(&file);
        // SAFETY: a pinned, well-known library whose constructors only set up its own state; it is never unloaded.
        let handle =
            unsafe { libloading::os::unix::Library::open(Some(&path), libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL) }
                .map_err(|e| format!("{} cannot be opened: {}", path.display(), root_cause(&e)))?;
        std::mem::forget(handle);
    }
    tracing::debug!(?requirement, folder = %library.folder.display(), origin = library.origin, "opened native library");
    opened.push(requirement.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::torch_version;

    #[test]
    fn the_version_is_read_from_the_header() {
        let header = "#pragma once\n#define TORCH_VERSION_MAJOR 2\n\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n";
        assert_eq!(torch_version(header).as_deref(), Some("2.11.0"));
        assert_eq!(torch_version("#include <torch/headeronly/version.h>\n"), None);
    }
}
