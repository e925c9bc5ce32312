//! `cargo xtask tidy`: the rules of the house that no compiler checks. It runs as a test, too.
//!
//! - arrows in the host point down, and packages depend on each other in one direction only ([`arrows`], [`manifests`]);
//! - every file tells one story of bounded length and begins by saying which; nothing unfinished, nothing unsafe without a reason ([`files`]).

mod arrows;
mod files;
mod lexer;
mod manifests;

use crate::failure::{During, Failure, Result};
use crate::workspace::Workspace;
use lexer::Source;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the checkout.
    path: PathBuf,
    line: usize,
    sentence: String,
}

impl Finding {
    fn new(source: &Source, line: usize, sentence: impl Into<String>) -> Self {
        Self { path: source.path.clone(), line, sentence: sentence.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.sentence)
    }
}

/// Checks the checkout and prints what is broken; fails if anything is.
pub fn tidy(workspace: &Workspace) -> Result<()> {
    let findings = findings(workspace)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: nothing to mend");
            Ok(())
        }
        count => Err(Failure::work(format!("tidy: {count} to mend, listed above; ARCHITECTURE.md says why the rules are there"))),
    }
}

fn findings(workspace: &Workspace) -> Result<Vec<Finding>> {
    let sources = read_sources(workspace.root())?;
    let mut findings = arrows::check(&sources);
    findings.extend(sources.iter().flat_map(files::check));
    findings.extend(manifests::check(&workspace.packages()?));
    findings.sort();
    Ok(findings)
}

/// Every Rust file of the checkout, without what cargo, git and runs put there.
fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).during(|| format!("list {}", folder.display()))?.flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = entry.file_type().during(|| format!("look at {}", path.display()))?;
            if kind.is_dir() && !name.starts_with('.') && name != "target" && name != "runs" {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".rs") {
                let text = fs::read_to_string(&path).during(|| format!("read {}", path.display()))?;
                sources.push(Source::new(path.strip_prefix(root).unwrap_or(&path), &text));
            }
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_tidy() {
        let findings = findings(&Workspace::find().expect("a checkout")).expect("readable sources");
        let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(list.is_empty(), "\n{}", list.join("\n"));
    }
}
