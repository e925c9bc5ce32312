//! Several runs of one recipe (seeds) side by side: mean and spread of every arm, for a page and for the README.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use twinhost_plugin_api::EnvKind;

use super::ReportData;
use super::chart::Series;
use super::curves::{self, Panel};
use super::html::{self, COLOURS, interval_track, kind_badge, kind_label, p_value, signed_points, text, with_spread};
use super::page;
use crate::observe::about::ArmAbout;
use crate::observe::clock;
use crate::observe::durable;
use crate::observe::error::{Error, Result};
use crate::observe::evaluation::EvalGroup;
use crate::observe::statistics::{PairedDifference, Proportion, Spread};

/// Runs to compare, each with the name of its folder.
#[derive(Clone, Debug)]
pub struct Comparison {
    runs: Vec<(String, ReportData)>,
}

/// One place where arms were evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub env: String,
    pub kind: EnvKind,
    pub task: String,
    pub variant: String,
    pub in_distribution: bool,
}

/// One arm at one place over all runs that evaluated it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Success rate of each run, in the order of the runs.
    pub rates: Vec<f64>,
    /// Mean and standard deviation of `rates`.
    pub spread: Spread,
    /// All episodes of all runs together.
    pub pooled: Proportion,
}

/// Reference arm minus another one over all runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Of the differences of each run.
    pub spread: Spread,
    /// Over all pairs of episodes.
    pub pooled: PairedDifference,
}

impl Comparison {
    /// Reads run folders.
    ///
    /// # Errors
    /// If there are none, two have the same seed and recipe (that would count the same evidence twice), or one cannot be read.
    pub fn collect(run_dirs: &[PathBuf]) -> Result<Self> {
        let mut runs: Vec<(String, ReportData)> = Vec::new();
        for dir in run_dirs {
            let name = dir.file_name().map_or_else(|| dir.display().to_string(), |n| n.to_string_lossy().into_owned());
            let mut data = ReportData::collect(dir)?;
            data.films.clear();
            let identity = |d: &ReportData| (d.about.recipe.clone(), d.about.seed);
            if let Some((twin, _)) = runs.iter().find(|(_, d)| identity(d) == identity(&data)) {
                let (recipe, seed) = identity(&data);
                return Err(Error::Refused(format!(
                    "{twin} and {name} are both runs of {recipe} with seed {seed}; compare runs with different seeds"
                )));
            }
            runs.push((name, data));
        }
        if runs.is_empty() {
            return Err(Error::Refused("there is no run to compare; name at least one run folder".into()));
        }
        Ok(Self { runs })
    }

