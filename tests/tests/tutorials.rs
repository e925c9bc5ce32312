//! Every tutorial does what it says: its files are written and its commands run, in an empty folder, as a reader would.
//!
//! A block ```` ```sh ```` is run by bash and has to succeed; ```` ```sh fails=WORD ```` has to fail with WORD in what it says. A block with `file=PATH` is
//! written there, ```` ```diff in=FOLDER ```` is applied there. Other blocks are for reading.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use twinhost::authoring::{Language, ready};
use twinhost_tests::{built, newcomer, outcome, outside, root};

/// A fenced block: the words after the fence, and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(words)) => open = Some((words.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn bash(folder: &Path, script: &str) -> (i32, String) {
    let path = std::env::join_paths(std::iter::once(built()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())));
    let mut command = newcomer(Command::new("bash"), folder);
    command.args(["-euo", "pipefail", "-c", script]).env("PATH", path.unwrap()).env("CARGO_TARGET_DIR", outside());
    let (code, said, complaint) = outcome(&mut command);
    (code, said + &complaint)
}

fn follow(name: &str, language: Language) {
    if let Err(missing) = ready(language) {
        eprintln!("NOT RUN: docs/tutorials/{name}: {missing}");
        return;
    }
    let text = fs::read_to_string(root().join("docs/tutorials").join(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The tutorials include recipes of the checkout they are part of.
    std::os::unix::fs::symlink(root().join("recipes"), folder.path().join("recipes")).unwrap();
    let mut commands = 0;
    for (words, body) in blocks(&text) {
        if let Some((_, file)) = words.split_once("file=") {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, body).unwrap();
        } else if let Some(within) = words.strip_prefix("diff in=") {
            fs::write(folder.path().join("change.diff"), body).unwrap();
            let (code, said) = bash(folder.path(), &format!("git apply -p0 --recount --directory={within} change.diff"));
            assert_eq!(code, 0, "{name}: this change does not fit:\n{said}");
        } else if words == "sh" {
            let (code, said) = bash(folder.path(), &body);
            assert_eq!(code, 0, "{name}: this failed:\n{body}\n{said}");
            commands += 1;
        } else if let Some(word) = words.strip_prefix("sh fails=") {
            let (code, said) = bash(folder.path(), &body);
            assert!(code == 2 && said.contains(word), "{name}: this should have failed and said {word}:\n{body}\n{said}");
            commands += 1;
        }
    }
    assert!(commands >= 2, "{name} has only {commands} commands");
}

#[test]
fn reward_in_python() {
    follow("reward-in-python.md", Language::Python);
}

#[test]
fn filter_in_rust() {
    follow("filter-in-rust.md", Language::Rust);
}

#[test]
fn policy_in_python() {
    follow("policy-in-python.md", Language::Python);
}

#[test]
fn env_in_python() {
    follow("env-in-python.md", Language::Python);
}

#[test]
fn robot_in_rust() {
    follow("robot-in-rust.md", Language::Native);
}

#[test]
fn camera_in_rust() {
    follow("camera-in-rust.md", Language::Native);
}

#[test]
fn teleop_in_rust() {
    follow("teleop-in-rust.md", Language::Native);
}

#[test]
fn algorithm_in_rust() {
    follow("algorithm-in-rust.md", Language::Native);
}

#[test]
fn every_tutorial_is_followed() {
    let source = include_str!("tutorials.rs");
    for entry in fs::read_dir(root().join("docs/tutorials")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || source.contains(&format!("follow({name:?}")), "no test follows docs/tutorials/{name}");
    }
}
