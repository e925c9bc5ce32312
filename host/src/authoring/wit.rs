//! The sandbox's interface as texts: what guests are compiled against, whatever their language.

use std::path::Path;

use super::error::{During as _, Error, Result};
use crate::loader::Kind;

/// `plugin-api/wit/v1/`, frozen.
pub const TEXTS: [(&str, &str); 5] = [
    ("types.wit", include_str!("../../../plugin-api/wit/v1/types.wit")),
    ("reward.wit", include_str!("../../../plugin-api/wit/v1/reward.wit")),
    ("filter.wit", include_str!("../../../plugin-api/wit/v1/filter.wit")),
    ("policy.wit", include_str!("../../../plugin-api/wit/v1/policy.wit")),
    ("env.wit", include_str!("../../../plugin-api/wit/v1/env.wit")),
];

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

/// Writes the texts into `folder`, which is made if it is not there.
pub fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).during("create", folder)?;
    for (name, text) in TEXTS {
        let path = folder.join(name);
        std::fs::write(&path, text).during("write", &path)?;
    }
    Ok(())
}
