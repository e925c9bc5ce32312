//! `plugin.ron`: what a bundle says it contains and needs.

use serde::{Deserialize, Serialize};
use twinhost_plugin_api::FeatureSpec;

use crate::recipe::Permission;

/// Component kinds of API v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Env,
    Robot,
    Camera,
    Teleop,
    Reward,
    Policy,
    Algorithm,
    /// An action monitor; sandboxed only.
    Filter,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Env => "env",
            Kind::Robot => "robot",
            Kind::Camera => "camera",
            Kind::Teleop => "teleop",
            Kind::Reward => "reward",
            Kind::Policy => "policy",
            Kind::Algorithm => "algorithm",
            Kind::Filter => "filter",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentEntry {
    pub kind: Kind,
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// What a sandboxed component wants besides its arguments; it gets it if the user grants it.
    #[serde(default)]
    pub asks: Vec<Permission>,
    /// What it can be tried out with: `host plugin test` does.
    #[serde(default)]
    pub example: Example,
}

/// What a component can be tried out with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Example {
    /// Its configuration, RON text.
    pub config: String,
    /// Shape and dtype, without leading axes, of what a reward or policy reads.
    pub features: Vec<FeatureSpec>,
    /// The policy that an algorithm trains.
    pub policy: Option<String>,
}

/// A large native library that the host opens by path before the plugin, so that the plugin carries no path itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Requirement {
    Libtorch(String),
    Mujoco(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub description: String,
    /// File name of the shared library, beside the manifest.
    pub library: String,
    pub components: Vec<ComponentEntry>,
    /// Not meant for users: passed over beside the host binary, where a build of the workspace leaves everything, and found where it is asked for.
    #[serde(default)]
    pub development: bool,
    #[serde(default)]
    pub requires: Vec<Requirement>,
}

impl Manifest {
    /// # Errors
    /// One sentence with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Manifest = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
            .from_str(text)
            .map_err(|e| format!("its plugin.ron is wrong at line {}: {}", e.span.start.line, e.code))?;
        if manifest.components.is_empty() {
            return Err("its plugin.ron lists no components".into());
        }
        if manifest.library.contains('/') || manifest.library.is_empty() {
            return Err(format!("its plugin.ron names the library `{}`, which must be a plain file name beside it", manifest.library));
        }
        Ok(manifest)
    }
}
