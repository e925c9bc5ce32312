//! `--set path=value`: one field of the recipe, a plugin's own configuration included, from the command line.
//!
//! The value is RON. Text needs no quotes where the field is known to hold text, so that the shell does not get in the way.

use std::path::PathBuf;

use super::diagnostics::{Finding, Location, Source, Sources, suggest};
use super::shape::{Record, Shape};
use super::syntax::{self, Field, Kind, Node, is_string, quote};
use crate::codes::Code;

/// One step of a path such as `envs.sim.config.cameras[0]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub name: String,
    pub at: Location,
}

impl Segment {
    fn index(&self) -> Option<usize> {
        self.name.parse().ok()
    }
}

/// Splits a path at dots and `[index]`; names with other characters go in double quotes.
pub fn segments(path: &str, source: usize) -> Option<Vec<Segment>> {
    let mut found = Vec::new();
    let mut position = 0;
    while position < path.len() {
        let rest = &path[position..];
        let (skip, length, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            (1, quoted.find('"')?, 1)
        } else if let Some(bracket) = rest.strip_prefix('[') {
            let length = bracket.find(']')?;
            bracket[..length].parse::<usize>().ok()?;
            (1, length, 1)
        } else {
            (0, rest.find(['.', '[', '"']).unwrap_or(rest.len()), 0)
        };
        let (start, end) = (position + skip, position + skip + length);
        if length == 0 {
            return None;
        }
        found.push(Segment { name: path[start..end].to_owned(), at: Location { source, start, end } });
        position = end + tail;
        match path[position..].chars().next() {
            Some('.') if position + 1 < path.len() => position += 1,
            Some('[') | None => {}
            _ => return None,
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Applies one `--set` argument to the tree.
pub fn apply(argument: &str, root: &mut Node, shape: &Shape, sources: &mut Sources) -> Result<(), Finding> {
    let source = sources.add(Source { name: "--set".to_owned(), text: argument.to_owned(), folder: PathBuf::new(), is_argument: true });
    let whole = Location { source, start: 0, end: argument.len() };
    let usage = |message: &str| {
        Finding::new(Code::Override, whole, "", message).help("write `--set path=value`, for example `--set stages.rl.anchor.beta=0`")
    };
    let (path, value) = argument.split_once('=').ok_or_else(|| usage("there is no `=`"))?;
    let steps = segments(path.trim_end(), source).ok_or_else(|| usage("the part before `=` is not a path"))?;
    let value = Value { text: value, at: Location { start: path.len() + 1, ..whole }, argument };
    Setter { path, value }.descend(root, shape, &steps, 0)
}

struct Value<'a> {
    text: &'a str,
    at: Location,
    argument: &'a str,
}

impl Value<'_> {
    /// The value as a tree; `text_wanted` makes unquoted text a string.
    fn node(&self, text_wanted: bool) -> Result<Node, Finding> {
        let as_text = || Node { kind: Kind::Scalar(quote(self.text.trim())), at: self.at };
        let mut findings = Vec::new();
        match syntax::parse(self.argument, self.at.start, self.at.source, &mut findings) {
            Ok(node) => match findings.pop() {
                Some(duplicate) => Err(duplicate),
                None if text_wanted && !node.is_none() && !node.scalar().is_some_and(is_string) => Ok(as_text()),
                None => Ok(node),
            },
            Err(_) if text_wanted || !self.text.trim_start().starts_with(['(', '[', '{', '"']) && !self.text.trim().is_empty() => {
                Ok(as_text())
            }
            Err(finding) => Err(finding),
        }
    }
}

struct Setter<'a> {
    path: &'a str,
    value: Value<'a>,
}

