//! The links in `.deps/`, through which every build of this checkout finds the libraries.

use crate::failure::{During, Failure, Result};
use std::fs;
use std::path::Path;

/// Points `deps/name` at `folder` with one rename; true if it pointed elsewhere before.
pub fn point(deps: &Path, name: &str, folder: &Path) -> Result<bool> {
    let link = deps.join(name);
    if fs::read_link(&link).is_ok_and(|target| target == folder) {
        return Ok(false);
    }
    if fs::symlink_metadata(&link).is_ok_and(|found| !found.file_type().is_symlink()) {
        return Err(Failure::new(format!("{} is not a link; move it away and run again", link.display())));
    }
    fs::create_dir_all(deps).during(|| format!("create {}", deps.display()))?;
    let fresh = deps.join(format!(".{name}-{}", std::process::id()));
    std::os::unix::fs::symlink(folder, &fresh).during(|| format!("create a link in {}", deps.display()))?;
    fs::rename(&fresh, &link).during(|| format!("point {} at {}", link.display(), folder.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_once_moved_when_needed_and_never_replaces_a_folder() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let deps = temporary.path().join(".deps");
        let (first, second) = (temporary.path().join("first"), temporary.path().join("second"));
        assert!(point(&deps, "libtorch", &first).expect("new link"));
        assert!(!point(&deps, "libtorch", &first).expect("same link"));
        assert!(point(&deps, "libtorch", &second).expect("moved link"));
        assert_eq!(fs::read_link(deps.join("libtorch")).expect("a link"), second);
        fs::create_dir(deps.join("mujoco")).expect("folder");
        let refusal = point(&deps, "mujoco", &first).expect_err("a folder is in the way").to_string();
        assert!(refusal.contains("is not a link"), "{refusal}");
    }
}
