//! Putting a recipe together: the file, what it includes, and the arm laid over it. Later texts win, field by field.

use std::path::{Path, PathBuf};

use super::decode::folder_of;
use super::diagnostics::{Finding, Location, Source, Sources, suggest};
use super::syntax::{self, Field, Kind, Node};
use crate::codes::Code;

/// The arms of the paper's comparison and ablations, as overlays on any recipe that has all stages.
pub const BUILT_IN_ARMS: [(&str, &str); 5] = [
    // Stage I on real demonstrations only, no stage II.
    ("sft_real", "(stages: (sft: (alpha: 0.0), rl: None))"),
    // Stage I on the mixture, no stage II.
    ("sft_cotrain", "(stages: (rl: None))"),
    // The recipe as written.
    ("rlco", "()"),
    // Both stages, without real data in stage II.
    ("rlco_no_anchor", "(stages: (rl: (anchor: (beta: 0.0))))"),
    // Both stages, without simulated data in stage I.
    ("no_sim_sft", "(stages: (sft: (alpha: 0.0)))"),
];

/// More texts than this can only come from includes that multiply.
const MAX_TEXTS: usize = 200;

/// A file and everything it includes, as one tree.
#[derive(Clone)]
pub struct Composed {
    pub root: Node,
    /// An include could not be read, so that what is absent may only be missing because of that.
    pub partial: bool,
}

/// Reads a file and everything it includes. Problems go into `findings`; what could be read is returned.
///
/// # Errors
/// If the file itself cannot be read.
pub fn read(path: &Path, sources: &mut Sources, findings: &mut Vec<Finding>) -> std::io::Result<Option<Composed>> {
    let text = read_text(path)?;
    let mut files = Files { open: Vec::new(), partial: false, sources, findings };
    Ok(files.read(path, text).map(|root| Composed { root, partial: files.partial }))
}

/// Files are read as UTF-8; anything else is shown as an error of the whole file.
fn read_text(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::read(path)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "this is not a text file in UTF-8"))
}

struct Files<'a> {
    /// The chain of files that include each other, for finding circles.
    open: Vec<PathBuf>,
    partial: bool,
    sources: &'a mut Sources,
    findings: &'a mut Vec<Finding>,
}

