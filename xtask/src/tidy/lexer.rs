//! Just enough of Rust's lexical structure to tell code from comments and strings, with line numbers.

use std::path::{Path, PathBuf};

/// A word or one punctuation character of the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

/// A comment with the lines it covers, both counted from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub first_line: usize,
    pub last_line: usize,
    pub text: String,
}

/// One file, taken apart. Literals are left out: no rule is about them.
#[derive(Debug)]
pub struct Source {
    /// Relative to the checkout.
    pub path: PathBuf,
    pub lines: usize,
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

impl Source {
    pub fn new(path: &Path, text: &str) -> Self {
        let mut lexer = Lexer { rest: text, line: 1, tokens: Vec::new(), comments: Vec::new() };
        lexer.read_all();
        Self { path: path.to_path_buf(), lines: text.lines().count(), tokens: lexer.tokens, comments: lexer.comments }
    }

    /// The words and punctuation from `at` on, as text.
    pub fn follows(&self, at: usize, expect: &[&str]) -> bool {
        expect.iter().enumerate().all(|(offset, text)| self.tokens.get(at + offset).is_some_and(|token| token.text == *text))
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl<'a> Lexer<'a> {
    fn read_all(&mut self) {
        while let Some(next) = self.rest.chars().next() {
            if next.is_whitespace() {
                self.take(next.len_utf8());
            } else if self.rest.starts_with("//") {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take_comment(length);
            } else if self.rest.starts_with("/*") {
                self.take_comment(block_comment_length(self.rest));
            } else if let Some(length) = raw_string_length(self.rest).or_else(|| quoted_length(self.rest)) {
                self.take(length);
            } else if is_word(next) {
                let length = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                self.take_token(length);
            } else {
                self.take_token(next.len_utf8());
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn take_token(&mut self, length: usize) {
        let line = self.line;
        let text = self.take(length).to_owned();
        self.tokens.push(Token { line, text });
    }

    fn take_comment(&mut self, length: usize) {
        let first_line = self.line;
        let text = self.take(length).to_owned();
        self.comments.push(Comment { first_line, last_line: self.line, text });
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `r"..."`, `r#"..."#`, also with `b` or `c` before the `r`; not the raw identifier `r#name`.
fn raw_string_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let content = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - content.len();
    Some(content.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// A string or character literal with escapes; a lifetime is none.
fn quoted_length(text: &str) -> Option<usize> {
    let body = match text.strip_prefix(['b', 'c']) {
        Some(body) if body.starts_with(['"', '\'']) => body,
        _ => text,
    };
    let quote = body.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let content = &body[1..];
    if quote == '\'' && !content.starts_with('\\') {
        // 'a' is a literal, 'a without a closing quote right behind it a lifetime.
        let first = content.chars().next()?;
        return content[first.len_utf8()..].starts_with('\'').then(|| text.len() - content.len() + first.len_utf8() + 1);
    }
    let start = text.len() - content.len();
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(start + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_comments_and_literals() {
        let check = |text: &str, expect: &str| {
            let source = Source::new(Path::new("x.rs"), text);
            let words: Vec<&str> = source.tokens.iter().map(|token| token.text.as_str()).collect();
            assert_eq!(words.join(" "), expect, "{text}");
        };
        check("use crate::a; // use crate::b", "use crate : : a ;");
        check("/* one /* two */ still */ fn x", "fn x");
        check(r#"let s = "todo!() \" dbg!"; y"#, "let s = ; y");
        check("let s = r#\"crate::\"quoted\" \"#; y", "let s = ; y");
        check("br\"x\" b\"y\" c\"z\" b'q' r#match", "r # match");
        check("'a' '\\'' '\\u{1b}' &'a str 'outer: loop", "& ' a str ' outer : loop");
        check("\"never closed", "");
        check("'ä' \"ö\" über", "über");
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let source = Source::new(Path::new("x.rs"), "//! story\n/* a\nb */ let s = \"x\ny\";\n// end\nlast");
        let last = source.tokens.last().expect("a token");
        assert_eq!((last.text.as_str(), last.line, source.lines), ("last", 6, 6));
        let lines: Vec<(usize, usize)> = source.comments.iter().map(|comment| (comment.first_line, comment.last_line)).collect();
        assert_eq!(lines, [(1, 1), (2, 3), (5, 5)]);
    }
}
