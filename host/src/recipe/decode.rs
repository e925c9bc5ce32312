//! Tree -> typed recipe, collecting every mistake on the way, and defaults put in where a field was left out.

use std::path::Path;

use super::diagnostics::{Finding, Location, Sources, suggest};
use super::reference::is_file;
use super::shape::{Check, Decode, Shape};
use super::syntax::{self, Field, Kind, Node, quote};
use crate::codes::Code;

/// Collects findings and knows the path of the value being decoded.
pub struct Decoder<'s> {
    sources: &'s Sources,
    path: Vec<String>,
    pub findings: Vec<Finding>,
    /// Part of the recipe could not be read, so that absent fields mean nothing.
    partial: bool,
}

impl<'s> Decoder<'s> {
    pub fn new(sources: &'s Sources, partial: bool) -> Self {
        Self { sources, path: Vec::new(), findings: Vec::new(), partial }
    }

    /// Path of the current value, e.g. `envs.sim.component`.
    pub fn path(&self) -> String {
        self.path.concat().trim_start_matches('.').to_owned()
    }

    pub fn inside<T>(&mut self, segment: String, decode: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment);
        let decoded = decode(self);
        self.path.pop();
        decoded
    }

    fn report(&mut self, code: Code, at: Location, message: String, help: Option<String>) {
        let path = self.path();
        self.findings.push(Finding { at, path, message, help, code });
    }

    pub fn wrong_type<T>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let (at, found) = match &node.kind {
            Kind::Scalar(token) => (node.at, format!("`{}`", shorten(token))),
            Kind::Struct { .. } => (node.opening(), "a bracket with named fields".to_owned()),
            Kind::Tuple { .. } => (node.opening(), "a tuple".to_owned()),
            Kind::List(_) => (node.opening(), "a list".to_owned()),
            Kind::Map(_) => (node.opening(), "a map".to_owned()),
        };
        let help = match node.scalar() {
            Some(word) if expected.contains("quotes") => format!("write {}", quote(word.trim_matches('\''))),
            _ => format!("write {expected}"),
        };
        self.report(Code::WrongType, at, format!("expected {expected}, found {found}"), Some(help));
        None
    }

    /// Decodes a scalar token.
    pub fn token<T>(&mut self, node: &Node, expected: &str, decode: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        match node.scalar().and_then(decode) {
            Some(value) => Some(value),
            None => self.wrong_type(node, expected),
        }
    }

    /// Decodes one of a few bare words.
    pub fn word<'n>(&mut self, node: &'n Node, words: &'static [&'static str]) -> Option<&'n str> {
        match node.scalar() {
            Some(word) if words.contains(&word) => Some(word),
            Some(word) => {
                let help = suggest(word.trim_matches('"'), "words allowed", words.iter().copied());
                self.report(Code::WrongType, node.at, format!("`{}` is not one of {}", shorten(word), words.join(", ")), Some(help));
                None
            }
            None => self.wrong_type(node, &words.join(" or ")),
        }
    }

    /// True if the node is a bracket with named fields; reports the fields that are not among `names`.
    pub fn record(&mut self, node: &Node, names: &'static [&'static str]) -> bool {
        let Kind::Struct { fields, .. } = &node.kind else {
            self.wrong_type::<()>(node, "named fields in round brackets");
            return false;
        };
        for field in fields.iter().filter(|f| !names.contains(&f.name.as_str())) {
            let given: Vec<_> = fields.iter().map(|f| f.name.as_str()).filter(|n| names.contains(n)).collect();
            let missing: Vec<_> = names.iter().copied().filter(|n| !given.contains(n)).collect();
            let help = super::diagnostics::closest(&field.name, missing.iter().copied())
                .map_or_else(|| suggest(&field.name, "fields", names.iter().copied()), |best| format!("did you mean `{best}`?"));
            let path = format!("{}.{}", self.path(), field.name);
            let message = format!("there is no field `{}`", field.name);
            let (at, path, code) = (field.name_at, path.trim_start_matches('.').to_owned(), Code::UnknownField);
            self.findings.push(Finding { at, path, message, help: Some(help), code });
        }
        true
    }

    /// Decodes one field of a record whose defaults are already filled in.
    ///
    /// After a mistake the default stands in for what was written, and a value out of range for itself, so that the rest of
    /// the recipe, and how it fits together, can be checked all the same.
    pub fn field<T: Decode>(
        &mut self,
        record: &Node,
        name: &'static str,
        default: Option<&'static str>,
        check: Option<Check>,
    ) -> Option<T> {
        let Some(node) = record.field(name) else {
            if !self.partial {
                self.inside(format!(".{name}"), |d| {
                    let help = format!("add `{name}: ...`; it has no default");
                    d.report(Code::MissingField, record.opening(), "this field is missing".to_owned(), Some(help));
                });
            }
            return None;
        };
        self.inside(format!(".{name}"), |d| {
            let Some(decoded) = T::decode(node, d) else { return d.stand_in(default?, node) };
            if let Some(check) = check.filter(|c| !c.accepts(node.without_some())) {
                let found = node.without_some().scalar().map_or_else(String::new, |t| format!(", got `{}`", shorten(t)));
                let at = if node.scalar().is_some() { node.at } else { node.opening() };
                let (must, help) = check.requirement();
                d.report(Code::OutOfRange, at, format!("{must}{found}"), Some(help));
            }
            Some(decoded)
        })
    }

    fn stand_in<T: Decode>(&mut self, default: &'static str, instead_of: &Node) -> Option<T> {
        let mut node = default_value(default, instead_of.at);
        complete(&mut node, &T::shape(), self.sources);
        let told = self.findings.len();
        let decoded = T::decode(&node, self);
        self.findings.truncate(told);
        decoded
    }

    /// Refuses NaN wherever decoding has not, plugins' own configurations included: no setting of any component means
    /// "not a number".
    pub fn refuse_nan(&mut self, node: &Node) {
        if let Some(token) = node.scalar() {
            let nan = matches!(token.trim_start_matches(['+', '-']), "NaN" | "NaNf32" | "NaNf64");
            if nan && !self.findings.iter().any(|f| f.at == node.at) {
                self.report(Code::OutOfRange, node.at, "NaN is not a setting".to_owned(), Some("write a finite number".to_owned()));
            }
            return;
        }
        let segments: Vec<String> = match &node.kind {
            Kind::Struct { fields, .. } => fields.iter().map(|f| format!(".{}", f.name)).collect(),
            Kind::Map(entries) => {
                entries.iter().map(|(k, _)| format!(".{}", k.string().unwrap_or_else(|| self.sources.snippet(k.at).to_owned()))).collect()
            }
            _ => (0..node.children().len()).map(|i| format!("[{i}]")).collect(),
        };
        for (segment, child) in segments.into_iter().zip(node.children()) {
            self.inside(segment, |d| d.refuse_nan(child));
        }
    }
}

