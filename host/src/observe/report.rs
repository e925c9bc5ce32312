//! `report.html`: one self-contained page that shows what a run did, for readers without Twinhost, without network, without scripts.
//!
//! [`ReportData::collect`] reads a run folder and nothing else, so a report can be rebuilt at any time, also of a run that is going on;
//! [`ReportData::render`] is a pure function of that data. Several runs (seeds) are compared by [`compare::Comparison`].

mod chart;
pub mod compare;
mod curves;
mod films;
mod html;
mod page;
mod results;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::about::{RunAbout, RunStatus};
use super::clock;
use super::durable;
use super::error::{Error, Result};
use super::evaluation::{DemonstrationSet, EvalResult};
use super::metrics::{self, Record};
use super::run_dir::RunLayout;

/// Everything a report shows.
#[derive(Clone, Debug)]
pub struct ReportData {
    pub about: RunAbout,
    pub status: Option<RunStatus>,
    /// In the order of `about.arms`.
    pub results: Vec<EvalResult>,
    pub demonstrations: Vec<DemonstrationSet>,
    pub records: Vec<Record>,
    /// Hash of the deterministic part of the metrics; empty without metrics.
    pub metrics_digest: String,
    /// Text of `recipe.ron`, empty if there is none.
    pub recipe: String,
    /// Text of `recipe.lock`, empty if there is none.
    pub recipe_lock: String,
    /// Content of the films shown, by path relative to the run folder.
    pub films: BTreeMap<PathBuf, Vec<u8>>,
    pub generated_unix: f64,
}

impl ReportData {
    /// Reads a run folder. Parts the run has not written yet are left out of the report.
    ///
    /// # Errors
    /// If it is not a run folder, or a part is damaged.
    pub fn collect(run_dir: &Path) -> Result<Self> {
        let layout = RunLayout::new(run_dir);
        let about = layout.read_about()?;
        let mut results = if layout.eval().is_dir() { EvalResult::read_all(&layout)? } else { Vec::new() };
        results.sort_by_key(|r| about.arms.iter().position(|a| a.name == r.arm).unwrap_or(usize::MAX));
        let has_metrics = layout.metrics().is_file();
        let optional_text =
            |path: PathBuf| if path.is_file() { fs::read_to_string(&path).map_err(Error::io("read", &path)) } else { Ok(String::new()) };
        Ok(Self {
            status: layout.read_status()?,
            demonstrations: DemonstrationSet::read_all(&layout)?,
            records: if has_metrics { metrics::read_records(&layout.metrics())? } else { Vec::new() },
            metrics_digest: if has_metrics { metrics::metrics_digest(&layout.metrics())? } else { String::new() },
            recipe: optional_text(layout.recipe())?,
            recipe_lock: optional_text(layout.recipe_lock())?,
            films: films::load(run_dir, &results),
            generated_unix: clock::unix_now(),
            about,
            results,
        })
    }

    /// The whole page.
    pub fn render(&self) -> String {
        page::render(self)
    }

    /// An arm's title for people.
    fn arm_title<'a>(&'a self, arm: &'a str) -> &'a str {
        self.about.arms.iter().find(|a| a.name == arm).map_or(arm, |a| &a.title)
    }

    /// Index of an arm's colour.
    fn arm_colour(&self, arm: &str) -> usize {
        curves::arm_style(arm, &self.about.arms).1
    }
}

/// Builds `report.html` of a run folder and returns its path.
///
/// # Errors
/// As [`ReportData::collect`], or if writing fails.
pub fn write_report(run_dir: &Path) -> Result<PathBuf> {
    let path = RunLayout::new(run_dir).report();
    durable::write_file(&path, ReportData::collect(run_dir)?.render().as_bytes())?;
    Ok(path)
}
