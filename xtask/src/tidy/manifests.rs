//! The direction of dependencies between packages, read from what cargo makes of the manifests.

use super::Finding;
use crate::workspace::{Dependency, Package};

/// The interface everything else meets at.
const INTERFACE: &str = "twinhost-plugin-api";
/// The differentiable side of the interface; it links libtorch.
const TORCH_SIDE: &str = "twinhost-plugin-torch";
const HOST: &str = "twinhost";

/// Crates that load a native library; the host must start without any.
const NATIVE: [&str; 4] = ["tch", "torch-sys", "mujoco-rs", "ort"];

pub fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for package in packages {
        let is_plugin = package.relative.starts_with("plugins");
        let is_inside = |dependency: &&Dependency| names.contains(&dependency.name.as_str());
        let mut tell = |sentence: String| {
            findings.push(Finding { path: package.relative.join("Cargo.toml"), line: 1, sentence });
        };
        for dependency in package.dependencies.iter().filter(is_inside) {
            let name = &dependency.name;
            let to_plugin = packages.iter().any(|other| &other.name == name && other.relative.starts_with("plugins"));
            if is_plugin && name != INTERFACE && name != TORCH_SIDE {
                tell(format!("the plugin {} depends on {name}; a plugin depends on {INTERFACE} and {TORCH_SIDE} only", package.name));
            } else if package.relative.starts_with("host") && to_plugin {
                tell(format!("{} depends on the plugin {name}; plugins are loaded by path at run time", package.name));
            } else if package.name == INTERFACE {
                tell(format!("{INTERFACE} depends on {name}; the interface depends on nothing of this workspace"));
            }
        }
        if package.name == HOST {
            for dependency in &package.dependencies {
                if NATIVE.contains(&dependency.name.as_str()) || dependency.name == TORCH_SIDE {
                    tell(format!("the host depends on {}; native libraries live in plugins", dependency.name));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, dependencies: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: (*name).to_owned() };
        Package {
            name: name.to_owned(),
            folder: folder.into(),
            relative: folder.into(),
            dependencies: dependencies.iter().map(dependency).collect(),
            cdylib: None,
        }
    }

    fn check_packages(changed: Package, expect: &[&str]) {
        let mut packages = vec![
            package("twinhost-plugin-api", "plugin-api", &["serde"]),
            package("twinhost", "host", &["twinhost-plugin-api", "clap"]),
            package("twinhost-plugin-torch", "plugin-api/torch", &["twinhost-plugin-api", "tch"]),
            package("twinhost-policies", "plugins/policies", &["twinhost-plugin-api", "twinhost-plugin-torch", "tch"]),
            package("twinhost-rewards", "plugins/rewards", &["twinhost-plugin-api"]),
        ];
        packages.retain(|package| package.name != changed.name);
        packages.push(changed);
        let found: Vec<String> = check(&packages).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found} does not say {expect}");
        }
    }

    #[test]
    fn dependencies_have_one_direction() {
        check_packages(package("twinhost-tests", "tests", &["twinhost"]), &[]);
        check_packages(package("twinhost-rewards", "plugins/rewards", &["twinhost"]), &["plugins/rewards/Cargo.toml:1: the plugin"]);
        check_packages(package("twinhost-rewards", "plugins/rewards", &["twinhost-policies"]), &["depends on twinhost-policies"]);
        check_packages(package("twinhost", "host", &["twinhost-rewards"]), &["depends on the plugin twinhost-rewards"]);
        check_packages(package("twinhost", "host", &["tch"]), &["native libraries live in plugins"]);
        check_packages(package("twinhost", "host", &["twinhost-plugin-torch"]), &["native libraries live in plugins"]);
        check_packages(package("twinhost-plugin-api", "plugin-api", &["twinhost"]), &["depends on nothing of this workspace"]);
    }
}
