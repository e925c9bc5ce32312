//! Tree -> canonical RON text, remembering which piece of output came from where.
//!
//! The canonical text has no comments, four-space indentation and one form for every value, so equal recipes have equal
//! text. It is what a plugin gets as its configuration, what the run folder keeps, and what the recipe's hash is taken of.

use super::diagnostics::Location;
use super::syntax::{Field, Kind, Node};

/// Brackets whose content fits into this many characters stay on one line.
const LINE: usize = 100;

/// Printed text with the origin of every name and value in it.
pub struct Printed {
    pub text: String,
    marks: Vec<(std::ops::Range<usize>, Location)>,
}

impl Printed {
    pub fn of(node: &Node) -> Self {
        let mut printed = Self { text: String::new(), marks: Vec::new() };
        printed.value(node, 0);
        printed
    }

    /// Origin of the smallest piece around a position in the printed text (line and column in characters, from 0).
    pub fn origin(&self, line: usize, column: usize) -> Option<Location> {
        let text = self.text.split('\n').nth(line)?;
        let line_start: usize = self.text.split('\n').take(line).map(|l| l.len() + 1).sum();
        let in_line = text.char_indices().nth(column).map_or(text.len(), |(i, _)| i);
        let offset = line_start + in_line;
        let around = self.marks.iter().filter(|(range, _)| range.start <= offset && offset < range.end.max(range.start + 1));
        around.min_by_key(|(range, _)| range.len()).map(|(_, at)| *at)
    }

    fn mark(&mut self, start: usize, at: Location) {
        self.marks.push((start..self.text.len(), at));
    }

    fn value(&mut self, node: &Node, indent: usize) {
        let start = self.text.len();
        match &node.kind {
            Kind::Scalar(token) => self.text.push_str(token),
            Kind::Struct { name, fields } => {
                self.text.push_str(name.as_deref().unwrap_or_default());
                self.brackets(node, ('(', ')'), fields, indent, |p, field: &Field, indent| {
                    let start = p.text.len();
                    p.text.push_str(&field.name);
                    p.mark(start, field.name_at);
                    p.text.push_str(": ");
                    p.value(&field.value, indent);
                });
            }
            Kind::Tuple { name, items } => {
                self.text.push_str(name.as_deref().unwrap_or_default());
                self.brackets(node, ('(', ')'), items, indent, Self::value);
            }
            Kind::List(items) => self.brackets(node, ('[', ']'), items, indent, Self::value),
            Kind::Map(entries) => self.brackets(node, ('{', '}'), entries, indent, |p, (key, value), indent| {
                p.value(key, indent);
                p.text.push_str(": ");
                p.value(value, indent);
            }),
        }
        self.mark(start, node.at);
    }

    fn brackets<T>(
        &mut self,
        node: &Node,
        (open, close): (char, char),
        items: &[T],
        indent: usize,
        mut item: impl FnMut(&mut Self, &T, usize),
    ) {
        let multi_line = indent * 4 + width(node) > LINE;
        let new_line = |p: &mut Self, indent: usize| {
            p.text.push('\n');
            p.text.push_str(&"    ".repeat(indent));
        };
        self.text.push(open);
        for (i, each) in items.iter().enumerate() {
            if multi_line {
                new_line(self, indent + 1);
            } else if i > 0 {
                self.text.push(' ');
            }
            item(self, each, indent + 1);
            if multi_line || i + 1 < items.len() {
                self.text.push(',');
            }
        }
        if multi_line && !items.is_empty() {
            new_line(self, indent);
        }
        self.text.push(close);
    }
}

/// Characters the value takes when printed on one line.
fn width(node: &Node) -> usize {
    let separators = 2 * node.children().len();
    let children: usize = node.children().into_iter().map(width).sum();
    match &node.kind {
        Kind::Scalar(token) => token.chars().count(),
        Kind::Struct { fields, .. } => children + separators + 2 + fields.iter().map(|f| f.name.len() + 2).sum::<usize>(),
        Kind::Map(entries) => children + separators + 2 + entries.iter().map(|(k, _)| width(k) + 2).sum::<usize>(),
        Kind::Tuple { .. } | Kind::List(_) => children + separators + 2,
    }
}
