//! Where a value of a recipe was written, and how a mistake is shown there.
//!
//! A recipe is put together from several texts: the file, its includes, an arm, `--set` arguments. Every value keeps its
//! [`Location`] through all of that, so each [`Finding`] can show the line it is about, whichever text it came from.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::LoadedRecipe;
use crate::codes::Code;

/// Byte range in one of the texts of [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

/// One text a recipe was made from.
#[derive(Clone, Debug)]
pub struct Source {
    /// File name as the user gave it, or `--set`, or the name of a built-in arm.
    pub name: String,
    pub text: String,
    /// Relative paths inside this text start here.
    pub folder: PathBuf,
    /// Came from the command line, where strings need no quotes.
    pub is_argument: bool,
}

/// Name and SHA-256 (hex) of a text, for `recipe.lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct SourceDigest {
    pub name: String,
    pub sha256: String,
}

/// All texts of one recipe, in the order they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    pub fn add(&mut self, source: Source) -> usize {
        self.0.push(source);
        self.0.len() - 1
    }

    pub fn get(&self, index: usize) -> &Source {
        &self.0[index]
    }

    /// The written text at a location.
    pub fn snippet(&self, at: Location) -> &str {
        self.0[at.source].text.get(at.start..at.end).unwrap_or_default()
    }

    /// 1-based line and column (in characters) of a location's start.
    pub fn line_column(&self, at: Location) -> (usize, usize) {
        let before = self.0[at.source].text.get(..at.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn digests(&self) -> Vec<SourceDigest> {
        let digest = |s: &Source| SourceDigest { name: s.name.clone(), sha256: hex::encode(Sha256::digest(&s.text)) };
        self.0.iter().map(digest).collect()
    }
}

/// One mistake: what is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub at: Location,
    /// Path of the field, e.g. `stages.rl.anchor.beta`; empty where there is none (syntax errors).
    pub path: String,
    pub message: String,
    pub help: Option<String>,
    pub code: Code,
}

impl Finding {
    pub fn new(code: Code, at: Location, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at, path: path.into(), message: message.into(), help: None, code }
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong with a recipe, together with the texts to show it in.
///
/// `Display` gives the plain form; [`RecipeErrors::render`] with `fancy` draws in colour for a terminal.
pub struct RecipeErrors {
    pub sources: Sources,
    pub findings: Vec<Finding>,
    /// The recipe with defaults in the place of mistakes, where that makes a recipe: to look for further mistakes, not to run.
    pub stand_in: Option<Box<LoadedRecipe>>,
}

impl RecipeErrors {
    /// Findings in the order of the texts, each mentioned once (an arm repeats the mistakes of the recipe under it).
    pub(super) fn new(sources: Sources, mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
        findings.dedup_by(|a, b| a.at == b.at && a.message == b.message);
        Self { sources, findings, stand_in: None }
    }

    /// Adds what else was found, leaving out what is about a place that something is said about already.
    #[must_use]
    pub fn and(self, others: Vec<Finding>) -> Self {
        let mut findings = self.findings;
        let told: Vec<Location> = findings.iter().map(|f| f.at).collect();
        findings.extend(others.into_iter().filter(|f| !told.contains(&f.at)));
        Self::new(self.sources, findings)
    }

    pub fn render(&self, fancy: bool) -> String {
        let theme = if fancy { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(110);
        let mut text = String::new();
        for finding in &self.findings {
            // Writing into a String cannot fail; should miette refuse a span, the sentence alone is still shown.
            if handler.render_report(&mut text, &Report::new(finding, &self.sources)).is_err() {
                text.push_str(&finding.message);
            }
            text.push('\n');
        }
        let count = self.findings.len();
        let codes: BTreeSet<&str> = self.findings.iter().map(|f| f.code.text()).collect();
        let codes: Vec<&str> = codes.into_iter().collect();
        let plural = if count == 1 { "" } else { "s" };
        text.push_str(&format!("{count} error{plural} in the recipe ({}: `host explain CODE` tells more)\n", codes.join(", ")));
        text
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for RecipeErrors {}

/// A finding in miette's terms.
struct Report {
    message: String,
    help: Option<String>,
    code: Code,
    span: SourceSpan,
    source: NamedSource<String>,
}

impl Report {
    fn new(finding: &Finding, sources: &Sources) -> Self {
        let source = sources.get(finding.at.source);
        let message = match finding.path.as_str() {
            "" => finding.message.clone(),
            path => format!("{path}: {}", finding.message),
        };
        let length = finding.at.end.saturating_sub(finding.at.start);
        Self {
            message,
            help: finding.help.clone(),
            code: finding.code,
            span: (finding.at.start, length).into(),
            source: NamedSource::new(&source.name, source.text.clone()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::underline(self.span))))
    }
}

/// The candidate a mistyped word most likely stands for, if any is close enough to be worth proposing.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (c.chars().count().max(word.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// "did you mean `x`?", or the list of what there is.
pub(super) fn suggest<'a>(word: &str, what: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(best) = closest(word, candidates.clone()) {
        return format!("did you mean `{best}`?");
    }
    let all: Vec<_> = candidates.into_iter().map(|c| format!("`{c}`")).collect();
    if all.is_empty() { format!("there is no {what} here") } else { format!("{what} here: {}", all.join(", ")) }
}
