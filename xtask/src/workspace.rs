//! Where the checkout is, where cargo puts what it builds, and which packages there are.

use crate::failure::{During, Failure, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variables that `.cargo/config.toml` points into `.deps/`, each with its link there.
pub const LIBRARY_VARIABLES: [(&str, &str); 2] = [("LIBTORCH", "libtorch"), ("MUJOCO_DYNAMIC_LINK_DIR", "mujoco")];

/// One package of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    pub name: String,
    /// Folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// The same folder relative to the checkout.
    pub relative: PathBuf,
    pub dependencies: Vec<Dependency>,
    /// Name of its shared-library target, if it has one.
    pub cdylib: Option<String>,
}

/// What a package asks for, of any kind: normal, for its tests, for its build script.
#[derive(Debug, Clone)]
pub struct Dependency {
    pub name: String,
}

/// The checkout this xtask was started in.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the checkout from the manifest folder that cargo hands to what it runs.
    pub fn find() -> Result<Self> {
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().map(Path::to_path_buf).unwrap_or_default();
        if !root.join("Cargo.toml").is_file() {
            return Err(Failure::new(format!("there is no workspace at {}; run `cargo xtask` inside a Twinhost checkout", root.display())));
        }
        Ok(Self { root })
    }

    /// A workspace at a given folder.
    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of links to the pinned libraries.
    pub fn deps(&self) -> PathBuf {
        self.root.join(".deps")
    }

    /// A cargo command in the checkout. Library variables that only repeat `.cargo/config.toml` are taken out again, so
    /// that a build started here and a plain `cargo build` see the same environment and share every artefact.
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        for (variable, link) in LIBRARY_VARIABLES {
            if std::env::var_os(variable).is_some_and(|value| Path::new(&value) == self.deps().join(link)) {
                cargo.env_remove(variable);
            }
        }
        cargo
    }

    /// Runs a cargo command with its output on the terminal.
    pub fn run_cargo(&self, arguments: &[&str]) -> Result<()> {
        let what = format!("`cargo {}`", arguments.join(" "));
        let status = self.cargo().args(arguments).status().during(|| format!("start {what}"))?;
        if status.success() { Ok(()) } else { Err(Failure::child(&what, status)) }
    }

    /// The folder that holds the `dev` profile's binaries and plugin libraries.
    pub fn dev_folder(&self) -> Result<PathBuf> {
        let target = self.metadata()?["target_directory"].as_str().map(PathBuf::from);
        target.map(|target| target.join("debug")).ok_or_else(|| Failure::new("`cargo metadata` named no target directory"))
    }

    /// Every package of the workspace, by name.
    pub fn packages(&self) -> Result<Vec<Package>> {
        let metadata = self.metadata()?;
        let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
        let mut packages: Vec<Package> = packages.iter().filter_map(|package| Package::from_metadata(package, &self.root)).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(packages)
    }

    /// The bundles under `plugins/` that build a shared library.
    pub fn plugins(&self) -> Result<Vec<Package>> {
        let folder = self.root.join("plugins");
        Ok(self.packages()?.into_iter().filter(|package| package.folder.starts_with(&folder) && package.cdylib.is_some()).collect())
    }

    fn metadata(&self) -> Result<serde_json::Value> {
        let output = self
            .cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .during(|| "start `cargo metadata`".to_owned())?;
        if !output.status.success() {
            return Err(Failure::new(format!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| Failure::new(format!("`cargo metadata` printed no JSON: {error}")))
    }
}

impl Package {
    fn from_metadata(package: &serde_json::Value, root: &Path) -> Option<Self> {
        let targets = package["targets"].as_array()?;
        let texts = |list: &serde_json::Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        let dependency = |dependency: &serde_json::Value| Some(Dependency { name: dependency["name"].as_str()?.to_owned() });
        let is_cdylib = |target: &&serde_json::Value| texts(&target["crate_types"]).iter().any(|kind| kind == "cdylib");
        let cdylib = targets.iter().find(is_cdylib).and_then(|target| Some(target["name"].as_str()?.to_owned()));
        let folder = Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf();
        Some(Self {
            name: package["name"].as_str()?.to_owned(),
            relative: folder.strip_prefix(root).unwrap_or(&folder).to_path_buf(),
            folder,
            dependencies: package["dependencies"].as_array()?.iter().filter_map(dependency).collect(),
            cdylib,
        })
    }
}