impl Setter<'_> {
    fn descend(&self, node: &mut Node, shape: &Shape, steps: &[Segment], depth: usize) -> Result<(), Finding> {
        if *node.without_some() != *node {
            *node = node.without_some().clone();
        }
        let Some(step) = steps.get(depth) else {
            let text_wanted = match shape {
                Shape::Text | Shape::Path | Shape::Component => true,
                Shape::Optional(inner) => matches!(**inner, Shape::Text | Shape::Path),
                Shape::Raw => node.scalar().is_some_and(is_string),
                _ => false,
            };
            *node = self.value.node(text_wanted)?;
            return Ok(());
        };
        match shape {
            Shape::Optional(inner) => self.descend(node, inner, steps, depth),
            Shape::Record(record) => self.record(node, record, steps, depth),
            Shape::Map(inner) => self.entry(node, inner, steps, depth),
            Shape::List(inner) | Shape::Pair(inner) => self.item(node, inner, steps, depth),
            Shape::Raw | Shape::Overlay => match &node.kind {
                Kind::Struct { .. } => self.raw_field(node, steps, depth),
                Kind::Map(_) => self.entry(node, &Shape::Raw, steps, depth),
                Kind::List(_) | Kind::Tuple { .. } => self.item(node, &Shape::Raw, steps, depth),
                Kind::Scalar(_) => Err(self.single_value(step)),
            },
            _ => Err(self.single_value(step)),
        }
    }

    fn single_value(&self, step: &Segment) -> Finding {
        let parent = self.path[..step.at.start].trim_end_matches(['.', '[', '"']);
        Finding::new(Code::Override, step.at, "", format!("`{parent}` is a single value, so there is no `{}` in it", step.name))
            .help(format!("write `--set {parent}=...`"))
    }

    fn unknown<'n>(&self, step: &Segment, what: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> Finding {
        Finding::new(Code::Override, step.at, "", format!("there is no `{}`", step.name)).help(suggest(&step.name, what, names))
    }

    fn record(&self, node: &mut Node, record: &Record, steps: &[Segment], depth: usize) -> Result<(), Finding> {
        let step = &steps[depth];
        let Some(field) = record.fields.iter().find(|f| f.name == step.name) else {
            return Err(self.unknown(step, "fields", record.fields.iter().map(|f| f.name)));
        };
        let last = depth + 1 == steps.len();
        let Kind::Struct { fields, .. } = &mut node.kind else {
            let parent = self.path[..step.at.start].trim_end_matches('.');
            let message =
                if node.is_none() { format!("`{parent}` is not part of this recipe") } else { format!("`{parent}` has no fields") };
            return Err(Finding::new(Code::Override, step.at, "", message).help(format!("give all of it: `--set '{parent}=(...)'`")));
        };
        if let Some(found) = fields.iter_mut().find(|f| f.name == step.name) {
            return self.descend(&mut found.value, &field.shape, steps, depth + 1);
        }
        // Absent, so it has its default. Something inside can be set if that default is a bracket of fields.
        let mut value = match (last, field.default) {
            (false, Some("None")) => Node { kind: Kind::Scalar("None".to_owned()), at: self.value.at },
            (false, Some("[]")) => Node { kind: Kind::List(Vec::new()), at: self.value.at },
            _ => Node::empty_struct(self.value.at),
        };
        self.descend(&mut value, &field.shape, steps, depth + 1)?;
        fields.push(Field { name: step.name.clone(), name_at: step.at, value });
        Ok(())
    }

    /// A plugin's own fields are unknown here; the plugin refuses those it does not have.
    fn raw_field(&self, node: &mut Node, steps: &[Segment], depth: usize) -> Result<(), Finding> {
        let Kind::Struct { fields, .. } = &mut node.kind else { return Err(self.single_value(&steps[depth])) };
        let step = &steps[depth];
        if let Some(found) = fields.iter_mut().find(|f| f.name == step.name) {
            return self.descend(&mut found.value, &Shape::Raw, steps, depth + 1);
        }
        let is_name = step.name.chars().all(|c| c.is_alphanumeric() || c == '_') && !step.name.starts_with(|c: char| c.is_numeric());
        if !is_name {
            return Err(Finding::new(Code::Override, step.at, "", format!("`{}` cannot be the name of a field", step.name)));
        }
        let mut value = Node::empty_struct(self.value.at);
        self.descend(&mut value, &Shape::Raw, steps, depth + 1)?;
        fields.push(Field { name: step.name.clone(), name_at: step.at, value });
        Ok(())
    }

    fn entry(&self, node: &mut Node, inner: &Shape, steps: &[Segment], depth: usize) -> Result<(), Finding> {
        let step = &steps[depth];
        let last = depth + 1 == steps.len();
        if last && matches!(&node.kind, Kind::Struct { fields, .. } if fields.is_empty()) {
            node.kind = Kind::Map(Vec::new());
        }
        let Kind::Map(entries) = &mut node.kind else { return Err(self.single_value(step)) };
        let key = |n: &Node| n.string().or_else(|| n.scalar().map(str::to_owned)).unwrap_or_default();
        if let Some((_, value)) = entries.iter_mut().find(|(k, _)| key(k) == step.name) {
            return self.descend(value, inner, steps, depth + 1);
        }
        if !last {
            let names: Vec<String> = entries.iter().map(|(k, _)| key(k)).collect();
            return Err(self.unknown(step, "entries", names.iter().map(String::as_str)));
        }
        let mut value = Node::empty_struct(self.value.at);
        self.descend(&mut value, inner, steps, depth + 1)?;
        entries.push((Node { kind: Kind::Scalar(quote(&step.name)), at: step.at }, value));
        Ok(())
    }

    fn item(&self, node: &mut Node, inner: &Shape, steps: &[Segment], depth: usize) -> Result<(), Finding> {
        let step = &steps[depth];
        let (Kind::List(items) | Kind::Tuple { items, .. }) = &mut node.kind else { return Err(self.single_value(step)) };
        let count = items.len();
        match step.index().and_then(|i| items.get_mut(i)) {
            Some(item) => self.descend(item, inner, steps, depth + 1),
            None => {
                let message = format!("there is no entry `{}`", step.name);
                let help = if count == 0 {
                    "the list is empty; set all of it".to_owned()
                } else {
                    format!("entries are numbered 0 to {}", count - 1)
                };
                Err(Finding::new(Code::Override, step.at, "", message).help(help))
            }
        }
    }
}

/// The node at a path, as written by [`super::decode::Decoder::path`].
pub fn find<'n>(root: &'n Node, path: &str) -> Option<&'n Node> {
    let mut node = root.without_some();
    for step in segments(path, 0)? {
        let next = match &node.kind {
            Kind::Struct { fields, .. } => fields.iter().find(|f| f.name == step.name).map(|f| &f.value),
            Kind::Map(entries) => entries.iter().find(|(k, _)| k.string().as_deref().or(k.scalar()) == Some(&step.name)).map(|(_, v)| v),
            Kind::List(items) | Kind::Tuple { items, .. } => step.index().and_then(|i| items.get(i)),
            Kind::Scalar(_) => None,
        };
        node = next?.without_some();
    }
    Some(node)
}

/// Where the name of the field at a path is written.
pub fn find_name(root: &Node, path: &str) -> Option<Location> {
    let last = segments(path, 0)?.pop()?;
    let parent = path[..last.at.start].trim_end_matches('.');
    let node = if parent.is_empty() { root.without_some() } else { find(root, parent)? };
    match &node.kind {
        Kind::Struct { fields, .. } => fields.iter().find(|f| f.name == last.name).map(|f| f.name_at),
        _ => None,
    }
}