impl Files<'_> {
    fn read(&mut self, path: &Path, text: String) -> Option<Node> {
        let folder = folder_of(path);
        let source = self.sources.add(Source { name: path.display().to_string(), text, folder: folder.clone(), is_argument: false });
        let mut node = match syntax::parse(&self.sources.get(source).text, 0, source, self.findings) {
            Ok(node) => node,
            Err(finding) => {
                self.findings.push(finding);
                return None;
            }
        };
        let Kind::Struct { fields, .. } = &mut node.kind else {
            self.findings.push(
                Finding::new(Code::Syntax, node.opening(), "", "a recipe is a bracket with named fields")
                    .help("write `(name: ..., envs: ..., ...)`"),
            );
            return None;
        };
        // Anything but a list of texts stays in the tree, for the decoder to complain about.
        let names: Option<Vec<(String, Location)>> = fields.iter().find(|f| f.name == "include").and_then(|f| match &f.value.kind {
            Kind::List(items) => items.iter().map(|i| i.string().map(|s| (s, i.at))).collect(),
            _ => None,
        });
        let Some(names) = names else { return Some(node) };
        fields.retain(|f| f.name != "include");

        self.open.push(identity(path));
        let included: Vec<Option<Node>> = names.into_iter().map(|(name, at)| self.include(&folder.join(&name), &name, at)).collect();
        self.open.pop();
        self.partial |= included.contains(&None);
        let at = node.at;
        let merged = included.into_iter().flatten().chain([node]).reduce(merge)?;
        Some(Node { at, ..merged })
    }

    fn include(&mut self, file: &Path, name: &str, at: Location) -> Option<Node> {
        let refusal = if self.open.contains(&identity(file)) {
            Finding::new(Code::Unreadable, at, "include", format!("`{name}` includes itself, directly or through others"))
                .help("remove this include")
        } else if self.sources.len() >= MAX_TEXTS {
            Finding::new(Code::Unreadable, at, "include", format!("more than {MAX_TEXTS} files are included"))
                .help("include each file once")
        } else {
            match read_text(file) {
                Ok(text) => return self.read(file, text),
                Err(e) => {
                    let remedy = "the path is relative to the file that includes it";
                    Finding::new(Code::Unreadable, at, "include", format!("cannot read `{}`: {e}", file.display())).help(remedy)
                }
            }
        };
        self.findings.push(refusal);
        None
    }
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Lays `over` on `base`: brackets and maps field by field, everything else is replaced.
///
/// Where both name a different `component`, the old one's `config` is dropped rather than mixed into the new one's.
pub fn merge(base: Node, over: Node) -> Node {
    let at = base.at;
    match (base.without_some().kind.clone(), over.without_some().kind.clone()) {
        (Kind::Struct { name: base_name, fields: mut merged }, Kind::Struct { name, fields })
            if name.is_none() || base_name.is_none() || name == base_name =>
        {
            let component = |fields: &[Field]| fields.iter().find(|f| f.name == "component").and_then(|f| f.value.string());
            if component(&fields).is_some_and(|new| component(&merged).is_some_and(|old| old != new)) {
                merged.retain(|f| f.name != "config");
            }
            for field in fields {
                match merged.iter_mut().find(|f| f.name == field.name) {
                    Some(old) => {
                        old.name_at = field.name_at;
                        old.value = merge(old.value.clone(), field.value);
                    }
                    None => merged.push(field),
                }
            }
            Node { kind: Kind::Struct { name: name.or(base_name), fields: merged }, at }
        }
        (Kind::Map(mut merged), Kind::Map(entries)) => {
            for (key, value) in entries {
                match merged.iter_mut().find(|(k, _)| same_key(k, &key)) {
                    Some((_, old)) => *old = merge(old.clone(), value),
                    None => merged.push((key, value)),
                }
            }
            Node { kind: Kind::Map(merged), at }
        }
        _ => over,
    }
}

fn same_key(a: &Node, b: &Node) -> bool {
    match (a.string(), b.string()) {
        (Some(a), Some(b)) => a == b,
        _ => a.kind == b.kind,
    }
}

/// The overlay of an arm: the recipe's own if it defines one of that name, else the built-in one.
pub fn arm(root: &Node, name: &str, sources: &mut Sources, findings: &mut Vec<Finding>) -> Option<Node> {
    if let Some((_, overlay)) = own_arms(root).into_iter().find(|(n, _)| n == name) {
        return Some(overlay.clone());
    }
    let mut add = |source: &str, text: &str, is_argument| {
        sources.add(Source { name: source.to_owned(), text: text.to_owned(), folder: PathBuf::new(), is_argument })
    };
    match BUILT_IN_ARMS.iter().find(|(n, _)| *n == name) {
        Some((_, text)) => {
            let source = add(&format!("built-in arm {name}"), text, false);
            Some(syntax::parse(text, 0, source, findings).expect("built-in arms are RON; a test loads each"))
        }
        None => {
            let source = add("--arm", name, true);
            let names = arm_names(root);
            let at = Location { source, start: 0, end: name.len() };
            findings.push(Finding::new(Code::Override, at, "", format!("there is no arm `{name}`")).help(suggest(
                name,
                "arms",
                names.iter().map(String::as_str),
            )));
            None
        }
    }
}

/// Arms the recipe itself defines.
pub fn own_arms(root: &Node) -> Vec<(String, &Node)> {
    match root.field("arms").map(|n| &n.kind) {
        Some(Kind::Map(entries)) => entries.iter().filter_map(|(k, v)| k.string().map(|k| (k, v))).collect(),
        _ => Vec::new(),
    }
}

/// Every arm that can be chosen.
pub fn arm_names(root: &Node) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN_ARMS.iter().map(|(n, _)| (*n).to_owned()).collect();
    names.extend(own_arms(root).into_iter().map(|(n, _)| n).filter(|n| !BUILT_IN_ARMS.iter().any(|(b, _)| b == n)));
    names
}
