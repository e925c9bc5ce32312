//! Where plugins are looked for, in this order: paths on the command line and in the recipe, `TWINHOST_PLUGIN_PATH`, the folder
//! of the host binary and its `plugins/`, `$XDG_DATA_HOME/twinhost/plugins`. The first bundle of a name wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::inspection::{Refusal, inspect};
use super::manifest::{ComponentEntry, Kind, Manifest};

/// A folder (or a single library) to search, and who asked for it.
#[derive(Clone, Debug)]
pub struct SearchPath {
    pub path: PathBuf,
    pub origin: &'static str,
    /// Named by the user: it must exist.
    pub required: bool,
}

const EXPLICIT: &str = "--plugin-dir or recipe";
const BESIDE: &str = "beside the host binary";

/// The search order for a given set of explicit paths.
pub fn search_order(explicit: &[PathBuf]) -> Vec<SearchPath> {
    let mut order: Vec<SearchPath> = explicit.iter().map(|p| SearchPath { path: p.clone(), origin: EXPLICIT, required: true }).collect();
    if let Some(paths) = std::env::var_os("TWINHOST_PLUGIN_PATH") {
        order.extend(std::env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty()).map(|path| SearchPath {
            path,
            origin: "TWINHOST_PLUGIN_PATH",
            required: true,
        }));
    }
    if let Some(folder) =
        std::env::current_exe().ok().and_then(|exe| exe.canonicalize().ok()).and_then(|exe| exe.parent().map(Path::to_path_buf))
    {
        order.push(SearchPath { path: folder.join("plugins"), origin: BESIDE, required: false });
        order.push(SearchPath { path: folder, origin: BESIDE, required: false });
    }
    if let Some(data) = crate::folders::data() {
        order.push(SearchPath { path: data.join("plugins"), origin: "user data folder", required: false });
    }
    order
}

/// A usable bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub manifest: Manifest,
    pub library: PathBuf,
    pub sha256: String,
    pub stamp: String,
    /// A WebAssembly component, which runs in the sandbox; otherwise a native library.
    pub sandboxed: bool,
    pub origin: &'static str,
    /// Of what it is made from, if it was named by its file; the sources, where the host builds it itself.
    pub source_sha256: Option<String>,
}

/// Why a sound file is no plugin.
pub const NOT_OURS: &str = "is not a Twinhost plugin (a library has an ABI stamp, a component exports an interface of `twinhost:plugin`)";

/// Everything that was looked at, for `host plugin why`.
#[derive(Clone, Debug)]
pub enum Candidate {
    Accepted { name: String, path: PathBuf },
    Shadowed { name: String, path: PathBuf, by: PathBuf },
    Refused(Refusal),
    NoSuchFolder(SearchPath),
}

#[derive(Debug, Default)]
pub struct Catalog {
    pub bundles: Vec<Bundle>,
    pub candidates: Vec<Candidate>,
    /// Components that were named by their file, and why one cannot be used.
    files: BTreeMap<(Kind, String), Result<Bundle, String>>,
}

impl Catalog {
    /// Looks at every search path. Never fails: what is wrong becomes a [`Candidate`].
    pub fn discover(explicit: &[PathBuf]) -> Self {
        Self::searched(search_order(explicit))
    }

    /// Looks at the given paths and nowhere else.
    pub fn only(paths: &[PathBuf]) -> Self {
        Self::searched(paths.iter().map(|path| SearchPath { path: path.clone(), origin: EXPLICIT, required: true }))
    }

    fn searched(order: impl IntoIterator<Item = SearchPath>) -> Self {
        let mut catalog = Self::default();
        for search in order {
            if search.path.is_file() {
                catalog.consider(&search.path, search.origin, true);
            } else if search.path.is_dir() {
                for path in libraries_in(&search.path) {
                    catalog.consider(&path, search.origin, false);
                }
            } else if search.required {
                catalog.candidates.push(Candidate::NoSuchFolder(search));
            }
        }
        catalog
    }

    fn consider(&mut self, path: &Path, origin: &'static str, named: bool) {
        match inspect(path) {
            Ok(Some(found)) if found.manifest.development && origin == BESIDE => {}
            Ok(Some(found)) => {
                let name = found.manifest.name.clone();
                if let Some(first) = self.bundles.iter().find(|b| b.manifest.name == name) {
                    self.candidates.push(Candidate::Shadowed { name, path: path.to_path_buf(), by: first.library.clone() });
                    return;
                }
                self.candidates.push(Candidate::Accepted { name, path: path.to_path_buf() });
                self.bundles.push(Bundle {
                    manifest: found.manifest,
                    library: path.to_path_buf(),
                    sha256: found.sha256,
                    stamp: found.stamp,
                    sandboxed: found.sandboxed,
                    origin,
                    source_sha256: None,
                });
            }
            Ok(None) if named => self.candidates.push(Candidate::Refused(Refusal::new(path, NOT_OURS))),
            Ok(None) => {}
            Err(refusal) => self.candidates.push(Candidate::Refused(refusal)),
        }
    }

