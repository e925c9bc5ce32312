//! Embeds the project templates: every file under `templates/<kind>/<language>/` becomes part of the binary. A new template is a new folder.
//! So does the source of the SDK, which projects are built against.

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let host = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut templates = Vec::new();
    collect(&host.join("templates"), &mut templates);
    embed("templates.rs", "/// Path under `templates/`, and text.\npub(super) static FILES", &host.join("templates"), templates);

    // Of a host that is built from the published crate, the SDK is published too, and nothing is embedded.
    let checkout = host.parent().expect("the host is a folder of the checkout");
    let mut sdk = Vec::new();
    if checkout.join("plugin-api/Cargo.toml").is_file() {
        println!("cargo:rerun-if-changed={}", checkout.join("Cargo.toml").display());
        sdk.push(checkout.join("Cargo.toml"));
        collect(&checkout.join("plugin-api"), &mut sdk);
    }
    sdk.retain(|file| file.extension().is_some_and(|e| e == "rs" || e == "toml" || e == "wit"));
    embed("sdk.rs", "/// Path in the checkout, and text.\nstatic FILES", checkout, sdk);
}

/// Writes a table of the files' paths under `root` and their texts.
fn embed(name: &str, head: &str, root: &Path, mut files: Vec<PathBuf>) {
    files.sort();
    let mut table = format!("{head}: &[(&str, &str)] = &[\n");
    for file in &files {
        let relative = file.strip_prefix(root).expect("files lie under the root");
        table.push_str(&format!("    ({:?}, include_str!({:?})),\n", relative.display().to_string(), file.display().to_string()));
    }
    table.push_str("];\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join(name);
    fs::write(out, table).expect("the build folder is writable");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    // The folder itself too: a new file changes nothing else.
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("templates are part of the source").flatten() {
        let path = entry.path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
