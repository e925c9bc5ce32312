//! `cargo xtask test`: builds everything a test may start or load, runs every test, and ends with one line of counts.

use crate::failure::{During, Failure, Result};
use crate::workspace::Workspace;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Command, Stdio};

/// What test runners reported, added up.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs every test of the workspace; `filter` goes to the test runner as it is.
pub fn test(workspace: &Workspace, filter: &[String]) -> Result<()> {
    // End-to-end tests start the host binary and load the plugin libraries, which `cargo test` alone does not put in place.
    workspace.run_cargo(&["build", "--workspace"])?;
    let mut counts = Counts::default();
    let mut all_succeeded = true;
    let mut run = |mut command: Command| -> Result<()> {
        let (succeeded, found) = run_and_count(&mut command)?;
        all_succeeded &= succeeded;
        counts += found;
        Ok(())
    };
    let mut tests = workspace.cargo();
    if has_nextest(workspace) {
        tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(filter);
        run(tests)?;
        if filter.is_empty() {
            // nextest leaves documentation examples out.
            let mut examples = workspace.cargo();
            examples.args(["test", "--doc", "--workspace", "--no-fail-fast"]);
            run(examples)?;
        }
    } else {
        tests.args(["test", "--workspace", "--no-fail-fast"]).args(filter);
        run(tests)?;
    }
    if counts.failed == 0 && !all_succeeded {
        return Err(Failure::work("a test run broke off before it had counted its tests; the reason is above"));
    }
    let skipped = if counts.skipped == 0 { String::new() } else { format!(", {} skipped", counts.skipped) };
    println!("{} passed, {} failed{skipped}", counts.passed, counts.failed);
    if counts.failed == 0 { Ok(()) } else { Err(Failure::work("some tests failed; their output is above")) }
}

fn has_nextest(workspace: &Workspace) -> bool {
    let status = workspace.cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a test command with its output passed on, and adds up the summary lines in it.
fn run_and_count(command: &mut Command) -> Result<(bool, Counts)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if std::io::stderr().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command.spawn().during(|| format!("start {command:?}"))?;
    let stdout = child.stdout.take().expect("stdout was piped");
    let stderr = child.stderr.take().expect("stderr was piped");
    // Both streams are summed: cargo test reports on stdout, nextest on stderr, and neither line can come from the other.
    let on_stderr = std::thread::spawn(move || echo_and_count(stderr, |line| eprintln!("{line}")));
    let mut counts = echo_and_count(stdout, |line| println!("{line}"));
    counts += on_stderr.join().unwrap_or_default();
    let status = child.wait().during(|| "wait for the tests".to_owned())?;
    Ok((status.success(), counts))
}

fn echo_and_count(stream: impl std::io::Read, echo: impl Fn(&str)) -> Counts {
    let mut counts = Counts::default();
    for line in BufReader::new(stream).split(b'\n').map_while(|line| line.ok()) {
        let line = String::from_utf8_lossy(&line);
        echo(&line);
        counts += summary_of(&line).unwrap_or_default();
    }
    counts
}

/// Reads `test result: ok. 3 passed; 1 failed; 0 ignored; ...` and `Summary [ 1.2s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped`.
fn summary_of(line: &str) -> Option<Counts> {
    let line = without_colours(line);
    // nextest repeats the output of a failed test, indented: what that test binary counted is counted already.
    let (_, list) = match line.strip_prefix("test result: ") {
        Some(rest) => rest.split_once(". ")?,
        None => line.trim().strip_prefix("Summary [")?.split_once(" run: ")?,
    };
    let mut counts = Counts::default();
    for part in list.split([',', ';']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(word)) = (words.next().and_then(|word| word.parse::<u64>().ok()), words.next()) else { continue };
        match word {
            "passed" => counts.passed += number,
            "failed" | "timed" => counts.failed += number,
            "skipped" | "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

/// The line without terminal escape sequences, which both runners put between the words of a summary.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let plain = parts.next().unwrap_or_default().to_owned();
    parts.fold(plain, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_runners_are_read() {
        let check = |line: &str, expect: Option<(u64, u64, u64)>| {
            let found = summary_of(line).map(|counts| (counts.passed, counts.failed, counts.skipped));
            assert_eq!(found, expect, "{line}");
        };
        check("test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.00s", Some((3, 0, 2)));
        check("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s", Some((1, 2, 0)));
        check("     Summary [   0.005s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped", Some((3, 1, 2)));
        check("     Summary [ 601.005s] 4 tests run: 3 passed, 1 timed out, 0 skipped", Some((3, 1, 0)));
        check("     Summary [   0.005s] 1 test run: 1 passed, 0 skipped", Some((1, 0, 0)));
        check(
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.005s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped",
            Some((2, 0, 0)),
        );
        check("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s", None);
        check("3 passed, 0 failed", None);
        check("test gae::matches ... ok", None);
    }
}
