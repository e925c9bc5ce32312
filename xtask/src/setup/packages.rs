//! The Debian packages a build needs, told from what the machine can already do, and how to get the missing ones.

use crate::failure::{During, Failure, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Something the build or the simulator needs, and the Debian package that brings it.
struct Need {
    what: &'static str,
    package: &'static str,
    is_met: fn() -> bool,
}

const NEEDS: &[Need] = &[
    Need { what: "a C compiler", package: "build-essential", is_met: || runs("cc") },
    Need { what: "a C++ compiler", package: "build-essential", is_met: || runs("c++") },
    Need { what: "pkg-config", package: "pkg-config", is_met: || runs("pkg-config") },
    Need { what: "the EGL library (off-screen rendering)", package: "libegl1", is_met: || has_library("libEGL.so.1") },
    Need { what: "an EGL driver (a GPU's, or Mesa's software one)", package: "libegl-mesa0", is_met: has_egl_driver },
    Need { what: "the OpenGL library", package: "libgl1", is_met: || has_library("libGL.so.1") },
    Need { what: "Mesa's software renderer", package: "libgl1-mesa-dri", is_met: || has_gpu_driver() || has_mesa_renderer() },
];

/// Where the EGL loader finds its drivers.
const EGL_VENDOR_FOLDERS: [&str; 2] = ["/usr/share/glvnd/egl_vendor.d", "/etc/glvnd/egl_vendor.d"];
const LIBRARY_FOLDERS: [&str; 4] = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];

/// Installs what is missing, or stops with the command that would.
pub fn ensure_build_packages() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.is_met)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what: Vec<&str> = missing.iter().map(|need| need.what).collect();
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.dedup();
    install(&what.join(", "), &packages)?;
    match missing.iter().find(|need| !(need.is_met)()) {
        None => Ok(()),
        Some(need) => Err(Failure::new(format!("{} is installed, yet {} is still not found on this machine", need.package, need.what))),
    }
}

/// Installs Debian packages with apt if this user may; otherwise fails with the exact command to type.
pub fn install(what: &str, packages: &[&str]) -> Result<()> {
    let typed = format!("sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !on_path("apt-get") {
        return Err(Failure::new(format!(
            "this machine lacks {what}; install what your distribution calls {} (Debian's names) and run the command again",
            packages.join(", ")
        )));
    }
    let Some(prefix) = privilege() else {
        return Err(Failure::new(format!(
            "this machine lacks {what}, and installing needs an administrator; run `{typed}`, then the same command again"
        )));
    };
    println!("installing {}: {what}", packages.join(", "));
    let update = apt(prefix, &["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    match (apt(prefix, &arguments)?, update) {
        (None, _) => Ok(()),
        (Some(reason), None) => Err(Failure::new(format!("apt could not install {what}: {reason}; run `{typed}` to see all it says"))),
        (Some(reason), Some(update)) => Err(Failure::new(format!(
            "apt could neither refresh its lists ({update}) nor install {what} ({reason}); check the network and /etc/apt, then run `{typed}`"
        ))),
    }
}

/// Runs apt-get quietly; `Some` is the last line of complaint.
fn apt(prefix: &[&str], arguments: &[&str]) -> Result<Option<String>> {
    let mut words = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]);
    words.extend(arguments);
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().during(|| "start apt-get".to_owned())?;
    if output.status.success() {
        return Ok(None);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Ok(Some(complaint.lines().rev().find(|line| line.starts_with("E:")).unwrap_or("it gave no reason").to_owned()))
}

/// How to become root without a question: not at all (we are), through sudo, or `None` if that is not allowed.
fn privilege() -> Option<&'static [&'static str]> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if is_root {
        return Some(&[]);
    }
    let sudo = Command::new("sudo").args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    sudo.is_ok_and(|status| status.success()).then_some(&["sudo", "-n"])
}

fn runs(program: &str) -> bool {
    let status = Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn has_library(soname: &str) -> bool {
    LIBRARY_FOLDERS.iter().any(|folder| Path::new(folder).join(soname).exists())
}

fn has_egl_driver() -> bool {
    EGL_VENDOR_FOLDERS.iter().any(|folder| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
}

fn has_gpu_driver() -> bool {
    has_library("libEGL_nvidia.so.0")
}

/// Older Mesa ships `swrast_dri.so`, newer ones one `libgallium-<version>.so`.
fn has_mesa_renderer() -> bool {
    LIBRARY_FOLDERS.iter().any(|folder| {
        let folder = Path::new(folder);
        let has_gallium = || {
            let starts = |name: std::ffi::OsString| name.to_string_lossy().starts_with("libgallium");
            std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| starts(entry.file_name())))
        };
        folder.join("dri/swrast_dri.so").exists() || has_gallium()
    })
}
