//! The order of the host's modules: an import may point down or stay where it is, never up, and two modules of one layer
//! never import each other.

use super::Finding;
use super::lexer::{Source, Token};
use std::collections::BTreeMap;
use std::path::Path;

/// From the top down. `cli` sees everything; nothing sees `cli`.
const LAYERS: [&[&str]; 7] = [
    &["cli"],
    &["pipeline"],
    &["flow"],
    &["rollout", "learn"],
    &["safety", "capture", "data", "fleet", "authoring"],
    &["loader", "recipe", "observe"],
    &["codes", "folders"],
];

const HOST_SOURCES: &str = "host/src";

/// Only these may name the crates behind the plugin boundary, so that either can be replaced.
const BOUNDARY_CRATES: [&str; 2] = ["abi_stable", "wasmtime"];

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // First import seen between two modules of one layer, to find pairs that import each other.
    let mut sideways = BTreeMap::new();
    for source in sources {
        findings.extend(boundary_crates(source));
        let Some(module) = module_path(&source.path) else { continue };
        let Some(own) = module.first().map(String::as_str) else { continue };
        let Some(own_layer) = layer_of(own) else {
            let sentence =
                format!("the module `{own}` has no place in the host's order; give it one in xtask/src/tidy/arrows.rs and ARCHITECTURE.md");
            findings.push(Finding::new(source, 1, sentence));
            continue;
        };
        for (line, target) in imports(source, module.len()) {
            match layer_of(&target) {
                Some(layer) if layer < own_layer => {
                    let sentence = format!("`{own}` imports `{target}`, which lies above it; arrows in the host point down");
                    findings.push(Finding::new(source, line, sentence));
                }
                Some(layer) if layer == own_layer && target != own => {
                    sideways.entry((own.to_owned(), target)).or_insert((source, line));
                }
                _ => {}
            }
        }
    }
    for ((own, target), (source, line)) in &sideways {
        if sideways.contains_key(&(target.clone(), own.clone())) {
            findings.push(Finding::new(source, *line, format!("`{own}` and `{target}` lie in one layer and import each other")));
        }
    }
    findings
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// `host/src/a/b.rs` is module `a::b`; the crate roots are none.
fn module_path(path: &Path) -> Option<Vec<String>> {
    let inside = path.strip_prefix(HOST_SOURCES).ok()?.with_extension("");
    let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    (!matches!(parts.as_slice(), [root] if root == "lib" || root == "main")).then_some(parts)
}