    /// All components of a kind with their bundles.
    pub fn components(&self, kind: Kind) -> impl Iterator<Item = (&Bundle, &ComponentEntry)> {
        self.bundles.iter().flat_map(move |b| b.manifest.components.iter().filter(move |c| c.kind == kind).map(move |c| (b, c)))
    }

    /// Makes a component known by the file it was named by; `built` is the component file it became, with the hash of its sources, or why it
    /// became none.
    pub fn add_file(&mut self, kind: Kind, reference: &str, built: Result<(PathBuf, Option<String>), String>) {
        let bundle = built.and_then(|(library, source_sha256)| match inspect(&library) {
            Ok(Some(found)) => Ok(Bundle {
                manifest: found.manifest,
                library,
                sha256: found.sha256,
                stamp: found.stamp,
                sandboxed: found.sandboxed,
                origin: "named by its file",
                source_sha256,
            }),
            Ok(None) => Err(format!("{} {NOT_OURS}", library.display())),
            Err(refusal) => Err(refusal.to_string()),
        });
        self.files.insert((kind, reference.to_owned()), bundle);
    }

    /// Finds `name`, `bundle:name`, or a file that was added.
    ///
    /// # Errors
    /// A sentence that lists what there is and suggests the nearest name.
    pub fn find(&self, kind: Kind, reference: &str) -> Result<(&Bundle, &ComponentEntry), String> {
        if let Some(file) = self.files.get(&(kind, reference.to_owned())) {
            let bundle = file.as_ref().map_err(Clone::clone)?;
            let component = bundle.manifest.components.iter().find(|c| c.kind == kind);
            let wrong = || {
                format!(
                    "{reference} holds no {kind}, but {}",
                    bundle.manifest.components.iter().map(|c| c.kind.word()).collect::<Vec<_>>().join(", ")
                )
            };
            return component.map(|component| (bundle, component)).ok_or_else(wrong);
        }
        let (bundle, name) = reference.split_once(':').map_or((None, reference), |(b, n)| (Some(b), n));
        let found: Vec<_> =
            self.components(kind).filter(|(b, c)| c.name == name && bundle.is_none_or(|want| b.manifest.name == want)).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(self.not_found(kind, reference)),
            several => {
                let names: Vec<String> = several.iter().map(|(b, c)| format!("{}:{}", b.manifest.name, c.name)).collect();
                Err(format!("{kind} `{reference}` is ambiguous: write one of {}", names.join(", ")))
            }
        }
    }

    fn not_found(&self, kind: Kind, reference: &str) -> String {
        let known: Vec<&str> = self.components(kind).map(|(_, c)| c.name.as_str()).collect();
        let near = known.iter().max_by(|a, b| strsim::jaro_winkler(a, reference).total_cmp(&strsim::jaro_winkler(b, reference)));
        let mut text = format!("no plugin provides the {kind} `{reference}`");
        if let Some(near) = near.filter(|near| strsim::jaro_winkler(near, reference) > 0.75) {
            text.push_str(&format!("; did you mean `{near}`?"));
        } else if known.is_empty() {
            text.push_str(&format!(" (no {kind} was found at all: `host plugin list` shows where plugins are looked for)"));
        } else {
            text.push_str(&format!(" (there are: {})", known.join(", ")));
        }
        for candidate in &self.candidates {
            if let Candidate::Refused(refusal) = candidate {
                text.push_str(&format!("; note: {refusal}"));
            }
        }
        text
    }
}

/// Shared libraries and components directly in `folder` and in its bundle folders (those with a `plugin.ron`), sorted.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return out };
    for path in entries.flatten().map(|e| e.path()) {
        if path.extension().is_some_and(|e| e == "so" || e == "wasm") {
            out.push(path);
        } else if let Ok(text) = std::fs::read_to_string(path.join("plugin.ron"))
            && let Ok(manifest) = Manifest::parse(&text)
        {
            out.push(path.join(manifest.library));
        }
    }
    out.sort();
    out
}
