//! `host data info` and `host data view` as a user meets them.

use std::process::{Command, Output};

use crate::fixtures::folder;

fn host(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_host")).args(arguments).output().unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    (output, String::from_utf8(text).unwrap())
}

fn path(name: &str) -> String {
    folder(name).to_str().unwrap().to_string()
}

#[test]
fn info_describes_a_dataset_and_its_episodes() {
    let (output, text) = host(&["data", "info", &path("tiny_v30_img"), "--episodes"]);
    assert!(output.status.success(), "{text}");
    for expected in ["LeRobot v3.0", "3 with 24 frames at 5 per second (5 s)", "pick the cube", "push the cube", "observation.images.base"]
    {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
    // The fixture's rewards are 1 on the last frame of every episode; it does not record success.
    let rows: Vec<Vec<&str>> = text.lines().rev().take(3).map(|l| l.split_whitespace().take(6).collect()).collect();
    assert_eq!(rows, [["2", "10", "2.0", "-", "1.000", "-"], ["1", "8", "1.6", "-", "1.000", "-"], ["0", "6", "1.2", "-", "1.000", "-"]]);

    let (_, text) = host(&["data", "info", &path("tiny_v30")]);
    assert!(text.contains("video: not decoded"), "{text}");
}

#[test]
fn view_writes_a_film_and_a_strip() {
    let dir = tempfile::tempdir().unwrap();
    let stem = dir.path().join("second");
    let (output, text) =
        host(&["data", "view", &path("tiny_v30_img"), "--episode", "1", "--camera", "base", "--out", stem.to_str().unwrap()]);
    assert!(output.status.success(), "{text}");
    assert!(std::fs::read(stem.with_extension("gif")).unwrap().starts_with(b"GIF89a"));
    assert!(std::fs::read(stem.with_extension("png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn what_cannot_be_shown_is_said_in_a_sentence_with_exit_code_2() {
    for (arguments, expected) in [
        (vec!["data", "info", "no/such/folder"], "not a LeRobot dataset"),
        (vec!["data", "view", &path("tiny_v30_img"), "--episode", "7"], "no episode 7: it has 3"),
        (vec!["data", "view", &path("tiny_v30_img"), "--camera", "wrist"], "observation.images.base"),
        (vec!["data", "view", &path("tiny_v30")], "no cameras stored as images"),
    ] {
        let (output, text) = host(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected) && !text.contains("panicked"), "{arguments:?}: {text}");
    }
}