/// Top-level modules that a file names through `crate::` or through enough `super::`, with the line.
fn imports(source: &Source, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // Brace depths at which inline modules began: inside one, `super` is a level less far up.
    let (mut braces, mut inline) = (0usize, Vec::new());
    for (at, token) in source.tokens.iter().enumerate() {
        let preceded_by = |text: &str| at > 0 && source.tokens[at - 1].text == text;
        match token.text.as_str() {
            "{" => {
                if at >= 2 && source.tokens[at - 2].text == "mod" {
                    inline.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces = braces.saturating_sub(1);
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
            }
            "crate" if source.follows(at + 1, &[":", ":"]) && !preceded_by("$") => {
                found.extend(first_segments(&source.tokens[at + 3..]));
            }
            "super" if !preceded_by(":") => {
                let mut supers = 1;
                while source.follows(at + 3 * supers, &["super"]) && source.follows(at + 3 * supers - 2, &[":", ":"]) {
                    supers += 1;
                }
                if supers == depth + inline.len() && source.follows(at + 3 * supers - 2, &[":", ":"]) {
                    found.extend(first_segments(&source.tokens[at + 3 * supers..]));
                }
            }
            _ => {}
        }
    }
    found
}

/// The first segment of the path that begins here, or of every path in the group that begins here.
fn first_segments(tokens: &[Token]) -> Vec<(usize, String)> {
    let named = |token: &Token| (token.line, token.text.clone());
    match tokens.first() {
        Some(first) if first.text == "{" => {
            let (mut depth, mut starts, mut found) = (0usize, false, Vec::new());
            for token in tokens {
                match token.text.as_str() {
                    "{" => (depth, starts) = (depth + 1, depth == 0),
                    "}" if depth == 1 => break,
                    "}" => depth -= 1,
                    "," => starts = depth == 1,
                    _ if starts && depth == 1 => {
                        found.push(named(token));
                        starts = false;
                    }
                    _ => {}
                }
            }
            found
        }
        Some(first) => vec![named(first)],
        None => Vec::new(),
    }
}

fn boundary_crates(source: &Source) -> Vec<Finding> {
    let at_home = ["plugin-api", "host/src/loader", "host/src/loader.rs", "xtask"].iter().any(|folder| source.path.starts_with(folder));
    // A test may play the other side of the boundary.
    let allowed = at_home || source.path.iter().any(|part| part == "tests");
    if allowed {
        return Vec::new();
    }
    let is_use = |at: usize, name: &str| source.tokens[at].text == name && source.follows(at + 1, &[":", ":"]);
    let uses = |name: &'static str| (0..source.tokens.len()).filter(move |&at| is_use(at, name)).map(move |at| (at, name));
    let finding = |(at, name): (usize, &str)| {
        Finding::new(source, source.tokens[at].line, format!("`{name}` stays in plugin-api and host::loader, so that it can be replaced"))
    };
    BOUNDARY_CRATES.into_iter().flat_map(uses).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_files(files: &[(&str, &str)], expect: &[&str]) {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(Path::new(path), text)).collect();
        let found: Vec<String> = check(&sources).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expect.len(), "{found:#?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found} does not say {expect}");
        }
    }

    #[test]
    fn downward_and_own_imports_are_fine() {
        check_files(
            &[
                ("host/src/cli/run.rs", "use crate::pipeline::sft; use crate::{recipe::Recipe, observe::{self, Run}};"),
                ("host/src/rollout.rs", "use crate::loader::Env; use self::inner::X; fn f() { crate::rollout::g() }"),
                ("host/src/loader/native.rs", "use super::manifest::Manifest; use std::path; // crate::cli"),
                ("host/src/main.rs", "use twinhost::cli;"),
                ("host/src/lib.rs", "pub mod cli;"),
                ("plugins/rewards/src/lib.rs", "use crate::cli::nothing_to_do_with_the_host;"),
            ],
            &[],
        );
    }

    #[test]
    fn upward_imports_are_found_in_every_spelling() {
        check_files(&[("host/src/recipe.rs", "\nuse crate::pipeline::Stage;")], &["host/src/recipe.rs:2: `recipe` imports `pipeline`"]);
        check_files(&[("host/src/loader/native.rs", "use crate::{recipe::A, cli::{B, flow}};")], &["`loader` imports `cli`"]);
        check_files(&[("host/src/learn/mix.rs", "fn f() -> crate::flow::Plan { todo() }")], &["`learn` imports `flow`"]);
        check_files(&[("host/src/learn/mix.rs", "use super::super::pipeline::X;")], &["`learn` imports `pipeline`"]);
        check_files(&[("host/src/learn/mix.rs", "use super::pipeline::X;")], &[]);
        check_files(&[("host/src/learn.rs", "mod tests { use super::super::pipeline::X; }\nuse super::flow;")], &["`pipeline`", "`flow`"]);
    }

    #[test]
    fn two_modules_of_one_layer_may_not_import_each_other() {
        check_files(&[("host/src/loader.rs", "use crate::recipe::A;")], &[]);
        let both = [("host/src/loader.rs", "use crate::recipe::A;"), ("host/src/recipe.rs", "use crate::loader::B;")];
        check_files(&both, &["import each other", "import each other"]);
    }

    #[test]
    fn a_module_without_a_place_and_a_leaking_boundary_are_told() {
        check_files(&[("host/src/misc.rs", "")], &["no place in the host's order"]);
        check_files(&[("host/src/rollout.rs", "\n\nuse abi_stable::std_types::RVec;")], &["rollout.rs:3: `abi_stable` stays"]);
        check_files(&[("host/src/loader/native.rs", "use abi_stable::std_types::RVec;")], &[]);
        check_files(&[("plugins/algorithms/tests/anchor.rs", "use abi_stable::std_types::RVec;")], &[]);
        check_files(&[("plugins/algorithms/src/anchor.rs", "use abi_stable::std_types::RVec;")], &["anchor.rs:1: `abi_stable` stays"]);
    }
}