    /// Every arm of every run, in the order of first appearance.
    pub fn arms(&self) -> Vec<ArmAbout> {
        let mut arms: Vec<ArmAbout> = Vec::new();
        for (_, data) in &self.runs {
            let evaluated = data.results.iter().map(|r| ArmAbout::new(&r.arm, data.arm_title(&r.arm)));
            for arm in data.about.arms.iter().cloned().chain(evaluated) {
                if !arms.iter().any(|a| a.name == arm.name) {
                    arms.push(arm);
                }
            }
        }
        arms
    }

    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for g in self.runs.iter().flat_map(|(_, d)| &d.results).flat_map(|r| &r.groups) {
            if !places.iter().any(|p| p.key() == g.key()) {
                let (env, task, variant) = (g.env.clone(), g.task.clone(), g.variant.clone());
                places.push(Place { env, kind: g.kind, task, variant, in_distribution: g.in_distribution });
            }
        }
        places
    }

    fn groups<'a>(&'a self, arm: &'a str, place: &'a Place) -> impl Iterator<Item = (u64, &'a EvalGroup)> {
        self.runs.iter().filter_map(move |(_, d)| {
            let group = d.results.iter().find(|r| r.arm == arm)?.group(place.key())?;
            (!group.episodes.is_empty()).then_some((d.about.seed, group))
        })
    }

    /// `None` if no run evaluated the arm there.
    pub fn outcome(&self, arm: &str, place: &Place) -> Option<Outcome> {
        let proportions: Vec<Proportion> = self.groups(arm, place).map(|(_, g)| g.success()).collect();
        let rates: Vec<f64> = proportions.iter().map(|p| p.rate).collect();
        let pooled = Proportion::wilson(proportions.iter().map(|p| p.successes).sum(), proportions.iter().map(|p| p.trials).sum());
        Some(Outcome { spread: Spread::of(&rates)?, rates, pooled })
    }

    /// What `arm` gains over `other`, paired within each run by episode seed. `None` without pairs.
    pub fn gain(&self, arm: &str, other: &str, place: &Place) -> Option<Gain> {
        let mut means = Vec::new();
        let mut pairs = Vec::new();
        for (seed, group) in self.groups(arm, place) {
            let Some((_, rival)) = self.groups(other, place).find(|(s, _)| *s == seed) else { continue };
            let of_run = group.pairs(rival);
            means.extend(PairedDifference::of(&of_run).map(|d| d.mean));
            pairs.extend(of_run);
        }
        Some(Gain { spread: Spread::of(&means)?, pooled: PairedDifference::of(&pairs)? })
    }

    /// The table for a README: one row per arm, one column per place.
    pub fn to_markdown(&self) -> String {
        let cell = |s: &str| s.replace('|', "\\|");
        let places = self.places();
        let head = places.iter().map(|p| cell(&p.title())).collect::<Vec<_>>().join(" | ");
        let mut out = format!("| Arm | {head} |\n|---|{}\n", "---:|".repeat(places.len()));
        for arm in self.arms() {
            let cells = places.iter().map(|p| match self.outcome(&arm.name, p) {
                Some(o) => format!("{} ({}/{})", with_spread(&o.spread), o.pooled.successes, o.pooled.trials),
                None => "—".into(),
            });
            out += &format!("| {} | {} |\n", cell(&arm.title), cells.collect::<Vec<_>>().join(" | "));
        }
        let seeds: Vec<String> = self.runs.iter().map(|(_, d)| d.about.seed.to_string()).collect();
        out + &format!(
            "\nSuccess in per cent, mean ± standard deviation over seeds {} (successes/episodes of all seeds).\n",
            seeds.join(", ")
        )
    }

    /// The comparison as a self-contained page.
    pub fn render(&self) -> String {
        let title = &self.runs[0].1.about.title;
        let runs: String =
            self.runs.iter().map(|(name, d)| format!("<li class=\"c7\">{} <b>seed {}</b></li>", text(name), d.about.seed)).collect();
        let body = format!(
            r#"<header><p class="eyebrow">Twinhost comparison of {} runs</p><h1>{}</h1><ul class="legend">{runs}</ul></header><main>{}{}{}</main><footer>Twinhost {} · made {} · everything on this page is inside this file</footer>"#,
            self.runs.len(),
            text(title),
            self.tables(),
            self.gains(),
            self.learning_curves(),
            env!("CARGO_PKG_VERSION"),
            clock::utc_readable(clock::unix_now()),
        );
        html::page(&format!("{title} · {} runs", self.runs.len()), &body)
    }

    fn tables(&self) -> String {
        let mut html = String::from(
            r#"<section id="results"><h2>Results</h2><p class="lead">Success, mean ± standard deviation over seeds. Bar: Wilson 95 % interval of all episodes together; ticks: single seeds.</p>"#,
        );
        let arms = self.arms();
        for place in self.places() {
            html += &format!(
                r#"<div class="card"><h3>{} {}</h3><div class="scroll"><table class="arms"><tbody>"#,
                text(&place.short_title()),
                kind_badge(place.kind)
            );
            for (colour, arm) in arms.iter().enumerate() {
                let Some(o) = self.outcome(&arm.name, &place) else { continue };
                html += &format!(
                    r#"<tr><th scope="row"><span class="key c{}"></span>{}</th><td><b>{}</b> <span class="ci">{}/{} episodes, {} seeds</span></td><td>{}</td></tr>"#,
                    colour % COLOURS,
                    text(&arm.title),
                    with_spread(&o.spread),
                    o.pooled.successes,
                    o.pooled.trials,
                    o.rates.len(),
                    interval_track(o.spread.mean, o.pooled.low, o.pooled.high, colour, &o.rates)
                );
            }
            html += "</tbody></table></div></div>";
        }
        html + "</section>"
    }

    fn gains(&self) -> String {
        let arms = self.arms();
        let Some(reference) = arms.iter().find(|a| a.name == "rlco").or(arms.first()) else { return String::new() };
        let mut rows = String::new();
        for place in self.places() {
            let others = arms.iter().filter(|a| a.name != reference.name);
            let gains: Vec<_> = others.filter_map(|a| Some((a, self.gain(&reference.name, &a.name, &place)?))).collect();
            let mut place_cell =
                format!(r#"<td rowspan="{}">{}<br>{}</td>"#, gains.len(), text(&place.short_title()), kind_badge(place.kind));
            for (other, gain) in &gains {
                let std = gain.spread.std.map_or(String::new(), |s| format!(" ± {:.1}", 100.0 * s));
                rows += &format!(
                    r#"<tr>{}<th scope="row">{}</th><td class="num"><b>{}{std}</b> <span class="ci">[{}, {}]</span></td><td class="num">{}</td><td class="num">{}</td></tr>"#,
                    std::mem::take(&mut place_cell),
                    text(&other.title),
                    signed_points(gain.spread.mean),
                    signed_points(gain.pooled.low),
                    signed_points(gain.pooled.high),
                    p_value(gain.pooled.p_value),
                    gain.pooled.pairs
                );
            }
        }
        if rows.is_empty() {
            return rows;
        }
        format!(
            r#"<section id="gains"><h2>What {} gains</h2><div class="card"><div class="scroll"><table><thead><tr><th scope="col">Where</th><th scope="col">Compared with</th><th scope="col" class="num">Points</th><th scope="col" class="num">McNemar, exact</th><th scope="col" class="num">Pairs</th></tr></thead><tbody>{rows}</tbody></table></div></div></section>"#,
            text(&reference.title)
        )
    }

    /// Mean over runs with a band of one standard deviation.
    fn learning_curves(&self) -> String {
        let arms = self.arms();
        let mut stages: Vec<(String, Vec<Panel>)> = Vec::new();
        for (_, data) in &self.runs {
            for (stage, panels) in curves::stages(&data.records, &arms) {
                match stages.iter_mut().find(|s| s.0 == stage) {
                    Some((_, all)) => all.extend(panels),
                    None => stages.push((stage, panels)),
                }
            }
        }
        let merged: String = stages.into_iter().map(|(stage, panels)| page::stage_curves(&stage, &merge(panels))).collect();
        if merged.is_empty() {
            return merged;
        }
        format!(
            r#"<section id="curves"><h2>Learning curves</h2><p class="lead">Mean over seeds; the band is one standard deviation.</p>{merged}</section>"#
        )
    }
}

