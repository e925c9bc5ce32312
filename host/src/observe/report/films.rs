//! The films section: for every arm and twin one success and one failure, as far as they exist and fit into a page that can be mailed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::ReportData;
use super::html::{kind_badge, text};
use crate::observe::evaluation::{EvalEpisode, EvalGroup, EvalResult};

/// Bytes of films in one report, before base64.
const BUDGET: usize = 12 << 20;

/// The films worth showing, most important first: in distribution before out of distribution, then arm by arm.
fn selection(results: &[EvalResult]) -> Vec<(&EvalResult, &EvalGroup, &EvalEpisode)> {
    let mut out = Vec::new();
    for in_distribution in [true, false] {
        for result in results {
            for group in result.groups.iter().filter(|g| g.in_distribution == in_distribution) {
                for success in [true, false] {
                    let shown = group.episodes.iter().find(|e| e.success == success && e.film.as_deref().is_some_and(stays_inside));
                    out.extend(shown.map(|e| (result, group, e)));
                }
            }
        }
    }
    out
}

/// A film's path comes from a file: it must not reach out of the run folder.
fn stays_inside(path: &Path) -> bool {
    path.components().all(|c| matches!(c, Component::Normal(_)))
}

/// Reads the selected films up to the budget. A film that is gone is not shown; the report must not fail for it.
pub fn load(run_dir: &Path, results: &[EvalResult]) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut films = BTreeMap::new();
    let mut room = BUDGET;
    for path in selection(results).into_iter().filter_map(|(_, _, e)| e.film.as_ref()) {
        match fs::read(run_dir.join(path)) {
            Ok(bytes) if bytes.len() <= room => {
                room -= bytes.len();
                films.insert(path.clone(), bytes);
            }
            Ok(_) => {}
            Err(cause) => tracing::warn!("film {} is not in the report: {cause}", path.display()),
        }
    }
    films
}

fn media_type(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(b"\x89PNG") { "image/png" } else { "image/gif" }
}

/// The section, empty without films.
pub fn section(data: &ReportData) -> String {
    let shown: Vec<_> = selection(&data.results)
        .into_iter()
        .filter_map(|(result, group, episode)| Some((result, group, episode, data.films.get(episode.film.as_ref()?)?)))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        r#"<section id="films"><h2>What it looks like</h2><p class="lead">Evaluation episodes, for each arm one success and one failure where there are such.</p>"#,
    );
    let mut envs: Vec<(&str, &str, &str)> = Vec::new();
    for (_, group, _, _) in &shown {
        if !envs.contains(&group.key()) {
            envs.push(group.key());
        }
    }
    for key in envs {
        let mut films = shown.iter().filter(|(_, g, _, _)| g.key() == key).peekable();
        let Some((_, group, _, _)) = films.peek() else { continue };
        html += &format!(r#"<h3>{} {}</h3><div class="films">"#, group_title(group), kind_badge(group.kind));
        for (result, group, episode, bytes) in films {
            html += &figure(data, result, group, episode, bytes);
        }
        html += "</div>";
    }
    let left_out = data.results.iter().flat_map(|r| &r.groups).flat_map(|g| &g.episodes).filter(|e| e.film.is_some()).count() - shown.len();
    if left_out > 0 {
        html += &format!(r#"<p class="note">{left_out} more in the run folder's <code>films/</code>.</p>"#);
    }
    html + "</section>"
}

fn figure(data: &ReportData, result: &EvalResult, group: &EvalGroup, episode: &EvalEpisode, bytes: &[u8]) -> String {
    let (class, outcome) = if episode.success { ("ok", "✓ success") } else { ("bad", "✗ failure") };
    let title = data.arm_title(&result.arm);
    format!(
        r#"<figure class="{class}"><img loading="lazy" alt="{alt}" src="data:{};base64,{}"><figcaption><b>{}</b><span class="{class}">{outcome} · {} steps</span><span class="note">{}episode seed {}</span></figcaption></figure>"#,
        media_type(bytes),
        STANDARD.encode(bytes),
        text(title),
        episode.length,
        if episode.instruction.is_empty() { String::new() } else { format!("“{}”, ", text(&episode.instruction)) },
        episode.seed,
        alt = text(&format!("{title} on {}, {}: {outcome}", group.env, super::html::kind_label(group.kind))),
    )
}

/// `real_twin · pick_place · unseen objects`.
pub fn group_title(group: &EvalGroup) -> String {
    let parts = [&group.env, &group.task, &group.variant];
    parts.iter().filter(|p| !p.is_empty()).map(|p| text(p).to_string()).collect::<Vec<_>>().join(" · ")
}
