//! RON text -> a tree in which every value knows where it was written.
//!
//! The `ron` crate reports the first problem only and gives no positions for what it accepted. Recipes need both, and need
//! to merge texts before anyone knows the types, so the *shape* of the text (brackets, names, separators) is read here.
//! What a number or a string literal means is left to `ron` itself.

use super::diagnostics::{Finding, Location};
use crate::codes::Code;

/// Nested deeper than this is refused, so that no text can exhaust the stack.
const MAX_DEPTH: usize = 48;

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub at: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Number, string, character, or a bare word such as `true`, `None`, `PickPlace`; the token as written.
    Scalar(String),
    /// `(a: 1)`, `Name(a: 1)` or `()`.
    Struct {
        name: Option<String>,
        fields: Vec<Field>,
    },
    /// `(1, 2)` or `Name(1, 2)`.
    Tuple {
        name: Option<String>,
        items: Vec<Node>,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub name_at: Location,
    pub value: Node,
}

impl Node {
    pub fn empty_struct(at: Location) -> Self {
        Self { kind: Kind::Struct { name: None, fields: Vec::new() }, at }
    }

    /// Where to point for something that is *missing* in this value: its opening, not its whole body.
    pub fn opening(&self) -> Location {
        match self.kind {
            Kind::Scalar(_) => self.at,
            _ => Location { end: (self.at.start + 1).min(self.at.end), ..self.at },
        }
    }

    pub fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(token) => Some(token),
            _ => None,
        }
    }

    /// The content, if this is a string literal.
    pub fn string(&self) -> Option<String> {
        self.scalar().filter(|t| is_string(t)).and_then(|t| ron::from_str(t).ok())
    }

    /// `x` for `Some(x)`, which recipes read the same as `x`.
    pub fn without_some(&self) -> &Node {
        match &self.kind {
            Kind::Tuple { name: Some(name), items } if name == "Some" && items.len() == 1 => &items[0],
            _ => self,
        }
    }

    pub fn is_none(&self) -> bool {
        self.scalar() == Some("None")
    }

    pub fn field(&self, name: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Struct { fields, .. } => fields.iter().find(|f| f.name == name).map(|f| &f.value),
            _ => None,
        }
    }

    /// Direct children in writing order.
    pub fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Scalar(_) => Vec::new(),
            Kind::Struct { fields, .. } => fields.iter().map(|f| &f.value).collect(),
            Kind::Tuple { items, .. } | Kind::List(items) => items.iter().collect(),
            Kind::Map(entries) => entries.iter().map(|(_, v)| v).collect(),
        }
    }
}

/// True for a token that is a string literal of any form.
pub fn is_string(token: &str) -> bool {
    token.starts_with('"') || token.starts_with("r\"") || token.starts_with("r#\"") || token.starts_with("r##")
}

/// Quotes text as a RON string literal.
pub fn quote(text: &str) -> String {
    ron::to_string(text).expect("a string always serialises")
}

