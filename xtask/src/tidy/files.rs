//! Rules for a single file: its length, its name, its opening, and what must not be left in it.

use super::Finding;
use super::lexer::Source;

/// A file that needs more tells two stories.
const MOST_LINES: usize = 500;

/// Names of drawers that collect what belongs somewhere.
const DRAWERS: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "misc", "shared", "stuff"];

const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// How far above an `unsafe` its reason may end: room for the head of the statement it stands in.
const SAFETY_REACH: usize = 3;

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.lines > MOST_LINES {
        let sentence = format!("{} lines, and a file has at most {MOST_LINES}; split it where the story turns", source.lines);
        findings.push(Finding::new(source, MOST_LINES, sentence));
    }
    let stem = source.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if stem == "mod" {
        findings.push(Finding::new(source, 1, "`mod.rs`; name the file after its module, beside the module's folder"));
    }
    if let Some(drawer) = source.path.iter().filter_map(|part| part.to_str()).find(|part| DRAWERS.contains(&part.trim_end_matches(".rs"))) {
        findings.push(Finding::new(source, 1, format!("`{drawer}` is a drawer; name the file after what it does")));
    }
    if source.comments.first().is_none_or(|comment| !comment.text.starts_with("//!")) {
        findings.push(Finding::new(source, 1, "does not begin with `//!` and its story"));
    }
    for (at, token) in source.tokens.iter().enumerate() {
        if UNFINISHED.contains(&token.text.as_str()) && source.follows(at + 1, &["!"]) {
            findings.push(Finding::new(source, token.line, format!("`{}!` is left in", token.text)));
        }
        let is_unsafe_code = token.text == "unsafe" && (source.follows(at + 1, &["{"]) || source.follows(at + 1, &["impl"]));
        if is_unsafe_code && !has_safety_comment(source, token.line) {
            findings.push(Finding::new(source, token.line, "`unsafe` without a `// SAFETY:` comment that says why it holds"));
        }
    }
    findings
}

/// True if a run of comment lines with `SAFETY:` in it ends on this line or shortly above.
fn has_safety_comment(source: &Source, line: usize) -> bool {
    let is_near = |last_line: usize| last_line <= line && line - last_line <= SAFETY_REACH;
    (0..source.comments.len()).filter(|&at| is_near(source.comments[at].last_line)).any(|mut at| {
        loop {
            let comment = &source.comments[at];
            if comment.text.contains("SAFETY:") {
                return true;
            }
            let continues = at > 0 && source.comments[at - 1].last_line + 1 == comment.first_line;
            if !continues {
                return false;
            }
            at -= 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn check_text(path: &str, text: &str, expect: &[&str]) {
        let found: Vec<String> = check(&Source::new(Path::new(path), text)).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found} does not say {expect}");
        }
    }

    #[test]
    fn names_openings_and_lengths() {
        check_text("host/src/rollout.rs", "//! Story.\n#![allow(x)]\n", &[]);
        check_text("host/src/rollout.rs", "// No story.\n", &["does not begin"]);
        check_text("host/src/rollout.rs", "use std::fmt;\n/// Doc.\n", &["does not begin"]);
        check_text("host/src/rollout/mod.rs", "//! Story.", &["`mod.rs`"]);
        check_text("host/src/utils.rs", "//! Story.", &["`utils.rs` is a drawer"]);
        check_text("host/src/helpers/x.rs", "//! Story.", &["`helpers` is a drawer"]);
        check_text("host/src/common_sense.rs", "//! Story.", &[]);
        check_text("a.rs", &"//! x\n".repeat(500), &[]);
        check_text("a.rs", &"//! x\n".repeat(501), &["501 lines"]);
    }

    #[test]
    fn unfinished_code_is_found_outside_strings() {
        check_text("a.rs", "//! Story.\nfn f() { todo!() }\nfn g() { dbg!(1); }", &["a.rs:2: `todo!`", "a.rs:3: `dbg!`"]);
        check_text("a.rs", "//! Story.\n// todo!\nconst S: &str = \"unimplemented!\"; let todo = 1;", &[]);
    }

    #[test]
    fn unsafe_code_gives_its_reason() {
        check_text("a.rs", "//! Story.\nfn f() { unsafe { g() } }", &["a.rs:2: `unsafe`"]);
        check_text("a.rs", "//! Story.\n// SAFETY: g has no preconditions,\n// as its docs say.\nlet x =\n    unsafe { g() };", &[]);
        check_text("a.rs", "//! Story.\n// SAFETY: of another.\n\n\n\n\nunsafe impl Send for X {}", &["a.rs:7"]);
        check_text("a.rs", "//! Story.\n#[unsafe(no_mangle)]\nunsafe extern \"C\" fn f();", &[]);
    }
}
