//! The sandbox's interface as texts: what guests are compiled against, whatever their language.

use std::path::Path;

use wit_parser::{Resolve, SourceMap, WorldId};

use super::error::{During as _, Error, Result};
use crate::loader::Kind;
use crate::recipe::Permission;

/// `plugin-api/wit/v1/`, frozen.
const TEXTS: [(&str, &str); 5] = [
    ("types.wit", include_str!("../../../plugin-api/wit/v1/types.wit")),
    ("reward.wit", include_str!("../../../plugin-api/wit/v1/reward.wit")),
    ("filter.wit", include_str!("../../../plugin-api/wit/v1/filter.wit")),
    ("policy.wit", include_str!("../../../plugin-api/wit/v1/policy.wit")),
    ("env.wit", include_str!("../../../plugin-api/wit/v1/env.wit")),
];

/// `plugin-api/wit/grants/v1/`, frozen: what a guest may have if it asks. Other packages lie below `deps` of an interface's folder.
const GRANTS: (&str, &str) = ("deps/grants/grants.wit", include_str!("../../../plugin-api/wit/grants/v1/grants.wit"));

/// The interface in [`GRANTS`] behind a permission.
pub fn granting(permission: Permission) -> String {
    format!("twinhost:grants/{}@1.0.0", format!("{permission:?}").to_lowercase())
}

/// The frozen texts: their places in an interface's folder, and what stands in them.
pub fn texts<'a>() -> impl Iterator<Item = (&'a str, &'a str)> {
    TEXTS.into_iter().chain([GRANTS])
}

/// Writes texts into `folder`, which is made if it is not there.
pub fn write<'a>(folder: &Path, texts: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    for (name, text) in texts {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).during("create", parent)?;
        std::fs::write(&path, text).during("write", &path)?;
    }
    Ok(())
}

/// What a guest is compiled against: its kind's own world, or that one with what it asks for.
pub struct World {
    pub name: &'static str,
    /// The world's own text, if it is not one of [`TEXTS`].
    text: Option<String>,
}

impl World {
    pub fn of(kind: Kind, asks: &[Permission]) -> Self {
        if asks.is_empty() {
            return Self { name: kind.word(), text: None };
        }
        let import = |ask: &Permission| format!("import {}; ", granting(*ask));
        let imports: String = Permission::ALL.iter().filter(|ask| asks.contains(ask)).map(import).collect();
        Self { name: "asking", text: Some(format!("world asking {{ include {}; {imports}}}\n", kind.word())) }
    }

    fn text(&self) -> Option<(&str, &str)> {
        self.text.as_ref().map(|text| ("asking.wit", text.as_str()))
    }

    /// Writes all that the world is made of into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write(folder, texts().chain(self.text()))
    }

    /// The world as tools see it.
    ///
    /// # Errors
    /// If the texts are damaged.
    pub fn resolve(&self) -> Result<(Resolve, WorldId), String> {
        let mut resolve = Resolve::default();
        resolve.push_str(GRANTS.0, GRANTS.1).map_err(|e| e.to_string())?;
        let mut texts = SourceMap::new();
        TEXTS.into_iter().chain(self.text()).for_each(|(name, text)| texts.push_str(name, text));
        let group = texts.parse().map_err(|(_, e)| e.to_string())?;
        let package = resolve.push_group(group).map_err(|e| e.to_string())?;
        let world = resolve.select_world(&[package], Some(self.name)).map_err(|e| e.to_string())?;
        Ok((resolve, world))
    }
}

/// The interface that a guest of this kind exports; its world has the kind's own name.
///
/// # Errors
/// If the kind cannot run in the sandbox.
pub fn interface(kind: Kind) -> Result<&'static str> {
    match kind {
        Kind::Reward => Ok("scoring"),
        Kind::Filter => Ok("monitoring"),
        Kind::Policy => Ok("acting"),
        Kind::Env => Ok("simulation"),
        other => Err(Error::Project(format!(
            "a {other} cannot run in the sandbox (reward, filter, policy and env can): make it a native plugin"
        ))),
    }
}
