//! A project on disk, and building it: `DIR/plugin.ron` says what it is, `DIR/build/` gets what the host loads.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

use super::cache::write_whole;
use super::error::{During as _, Error, Result};
use super::guest::Guest;
use super::tools;
use crate::loader::{Kind, Manifest, build_variables};

/// A folder with a `plugin.ron`.
#[derive(Debug)]
pub struct Project {
    pub folder: PathBuf,
    pub manifest: Manifest,
    /// The manifest as the author wrote it.
    text: String,
}

/// What a build left behind.
#[derive(Debug)]
pub struct Artefact {
    /// The library or component, in `build/` beside a copy of the manifest: a bundle that `--plugin-dir` takes.
    pub path: PathBuf,
    pub bytes: u64,
}

impl Project {
    /// # Errors
    /// If the folder is not a project, or its manifest is wrong.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("plugin.ron");
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let sentence = "has no plugin.ron, so it is not a plugin project: `host plugin new` makes one";
                return Err(Error::Project(format!("{} {sentence}", folder.display())));
            }
            read => read.during("read", &path)?,
        };
        let manifest = Manifest::parse(&text).map_err(|reason| Error::Project(format!("{}: {reason}", folder.display())))?;
        let folder = folder.canonicalize().during("find", folder)?;
        Ok(Self { folder, manifest, text })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// It becomes a component for the sandbox, not a library.
    pub fn is_guest(&self) -> bool {
        Path::new(&self.manifest.library).extension().is_some_and(|e| e == "wasm")
    }
}

/// Builds the project with its language's own tools, optimised.
///
/// # Errors
/// If a tool is missing or refuses the source, or the result is not a plugin.
pub fn build(project: &Project) -> Result<Artefact> {
    let built = if project.is_guest() {
        Guest::of_project(&project.folder, &project.manifest, &project.text)?.build()?
    } else {
        native_library(project)?
    };
    let into = project.folder.join("build");
    std::fs::create_dir_all(&into).during("create", &into)?;
    let path = into.join(&project.manifest.library);
    place(&built, &path)?;
    write_whole(&into.join("plugin.ron"), project.text.as_bytes())?;
    let bytes = std::fs::metadata(&path).during("look at", &path)?.len();
    Ok(Artefact { path, bytes })
}

/// What a recipe means by a path: a source file, a project's folder, or a `.wasm`.
enum Named {
    Guest(Guest),
    Project(Project),
    Built(PathBuf),
}

impl Named {
    fn by(kind: Kind, path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::Project(format!("{} does not exist; the path is relative to the recipe", path.display())));
        }
        if path.is_dir() {
            return Project::open(path).map(Self::Project);
        }
        if path.extension().is_some_and(|e| e == "wasm") {
            return Ok(Self::Built(path.to_path_buf()));
        }
        Guest::of_file(kind, path).map(Self::Guest)
    }
}

/// The component file that a recipe means by a path: a source is built (once, then taken from the cache), so is a project's folder, and a
/// `.wasm` is one already.
///
/// # Errors
/// If there is no such file, or as [`build`].
pub fn component_file(kind: Kind, path: &Path) -> Result<PathBuf> {
    match Named::by(kind, path)? {
        Named::Guest(guest) => guest.build(),
        Named::Project(project) => Ok(build(&project)?.path),
        Named::Built(file) => Ok(file),
    }
}

/// SHA-256 (hex) of what [`component_file`] makes a sandboxed component from; `None` for a native project.
///
/// # Errors
/// If there is no such file, or it cannot be read.
pub fn source_hash(kind: Kind, path: &Path) -> Result<Option<String>> {
    match Named::by(kind, path)? {
        Named::Guest(guest) => guest.source_hash().map(Some),
        Named::Project(project) if project.is_guest() => {
            Guest::of_project(&project.folder, &project.manifest, &project.text)?.source_hash().map(Some)
        }
        Named::Built(file) => Ok(Some(hex::encode(Sha256::digest(std::fs::read(&file).during("read", &file)?)))),
        Named::Project(_) => Ok(None),
    }
}

/// A copy that keeps who may execute it.
fn place(from: &Path, to: &Path) -> Result<()> {
    write_whole(to, &std::fs::read(from).during("read", from)?)?;
    let permissions = std::fs::metadata(from).during("look at", from)?.permissions();
    std::fs::set_permissions(to, permissions).during("write", to)
}

/// Runs cargo on a native project; the library is the one cargo says it made.
fn native_library(project: &Project) -> Result<PathBuf> {
    let cargo_toml = project.folder.join("Cargo.toml");
    if !cargo_toml.is_file() {
        let library = &project.manifest.library;
        return Err(Error::Project(format!("{} does not exist, and plugin.ron asks for the library `{library}`", cargo_toml.display())));
    }
    let mut command = tools::cargo("a native plugin")?;
    command.args(["build", "--release", "--lib", "--message-format=json-render-diagnostics", "--manifest-path"]).arg(&cargo_toml);
    for requirement in &project.manifest.requires {
        command.envs(build_variables(requirement).map_err(Error::Project)?);
    }
    let output = tools::run("cargo", &mut command, &project.folder)?;
    let libraries: Vec<PathBuf> = cargo_artefacts(&output.stdout).filter(|path| path.extension().is_some_and(|e| e == "so")).collect();
    let wanted = &project.manifest.library;
    let built = libraries.iter().rfind(|path| path.file_name().is_some_and(|name| name == wanted.as_str())).cloned().ok_or_else(|| {
        let made: Vec<String> = libraries.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
        let made = if made.is_empty() { "no library (does Cargo.toml say crate-type = [\"cdylib\"]?)".into() } else { made.join(", ") };
        Error::Project(format!("plugin.ron names the library `{wanted}`, but cargo made {made}"))
    })?;
    match crate::loader::inspect(&built) {
        Ok(Some(_)) => Ok(built),
        Ok(None) => Err(Error::Artefact { path: built, reason: "is no plugin: src/lib.rs has no `export_plugin!`".into() }),
        Err(refusal) => Err(Error::Artefact { path: built, reason: refusal.reason }),
    }
}

/// The files that cargo reports to have made or found up to date.
pub(super) fn cargo_artefacts(stdout: &[u8]) -> impl Iterator<Item = PathBuf> {
    String::from_utf8_lossy(stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_project_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let message = Project::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("no plugin.ron") && message.contains("host plugin new"), "{message}");
        std::fs::write(folder.path().join("plugin.ron"), "(name: 3)").unwrap();
        let message = Project::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("plugin.ron is wrong at line 1"), "{message}");
    }

    #[test]
    fn cargos_answer_names_the_files() {
        let said = br#"{"reason":"compiler-artifact","filenames":["/t/liba.so","/t/liba.rlib"]}
not json
{"reason":"build-finished","success":true}"#;
        assert_eq!(cargo_artefacts(said).collect::<Vec<_>>(), [PathBuf::from("/t/liba.so"), PathBuf::from("/t/liba.rlib")]);
    }
}
