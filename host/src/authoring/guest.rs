//! Guests: one source in Python, Rust, C or JavaScript becomes a WebAssembly component that imports nothing but what its manifest asks for.
//!
//! Python, C and JavaScript are compiled in a folder of their own that holds the sources and nothing else, so that what was built is
//! determined by what was hashed; the result is cached by that hash. Rust is cargo's business, which knows what has changed.

mod c;
mod javascript;
mod python;
mod rust;

pub(super) use c::works as c_works;

use std::path::{Path, PathBuf};

use super::cache::{self, Ingredients};
use super::component;
use super::error::{During as _, Error, Result};
use super::templates::{Language, check_name};
use super::tools;
use super::wit::{self, World};
use crate::loader::{Kind, Manifest, inspect};
use crate::recipe::Permission;

/// Raised when the way of building changes otherwise than in a language's ingredients, so that older results are not used.
const FORMAT: &str = "1";

/// Folders that hold results or trials, not sources.
const NOT_SOURCES: [&str; 4] = ["build", "target", "cases", "node_modules"];

/// One component's source.
#[derive(Debug)]
pub struct Guest {
    pub kind: Kind,
    pub language: Language,
    /// The file that has the component.
    pub main: PathBuf,
    /// Everything it may need; `None` if `main` is all there is.
    folder: Option<PathBuf>,
    /// Name of the plugin, which its file gets.
    pub name: String,
    manifest: String,
    /// What it wants besides its arguments.
    asks: Vec<Permission>,
}

/// Whether this machine has the tools that a language needs.
///
/// # Errors
/// What is missing, with the command that installs it.
pub fn ready(language: Language) -> Result<()> {
    match language {
        Language::Native => tools::cargo("a native plugin").map(drop),
        Language::Rust => rust::ready(),
        Language::Python => tools::componentize_py().map(drop),
        Language::JavaScript => tools::componentize_js().map(drop),
        Language::C => {
            let stage = tempfile::tempdir().during("create a folder in", &std::env::temp_dir())?;
            tools::c_compiler(stage.path()).map(drop)
        }
    }
}

/// What every language's build gets.
struct Task<'a> {
    kind: Kind,
    interface: &'static str,
    world: World,
    /// What it wants besides its arguments.
    asks: &'a [Permission],
    /// A folder with copies of the sources and nothing else.
    stage: &'a Path,
    /// Name of the main file in there.
    main: &'a str,
    /// The author's own file, for messages.
    source: &'a Path,
    /// Names of all files in there.
    files: &'a [String],
}

impl Guest {
    /// The guest of a project whose manifest names a `.wasm`: the source is `<kind>.py`, `<kind>.c`, `<kind>.js` or a crate.
    ///
    /// # Errors
    /// If there is no such file or more than one, or the manifest does not describe one guest.
    pub fn of_project(folder: &Path, manifest: &Manifest, text: &str) -> Result<Self> {
        let [component] = manifest.components.as_slice() else {
            let several = manifest.components.len();
            return Err(Error::Project(format!(
                "{}/plugin.ron lists {several} components; a .wasm file holds exactly one",
                folder.display()
            )));
        };
        let kind = component.kind;
        wit::interface(kind)?;
        let candidates = [
            (Language::Python, format!("{kind}.py")),
            (Language::C, format!("{kind}.c")),
            (Language::JavaScript, format!("{kind}.js")),
            (Language::Rust, "Cargo.toml".to_owned()),
        ];
        let mut found = candidates.iter().filter(|(_, file)| folder.join(file).is_file());
        let (Some((language, file)), None) = (found.next(), found.next()) else {
            let names: Vec<&str> = candidates.iter().map(|(_, file)| file.as_str()).collect();
            return Err(Error::Project(format!("{} must hold exactly one of {}", folder.display(), names.join(", "))));
        };
        Ok(Self {
            kind,
            language: *language,
            main: folder.join(file),
            folder: Some(folder.to_path_buf()),
            name: manifest.name.clone(),
            manifest: text.to_owned(),
            asks: component.asks.clone(),
        })
    }

    /// A single file; it is named after itself.
    ///
    /// # Errors
    /// If its language or name does not do.
    pub fn of_file(kind: Kind, file: &Path) -> Result<Self> {
        wit::interface(kind)?;
        let language = match file.extension().and_then(|e| e.to_str()) {
            Some("py") => Language::Python,
            Some("c") => Language::C,
            Some("js") => Language::JavaScript,
            _ => {
                let sentence = "is not a source the host can build alone (.py, .c or .js; a Rust component is a project with a plugin.ron)";
                return Err(Error::Project(format!("{} {sentence}", file.display())));
            }
        };
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        check_name(&name).map_err(|e| Error::Project(format!("{}: {e}", file.display())))?;
        let kind_name = format!("{kind:?}");
        let manifest = format!(
            "(name: {name:?}, version: \"0.0.0\", library: \"{name}.wasm\", components: [(kind: {kind_name}, name: {name:?}, description: \"\")])"
        );
        Ok(Self { kind, language, main: file.to_path_buf(), folder: None, name, manifest, asks: Vec::new() })
    }