fn shorten(token: &str) -> String {
    if token.chars().count() <= 40 { token.to_owned() } else { token.chars().take(37).collect::<String>() + "..." }
}

/// Adds the defaults of absent fields, puts fields into the order of their declaration, drops `Some(...)`, and makes
/// paths absolute. A default stands at the opening of the bracket it belongs to, so that messages about it point there.
pub fn complete(node: &mut Node, shape: &Shape, sources: &Sources) {
    match shape {
        Shape::Optional(inner) => {
            if *node.without_some() != *node {
                *node = node.without_some().clone();
            }
            if !node.is_none() {
                complete(node, inner, sources);
            }
        }
        Shape::Record(record) => {
            let opening = node.opening();
            let Kind::Struct { fields, .. } = &mut node.kind else { return };
            let mut given = std::mem::take(fields);
            for field in &record.fields {
                let found = given.iter().position(|f| f.name == field.name).map(|i| given.remove(i));
                let absent = || {
                    field.default.map(|text| Field { name: field.name.to_owned(), name_at: opening, value: default_value(text, opening) })
                };
                if let Some(mut each) = found.or_else(absent) {
                    complete(&mut each.value, &field.shape, sources);
                    fields.push(each);
                }
            }
            fields.append(&mut given);
        }
        Shape::Map(inner) => {
            if let Kind::Map(entries) = &mut node.kind {
                entries.iter_mut().for_each(|(_, value)| complete(value, inner, sources));
            }
        }
        Shape::List(inner) => {
            if let Kind::List(items) = &mut node.kind {
                items.iter_mut().for_each(|item| complete(item, inner, sources));
            }
        }
        Shape::Path | Shape::Component => {
            let is_path = |text: &String| !text.is_empty() && (matches!(shape, Shape::Path) || is_file(text));
            if let Some(text) = node.string().filter(is_path) {
                let path = sources.get(node.at.source).folder.join(text);
                let absolute = std::path::absolute(&path).unwrap_or(path);
                node.kind = Kind::Scalar(quote(&absolute.to_string_lossy()));
            }
        }
        _ => {}
    }
}

fn default_value(text: &'static str, at: Location) -> Node {
    let mut node = syntax::parse(text, 0, at.source, &mut Vec::new()).expect("declared defaults are RON; a test parses each");
    relocate(&mut node, at);
    node
}

fn relocate(node: &mut Node, at: Location) {
    node.at = at;
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::Struct { fields, .. } => fields.iter_mut().for_each(|f| {
            f.name_at = at;
            relocate(&mut f.value, at);
        }),
        Kind::Tuple { items, .. } | Kind::List(items) => items.iter_mut().for_each(|i| relocate(i, at)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(k, v)| {
            relocate(k, at);
            relocate(v, at);
        }),
    }
}

/// The folder that relative paths in a file start from.
pub fn folder_of(file: &Path) -> std::path::PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}
