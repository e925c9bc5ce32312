//! The page itself: header, results, demonstrations, curves, time, films, and what is needed to repeat the run.

use super::ReportData;
use super::chart::{LineChart, short_number};
use super::curves::{self, Panel, StageTime};
use super::html::{self, COLOURS, Part, kind_badge, percent, stacked_bar, text};
use super::{films, results};
use crate::observe::about::RunPhase;
use crate::observe::clock::{human_duration, utc_readable};
use crate::observe::evaluation::DemonstrationSource;

pub fn render(data: &ReportData) -> String {
    let times = curves::stage_times(&data.records);
    let sections =
        [results::section(data), demonstrations(data), learning_curves(data), time(data, &times), films::section(data), reproduction(data)];
    let body = format!("{}<main>{}</main>{}", header(data, &times), sections.concat(), footer(data));
    html::page(&format!("{} · seed {}", data.about.title, data.about.seed), &body)
}

fn header(data: &ReportData, times: &[StageTime]) -> String {
    let about = &data.about;
    let status = data.status.as_ref().map_or(String::new(), |s| {
        let class = match s.phase {
            RunPhase::Finished => "ok",
            RunPhase::Failed => "bad",
            RunPhase::Running | RunPhase::Interrupted => "open",
        };
        format!(r#"<span class="badge {class}">{}</span>"#, s.phase.label())
    });
    let message = data
        .status
        .as_ref()
        .filter(|s| !s.message.is_empty())
        .map_or(String::new(), |s| format!(r#"<p class="note">{}</p>"#, text(&s.message)));
    let total: f64 = times.iter().map(|t| t.seconds).sum();
    let facts = [
        ("Recipe", about.recipe.clone()),
        ("Seed", about.seed.to_string()),
        ("Started", utc_readable(about.started_unix)),
        ("Wall time", if total > 0.0 { human_duration(total) } else { String::new() }),
        ("Machine", about.machine.summary()),
        ("Host", about.host_version.clone()),
    ];
    let facts: String =
        facts.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("<div><dt>{k}</dt><dd>{}</dd></div>", text(v))).collect();
    let tiles: String = results::tiles(data)
        .iter()
        .zip(&data.results)
        .map(|((label, number, detail), r)| {
            let colour = data.arm_colour(&r.arm) % COLOURS;
            format!(r#"<div class="tile c{colour}"><span>{}</span><b>{number}</b><small>{detail}</small></div>"#, text(label))
        })
        .collect();
    let tiles = if tiles.is_empty() {
        tiles
    } else {
        format!(r#"<p class="caption">{}</p><div class="tiles">{tiles}</div>"#, results::tiles_caption(data))
    };
    let headline = results::headline(data);
    let headline = if headline.is_empty() { headline } else { format!(r#"<p class="headline">{headline}</p>"#) };
    format!(
        r#"<header><p class="eyebrow">Twinhost run report {status}</p><h1>{}</h1>{message}<dl class="facts">{facts}</dl>{headline}{tiles}</header>"#,
        text(&about.title)
    )
}

fn demonstrations(data: &ReportData) -> String {
    if data.demonstrations.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for set in &data.demonstrations {
        let source = match set.source {
            DemonstrationSource::Planner => "scripted planner",
            DemonstrationSource::Mimicgen => "MimicGen",
            DemonstrationSource::Teleop => "teleoperation",
        };
        let rate = if set.attempts > 0 { percent(set.episodes as f64 / set.attempts as f64) } else { "—".into() };
        let reused = if set.reused { r#" <span class="note">from the cache</span>"# } else { "" };
        rows += &format!(
            r#"<tr><th scope="row">{}</th><td>{source}{reused}</td><td>{} {}</td><td class="num">{}</td><td class="num">{}</td><td class="num"><b>{rate}</b> <span class="ci">{} of {} attempts</span></td></tr>"#,
            text(&set.name),
            text(&set.env),
            kind_badge(set.kind),
            set.episodes,
            set.transitions,
            set.episodes,
            set.attempts
        );
    }
    format!(
        r#"<section id="demonstrations"><h2>Demonstrations</h2><div class="card"><div class="scroll"><table><thead><tr><th scope="col">Set</th><th scope="col">Source</th><th scope="col">Recorded on</th><th scope="col" class="num">Episodes</th><th scope="col" class="num">Transitions</th><th scope="col" class="num">Success rate</th></tr></thead><tbody>{rows}</tbody></table></div></div></section>"#
    )
}

fn learning_curves(data: &ReportData) -> String {
    let stages = curves::stages(&data.records, &data.about.arms);
    if stages.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        r#"<section id="curves"><h2>Learning curves</h2><p class="lead">By step of the stage. Thin: raw; thick: smoothed. One value in a hundred at either end may lie on the edge; ▲ marks values that are not finite.</p>"#,
    );
    html += &stages.iter().map(|(stage, panels)| stage_curves(stage, panels)).collect::<String>();
    html + "</section>"
}

/// The charts of one stage: known metrics at once, the others on request.
pub fn stage_curves(stage: &str, panels: &[Panel]) -> String {
    let mut legend: Vec<(&str, usize)> = panels.iter().flat_map(|p| &p.series).map(|s| (s.label.as_str(), s.colour)).collect();
    legend.sort_by_key(|l| l.1);
    legend.dedup();
    let legend: String =
        legend.iter().map(|(label, colour)| format!(r#"<li class="c{}">{}</li>"#, colour % COLOURS, text(label))).collect();
    let (known, others): (Vec<&Panel>, Vec<&Panel>) = panels.iter().partition(|p| p.known);
    let charts = |panels: &[&Panel]| format!(r#"<div class="charts">{}</div>"#, panels.iter().map(|p| panel_html(p)).collect::<String>());
    let mut html = format!("<h3>Stage {}</h3>", text(stage));
    if !known.is_empty() {
        html += &format!(r#"<ul class="legend">{legend}</ul>{}"#, charts(&known));
    }
    if !others.is_empty() {
        let noun = if others.len() == 1 { "metric" } else { "metrics" };
        html +=
            &format!("<details><summary>{} further {noun} of stage {}</summary>{}</details>", others.len(), text(stage), charts(&others));
    }
    html
}

fn panel_html(panel: &Panel) -> String {
    let chart = LineChart { title: &panel.title, unit: panel.unit, series: &panel.series };
    let last = panel.series.iter().filter_map(|s| Some((s, s.points.last()?.1)));
    let last: String = last
        .map(|(s, y)| {
            let shown = if panel.unit == super::chart::Unit::Percent { format!("{:.0} %", 100.0 * y) } else { short_number(y) };
            format!(r#"<span class="c{}" title="{}">{shown}</span>"#, s.colour % COLOURS, text(&s.label))
        })
        .collect();
    let name = if panel.title == panel.metric { String::new() } else { format!("<code>{}</code>", text(&panel.metric)) };
    format!(
        r#"<figure class="chart"><figcaption><b>{}</b>{name}<span class="last">{last}</span></figcaption>{}</figure>"#,
        text(&panel.title),
        chart.svg()
    )
}

fn time(data: &ReportData, times: &[StageTime]) -> String {
    let mut stages: Vec<&str> = Vec::new();
    let mut arms: Vec<&str> = Vec::new();
    for t in times {
        note_new(&mut stages, &t.stage);
        note_new(&mut arms, &t.arm);
    }
    let seconds_of = |arm: &str| -> f64 { times.iter().filter(|t| t.arm == arm).map(|t| t.seconds).sum() };
    let longest = arms.iter().map(|arm| seconds_of(arm)).fold(0.0, f64::max);
    if longest <= 0.0 {
        return String::new();
    }
    let mut html = String::from(r#"<section id="time"><h2>Where the time went</h2><div class="card"><h3>Stages of each arm</h3>"#);
    for arm in arms {
        let part = |t: &StageTime| {
            let colour = stages.iter().position(|s| *s == t.stage).unwrap_or(0);
            Part { label: t.stage.clone(), value: t.seconds, colour, shown: human_duration(t.seconds) }
        };
        let parts: Vec<Part> = times.iter().filter(|t| t.arm == arm).map(part).collect();
        let title = if arm.is_empty() { "shared by all arms" } else { data.arm_title(arm) };
        html += &timing(title, seconds_of(arm), &stacked_bar(&parts, seconds_of(arm) / longest));
    }
    html += "</div>";

    let mut bars = String::new();
    let mut names: Vec<String> = Vec::new();
    for stage in stages {
        let activities = curves::activities(&data.records, stage);
        let total: f64 = activities.iter().map(|a| a.1).sum();
        let mut part = |(name, seconds): &(String, f64)| {
            if !names.contains(name) && name != curves::UNMEASURED {
                names.push(name.clone());
            }
            let colour = names.iter().position(|n| n == name).unwrap_or(COLOURS - 1);
            Part { label: name.clone(), value: *seconds, colour, shown: format!("{:.0} %", 100.0 * seconds / total) }
        };
        let parts: Vec<Part> = activities.iter().map(&mut part).collect();
        if !parts.is_empty() {
            bars += &timing(stage, total, &stacked_bar(&parts, 1.0));
        }
    }
    if !bars.is_empty() {
        html += &format!(r#"<div class="card"><h3>Activities in each stage, all arms together</h3>{bars}</div>"#);
    }
    html + "</section>"
}

fn note_new<'a>(list: &mut Vec<&'a str>, item: &'a str) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn timing(title: &str, seconds: f64, bar: &str) -> String {
    format!(r#"<div class="timing"><h4>{} <span class="ci">{}</span></h4><div>{bar}</div></div>"#, text(title), human_duration(seconds))
}

fn reproduction(data: &ReportData) -> String {
    let mut html = String::from(r#"<section id="repeat"><h2>To repeat this run</h2>"#);
    html += &format!("<pre class=\"command\">{}</pre>", text(&data.about.command.join(" ")));
    for (title, body) in
        [("Recipe as it ran, includes and overrides resolved", &data.recipe), ("Lock: plugins, versions, seed", &data.recipe_lock)]
    {
        if !body.is_empty() {
            html += &format!(r#"<details class="card"><summary>{title}</summary><pre>{}</pre></details>"#, text(body));
        }
    }
    let mut digests = String::new();
    if !data.metrics_digest.is_empty() {
        digests += &format!("<tr><th scope=\"row\">Metrics without clock</th><td><code>{}</code></td></tr>", text(&data.metrics_digest));
    }
    for r in data.results.iter().filter(|r| !r.weights_digest.is_empty()) {
        digests += &format!(
            "<tr><th scope=\"row\">Weights of {}</th><td><code>{}</code></td></tr>",
            text(data.arm_title(&r.arm)),
            text(&r.weights_digest)
        );
    }
    if !digests.is_empty() {
        html += &format!(
            r#"<details class="card"><summary>Digests (SHA-256): equal for equal recipe, lock and seed on one machine</summary><div class="scroll"><table>{digests}</table></div></details>"#
        );
    }
    html + "</section>"
}

fn footer(data: &ReportData) -> String {
    format!(
        r#"<footer>Twinhost {} · report made {} · everything on this page is inside this file</footer>"#,
        text(&data.about.host_version),
        utc_readable(data.generated_unix)
    )
}
