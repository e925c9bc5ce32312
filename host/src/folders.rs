//! The user's own folders, by the XDG base directory specification: a variable counts only if it names an absolute path, else the usual place
//! in the home folder is meant.

use std::path::PathBuf;

const NAME: &str = "twinhost";

/// What can be made again: `$XDG_CACHE_HOME/twinhost`, or `~/.cache/twinhost`; `None` without a home folder.
pub fn cache() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join(NAME))
}

/// What the user decided: `$XDG_CONFIG_HOME/twinhost`, or `~/.config/twinhost`.
pub fn config() -> Option<PathBuf> {
    dirs::config_dir().map(|folder| folder.join(NAME))
}

/// What the user installed: `$XDG_DATA_HOME/twinhost`, or `~/.local/share/twinhost`.
pub fn data() -> Option<PathBuf> {
    dirs::data_dir().map(|folder| folder.join(NAME))
}