/// Joins the panels of several runs that show one metric, and their series by arm.
fn merge(panels: Vec<Panel>) -> Vec<Panel> {
    let mut merged: Vec<Panel> = Vec::new();
    for panel in panels {
        match merged.iter_mut().find(|p| p.metric == panel.metric) {
            Some(p) => p.series.extend(panel.series),
            None => merged.push(panel),
        }
    }
    for panel in &mut merged {
        let mut by_arm: BTreeMap<(usize, String), Vec<Series>> = BTreeMap::new();
        for s in panel.series.drain(..) {
            by_arm.entry((s.colour, s.label.clone())).or_default().push(s);
        }
        panel.series = by_arm.into_iter().map(|((colour, label), runs)| mean_series(label, colour, &runs)).collect();
    }
    merged
}

fn mean_series(label: String, colour: usize, runs: &[Series]) -> Series {
    // Steps are whole numbers, so their bits order and match exactly.
    let mut at_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for &(x, y) in runs.iter().flat_map(|s| &s.points) {
        at_step.entry(x as u64).or_default().push(y);
    }
    let spreads: Vec<(f64, Spread)> = at_step.iter().filter_map(|(&x, ys)| Some((x as f64, Spread::of(ys)?))).collect();
    let points: Vec<(f64, f64)> = spreads.iter().map(|(x, s)| (*x, s.mean)).collect();
    let deviations: Vec<(f64, f64)> = spreads.iter().filter_map(|(x, s)| Some((*x, s.std?))).collect();
    let band = if deviations.len() == points.len() && points.iter().all(|p| p.1.is_finite()) {
        let around = |((x, mean), (_, std)): (&(f64, f64), &(f64, f64))| (*x, mean - std, mean + std);
        super::chart::smoothed(&points).iter().zip(&super::chart::smoothed(&deviations)).map(around).collect()
    } else {
        Vec::new()
    };
    Series { label, colour, points, band }
}

impl Place {
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.env, &self.task, &self.variant)
    }

    /// With what it is, for places without a badge beside it.
    pub fn title(&self) -> String {
        format!("{} ({})", self.short_title(), kind_label(self.kind))
    }

    fn short_title(&self) -> String {
        let parts = [&self.env, &self.task, &self.variant];
        parts.into_iter().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>().join(" · ")
    }
}

/// Writes a comparison page.
///
/// # Errors
/// As [`Comparison::collect`], or if writing fails.
pub fn write_comparison(run_dirs: &[PathBuf], path: &Path) -> Result<Comparison> {
    let comparison = Comparison::collect(run_dirs)?;
    durable::write_file(path, comparison.render().as_bytes())?;
    Ok(comparison)
}