/// Reads one value from `text[offset..]`, which belongs to source number `source`.
///
/// Duplicate names are pushed onto `findings` and reading goes on; a syntax error ends it.
pub fn parse(text: &str, offset: usize, source: usize, findings: &mut Vec<Finding>) -> Result<Node, Finding> {
    let mut reader = Reader { text, position: offset, source, findings };
    reader.attributes()?;
    let node = reader.value(0)?;
    reader.trivia()?;
    if reader.position < text.len() {
        return Err(reader.unexpected("the end of the text"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
    source: usize,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn since(&self, start: usize) -> Location {
        Location { source: self.source, start, end: self.position }
    }

    fn error(&self, start: usize, message: impl Into<String>) -> Finding {
        Finding::new(Code::Syntax, self.since(start), "", message)
    }

    fn unexpected(&self, expected: &str) -> Finding {
        let (found, length) = match self.peek() {
            Some(c) => (format!("`{c}`"), c.len_utf8()),
            None => ("the end of the text".to_owned(), 0),
        };
        let at = Location { source: self.source, start: self.position, end: self.position + length };
        Finding::new(Code::Syntax, at, "", format!("expected {expected}, found {found}"))
    }

    fn accept(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.position += c.len_utf8();
        }
        found
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    /// Skips white space and comments.
    fn trivia(&mut self) -> Result<(), Finding> {
        loop {
            self.take_while(|c| c.is_whitespace() || matches!(c, '\u{200E}' | '\u{200F}'));
            if self.rest().starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                self.block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) -> Result<(), Finding> {
        let start = self.position;
        let mut depth = 0;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.position += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.position += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else if let Some(c) = self.peek() {
                self.position += c.len_utf8();
            } else {
                self.position = start + 2;
                return Err(self.error(start, "this comment is never closed").help("add `*/`"));
            }
        }
    }

    /// `#![enable(implicit_some)]` says what recipes do anyway; other extensions would change what plugins read.
    fn attributes(&mut self) -> Result<(), Finding> {
        self.trivia()?;
        while self.rest().starts_with("#!") {
            let start = self.position;
            let attribute = self.take_while(|c| c != ']');
            self.accept(']');
            if attribute.replace(char::is_whitespace, "") != "#![enable(implicit_some)" {
                return Err(self
                    .error(start, "this attribute is not supported in recipes")
                    .help("remove it; `Some(...)` may be left out anyway"));
            }
            self.trivia()?;
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Node, Finding> {
        self.trivia()?;
        let start = self.position;
        if depth > MAX_DEPTH {
            return Err(self.unexpected("at most 48 levels of brackets"));
        }
        let kind = match self.peek() {
            Some('(') => self.parentheses(None, depth)?,
            Some('[') => {
                self.position += 1;
                Kind::List(self.sequence(']', |r| r.value(depth + 1))?)
            }
            Some('{') => self.map(depth)?,
            Some('"' | '\'') => Kind::Scalar(self.literal(start)?),
            Some(c) if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => Kind::Scalar(self.number(start)?),
            Some(c) if c.is_alphabetic() || c == '_' => {
                let prefix = self.rest();
                if ["r\"", "r#\"", "r##", "b\"", "b'", "br\"", "br#"].iter().any(|p| prefix.starts_with(p)) {
                    Kind::Scalar(self.literal(start)?)
                } else {
                    let word = self.identifier()?;
                    self.trivia_before('(')?;
                    if self.peek() == Some('(') { self.parentheses(Some(word), depth)? } else { Kind::Scalar(word) }
                }
            }
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { kind, at: self.since(start) })
    }

    /// Skips trivia only if `next` follows it, so that a value's location ends with the value.
    fn trivia_before(&mut self, next: char) -> Result<(), Finding> {
        let position = self.position;
        self.trivia()?;
        if self.peek() != Some(next) {
            self.position = position;
        }
        Ok(())
    }

    fn identifier(&mut self) -> Result<String, Finding> {
        let start = self.position;
        if self.rest().starts_with("r#") {
            self.position += 2;
        }
        match self.peek() {
            Some(c) if c.is_alphabetic() || c == '_' => self.take_while(|c| c.is_alphanumeric() || c == '_'),
            _ => return Err(self.unexpected("a name")),
        };
        Ok(self.text[start..self.position].to_owned())
    }

    fn number(&mut self, start: usize) -> Result<String, Finding> {
        let token = self.take_while(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
        match ron::from_str::<ron::Value>(token) {
            Ok(ron::Value::Number(_)) => Ok(token.to_owned()),
            _ => Err(self.error(start, format!("`{token}` is not a number"))),
        }
    }

    /// A string, raw string, byte string or character. Only its end is looked for here; `ron` judges the content.
    fn literal(&mut self, start: usize) -> Result<String, Finding> {
        let prefix = self.take_while(|c| matches!(c, 'r' | 'b' | '#'));
        let hashes = prefix.matches('#').count();
        let raw = prefix.contains('r');
        let Some(delimiter @ ('"' | '\'')) = self.peek() else {
            return Err(self.unexpected("a string"));
        };
        self.position += 1;
        let end = format!("{delimiter}{}", "#".repeat(hashes));
        loop {
            if self.rest().starts_with(&end) {
                self.position += end.len();
                break;
            }
            match self.peek() {
                // A character literal may hold the delimiter itself: `'''` is not valid, `'\''` is.
                Some('\\') if !raw => {
                    self.position += 1;
                    self.position += self.peek().map_or(0, char::len_utf8);
                }
                Some('\n') if delimiter == '\'' => {
                    return Err(self.error(start, "this character is never closed").help("use double quotes for text"));
                }
                Some(c) => self.position += c.len_utf8(),
                None => {
                    self.position = self.text[start..].find('\n').map_or(self.text.len(), |i| start + i);
                    return Err(self.error(start, "this string is never closed").help(format!("add `{end}`")));
                }
            }
        }
        let token = &self.text[start..self.position];
        match ron::from_str::<ron::Value>(token) {
            Ok(_) => Ok(token.to_owned()),
            Err(e) => Err(self.error(start, format!("not a valid literal: {}", e.code))),
        }
    }

    /// What follows `(`: nothing, named fields, or a tuple.
    fn parentheses(&mut self, name: Option<String>, depth: usize) -> Result<Kind, Finding> {
        self.position += 1;
        self.trivia()?;
        if self.accept(')') {
            return Ok(Kind::Struct { name, fields: Vec::new() });
        }
        let start = self.position;
        let named = self.identifier().is_ok() && self.trivia().is_ok() && self.peek() == Some(':');
        self.position = start;
        if !named {
            return Ok(Kind::Tuple { name, items: self.sequence(')', |r| r.value(depth + 1))? });
        }
        let fields = self.sequence(')', |r| {
            let start = r.position;
            let name = r.identifier()?;
            let name_at = r.since(start);
            r.trivia()?;
            if !r.accept(':') {
                return Err(r.unexpected(&format!("`:` after `{name}`")));
            }
            Ok(Field { name, name_at, value: r.value(depth + 1)? })
        })?;
        let fields = self.unique(fields, |f| (f.name.clone(), f.name_at));
        Ok(Kind::Struct { name, fields })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Finding> {
        self.position += 1;
        let entries = self.sequence('}', |r| {
            let key = r.value(depth + 1)?;
            r.trivia()?;
            if !r.accept(':') {
                return Err(r.unexpected("`:` after the key"));
            }
            Ok((key, r.value(depth + 1)?))
        })?;
        let text = self.text;
        Ok(Kind::Map(self.unique(entries, |(key, _)| (key.string().unwrap_or_else(|| text[key.at.start..key.at.end].to_owned()), key.at))))
    }

    /// Items separated by commas up to and including `close`.
    fn sequence<T>(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Result<T, Finding>) -> Result<Vec<T>, Finding> {
        let mut items = Vec::new();
        loop {
            self.trivia()?;
            if self.accept(close) {
                return Ok(items);
            }
            items.push(item(self)?);
            self.trivia()?;
            if !self.accept(',') && self.peek() != Some(close) {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    /// Keeps the first of equally named entries and reports the others.
    fn unique<T>(&mut self, items: Vec<T>, name: impl Fn(&T) -> (String, Location)) -> Vec<T> {
        let mut seen = std::collections::BTreeSet::new();
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let (name, at) = name(&item);
            if seen.insert(name.clone()) {
                kept.push(item);
            } else {
                self.findings.push(
                    Finding::new(Code::Syntax, at, "", format!("`{name}` is given twice in the same brackets")).help("keep one of the two"),
                );
            }
        }
        kept
    }
}
