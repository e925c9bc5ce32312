//! New projects: the folder `templates/<kind>/<language>/` of the source, written out under the author's own name.
//!
//! A file's name loses a trailing `.template`; in its text the markers `{{name}}` (as typed), `{{crate}}` (with `_`), `{{Type}}` (CamelCase)
//! and `{{plugin_api}}`, `{{plugin_api_testkit}}`, `{{plugin_torch}}` (parts of the SDK as Cargo dependencies) are replaced.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{During as _, Error, Result};
use super::sdk::Sdk;
use super::wit;

include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What a component is written in. All but `Native` are guests of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Language {
    /// A Rust crate that becomes a shared library.
    Native,
    Python,
    Rust,
    C,
    #[value(name = "js")]
    JavaScript,
}

impl Language {
    /// As on the command line, and as the templates' folders are called.
    pub fn word(self) -> &'static str {
        match self {
            Language::Native => "native",
            Language::Python => "python",
            Language::Rust => "rust",
            Language::C => "c",
            Language::JavaScript => "js",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Every kind and language there is a template for.
pub fn available() -> BTreeSet<(&'static str, &'static str)> {
    FILES.iter().filter_map(|(path, _)| path.split_once('/').and_then(|(kind, rest)| Some((kind, rest.split_once('/')?.0)))).collect()
}

/// Writes a new project into `folder`, which must not exist yet or be empty; returns the files, relative to it.
///
/// # Errors
/// If there is no such template, the name does not do as a name of a package, or something is in the way.
pub fn write(kind: &str, language: Language, name: &str, folder: &Path) -> Result<Vec<PathBuf>> {
    check_name(name)?;
    let prefix = format!("{kind}/{language}/");
    let files: Vec<(&str, &str)> = FILES.iter().filter_map(|(path, text)| Some((path.strip_prefix(&*prefix)?, *text))).collect();
    if files.is_empty() {
        return Err(no_template(kind, language));
    }
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(Error::Project(format!("{} exists already: choose another name, or another folder with --into", folder.display())));
    }
    let sdk = if files.iter().any(|(_, text)| text.contains("{{plugin_")) { Sdk::installed()? } else { Sdk::published() };
    let mut written = Vec::new();
    for (path, text) in files {
        let relative = PathBuf::from(path.strip_suffix(".template").unwrap_or(path));
        let target = folder.join(&relative);
        let parent = target.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).during("create", parent)?;
        std::fs::write(&target, filled(text, name, &sdk)).during("write", &target)?;
        written.push(relative);
    }
    let ignored = folder.join(".gitignore");
    std::fs::write(&ignored, "/build\n/target\n__pycache__\n").during("write", &ignored)?;
    if language == Language::Rust {
        // cargo and editors read the interface from here; the other languages get it from the build.
        wit::write(&folder.join("wit"), wit::texts())?;
        written.extend(wit::texts().map(|(name, _)| Path::new("wit").join(name)));
    }
    Ok(written)
}

fn no_template(kind: &str, language: Language) -> Error {
    let all = available();
    let languages: Vec<&str> = all.iter().filter(|(k, _)| *k == kind).map(|(_, l)| *l).collect();
    Error::Project(if languages.is_empty() {
        let kinds: BTreeSet<&str> = all.iter().map(|(k, _)| *k).collect();
        format!("there is no template for a `{kind}`; kinds: {}", kinds.into_iter().collect::<Vec<_>>().join(", "))
    } else {
        format!("there is no template for a {kind} in `{language}`; languages for a {kind}: {}", languages.join(", "))
    })
}

pub(super) fn check_name(name: &str) -> Result<()> {
    let is_fine = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        && !matches!(name, "test" | "core" | "std" | "alloc");
    if is_fine {
        return Ok(());
    }
    Err(Error::Project(format!("`{name}` does not do as a name: begin with a letter, then letters, digits, `-` and `_`, all lower-case")))
}

fn filled(text: &str, name: &str, sdk: &Sdk) -> String {
    let camel: String = name.split(['-', '_']).map(capitalised).collect();
    text.replace("{{name}}", name)
        .replace("{{crate}}", &name.replace('-', "_"))
        .replace("{{Type}}", &camel)
        .replace("{{plugin_api}}", &sdk.dependency("plugin-api", &[]))
        .replace("{{plugin_api_testkit}}", &sdk.dependency("plugin-api", &["testkit"]))
        .replace("{{plugin_torch}}", &sdk.dependency("plugin-api/torch", &[]))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_filled_and_its_manifest_is_valid() {
        for (kind, language) in available() {
            let folder = tempfile::tempdir().unwrap();
            let language = <Language as clap::ValueEnum>::from_str(language, false).expect("a template's folder is a language");
            write(kind, language, "my-first_plugin", &folder.path().join("p")).unwrap();
            let text = std::fs::read_to_string(folder.path().join("p/plugin.ron")).unwrap();
            let manifest = crate::loader::Manifest::parse(&text).unwrap();
            assert_eq!(manifest.components[0].kind.word(), kind, "{kind}/{language}");
            let library = if language == Language::Native { "libmy_first_plugin.so" } else { "my-first_plugin.wasm" };
            assert_eq!(manifest.library, library, "{kind}/{language}");
            for (path, text) in FILES.iter().filter(|(path, _)| path.starts_with(&format!("{kind}/{language}/"))) {
                let text = filled(text, "my-first_plugin", &Sdk::published());
                for marker in ["{{name}}", "{{crate}}", "{{Type}}", "{{plugin_"] {
                    assert!(!text.contains(marker), "{path} keeps {marker}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused_with_what_can() {
        let folder = tempfile::tempdir().unwrap();
        let check = |kind: &str, language, name: &str, expect: &str| {
            let message = write(kind, language, name, &folder.path().join("p")).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check("rewrd", Language::Native, "x", "kinds: ");
        check("reward", Language::Native, "Bad Name", "`Bad Name`");
        check("reward", Language::Native, "../x", "lower-case");
        check("robot", Language::Python, "x", "robot");
        std::fs::create_dir(folder.path().join("p")).unwrap();
        std::fs::write(folder.path().join("p/mine"), "").unwrap();
        check("reward", Language::Native, "x", "exists already");
    }
}