    /// The built component, from the cache if nothing has changed.
    ///
    /// # Errors
    /// If a tool is missing or refuses the source, or the result is not what the sandbox takes.
    pub fn build(&self) -> Result<PathBuf> {
        let interface = wit::interface(self.kind)?;
        if let (Language::Rust, Some(folder)) = (self.language, &self.folder) {
            let module = rust::module(folder)?;
            let mut ingredients = Ingredients::default();
            ingredients.add(&self.manifest, &module);
            return cache::get_or_make(&self.name, &ingredients.hash(), || self.finished(component::encoded(&module, folder)?));
        }
        let sources = self.sources()?;
        cache::get_or_make(&self.name, &self.hash_of(&sources), || {
            let stage = tempfile::tempdir().during("create a folder in", &std::env::temp_dir())?;
            let root = stage.path().canonicalize().during("find", stage.path())?;
            for (name, bytes) in &sources {
                let target = root.join(name);
                let parent = target.parent().unwrap_or(&root);
                std::fs::create_dir_all(parent).during("create", parent)?;
                std::fs::write(&target, bytes).during("write", &target)?;
            }
            let main = self.main.file_name().unwrap_or_default().to_string_lossy();
            let files: Vec<String> = sources.iter().map(|(name, _)| name.clone()).collect();
            let task = Task {
                kind: self.kind,
                interface,
                world: World::of(self.kind, &self.asks),
                asks: &self.asks,
                stage: &root,
                main: &main,
                source: &self.main,
                files: &files,
            };
            let component = match self.language {
                Language::Python => python::component(&task)?,
                Language::JavaScript => javascript::component(&task)?,
                Language::C => component::encoded(&c::module(&task)?, &self.main)?,
                Language::Rust | Language::Native => {
                    return Err(Error::Project(format!("{} is not a guest's source", self.main.display())));
                }
            };
            self.finished(component)
        })
    }

    /// SHA-256 (hex) of everything that the component is made from: equal hashes mean equal behaviour, even where a compiler bakes something of its
    /// own into every build.
    ///
    /// # Errors
    /// If a source cannot be read.
    pub fn source_hash(&self) -> Result<String> {
        Ok(self.hash_of(&self.sources()?))
    }

    fn hash_of(&self, sources: &[(String, Vec<u8>)]) -> String {
        let mut ingredients = Ingredients::default();
        ingredients.add(FORMAT, env!("CARGO_PKG_VERSION").as_bytes());
        ingredients.add(self.language.word(), self.manifest.as_bytes());
        for (name, text) in wit::texts() {
            ingredients.add(name, text.as_bytes());
        }
        let way: &[&str] = match self.language {
            Language::Python => &python::INGREDIENTS,
            Language::JavaScript => &javascript::INGREDIENTS,
            Language::C => &c::INGREDIENTS,
            Language::Rust | Language::Native => &[],
        };
        way.iter().for_each(|text| ingredients.add("way", text.as_bytes()));
        for (name, bytes) in sources {
            ingredients.add(name, bytes);
        }
        ingredients.hash()
    }

    /// Puts the manifest in and lets the loader's own eyes look at it, before anybody else sees it.
    fn finished(&self, component: Vec<u8>) -> Result<Vec<u8>> {
        let bytes = component::with_manifest(component, &self.manifest);
        let folder = tempfile::tempdir().during("create a folder in", &std::env::temp_dir())?;
        let file = folder.path().join(format!("{}.wasm", self.name));
        std::fs::write(&file, &bytes).during("write", &file)?;
        match inspect(&file) {
            Ok(Some(_)) => Ok(bytes),
            Ok(None) => Err(Error::Artefact { path: self.main.clone(), reason: "exports no interface of `twinhost:plugin`".into() }),
            Err(refusal) => Err(Error::Artefact { path: self.main.clone(), reason: refusal.reason }),
        }
    }

    /// The sources by their names from the project's folder, sorted.
    fn sources(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let read = |path: &Path| std::fs::read(path).during("read", path);
        let Some(folder) = &self.folder else {
            let name = self.main.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(vec![(name, read(&self.main)?)]);
        };
        let extensions: &[&str] = match self.language {
            Language::Python => &["py"],
            Language::C => &["c", "h"],
            Language::JavaScript => &["js"],
            Language::Rust => &["rs", "toml", "lock", "wit"],
            Language::Native => &[],
        };
        let mut sources = Vec::new();
        let mut folders = vec![folder.clone()];
        while let Some(inside) = folders.pop() {
            for entry in std::fs::read_dir(&inside).during("list", &inside)?.flatten() {
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
                if name.starts_with('.') || name == "__pycache__" {
                    continue;
                }
                if path.is_dir() && !(inside == *folder && NOT_SOURCES.contains(&name.as_str())) {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                    let relative = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                    sources.push((relative, read(&path)?));
                }
            }
        }
        sources.sort();
        Ok(sources)
    }
}
