//! The results: every arm on every twin with its interval, and what one arm gains over another on the same episodes.

use twinhost_plugin_api::EnvKind;

use super::ReportData;
use super::html::{interval_track, kind_badge, kind_label, p_value, percent, signed_points, text};
use crate::observe::evaluation::{EvalGroup, EvalResult};

/// The group that answers the question a run asks: in distribution, on the robot or what stands in for it, else on the simulator.
fn primary(results: &[EvalResult]) -> Option<&EvalGroup> {
    let groups = || results.iter().flat_map(|r| &r.groups).filter(|g| !g.episodes.is_empty());
    let rank = |g: &&EvalGroup| (g.in_distribution, matches!(g.kind, EnvKind::Real | EnvKind::StandIn));
    // `max_by_key` would take the last of equals; the first is the recipe's own choice.
    groups().rev().max_by_key(rank)
}

/// The arm the others are measured against: `rlco` by name, else the first one.
fn reference(data: &ReportData) -> Option<&EvalResult> {
    data.results.iter().find(|r| r.arm == "rlco").or(data.results.first())
}

/// One sentence with the main result, empty before the evaluation.
pub fn headline(data: &ReportData) -> String {
    let (Some(primary), Some(reference)) = (primary(&data.results), reference(data)) else { return String::new() };
    let Some(group) = reference.group(primary.key()) else { return String::new() };
    let place = match primary.kind {
        EnvKind::Simulated => format!("in simulation (<code>{}</code>)", text(&primary.env)),
        kind => format!("on <code>{}</code>, a {},", text(&primary.env), kind_label(kind)),
    };
    let p = group.success();
    let name = text(data.arm_title(&reference.arm));
    let mut html = format!(
        "<b>{name}</b> solves <b>{}</b> of {} episodes {place} with a 95&nbsp;% interval of {:.1} to {:.1}&nbsp;%.",
        percent(p.rate),
        p.trials,
        100.0 * p.low,
        100.0 * p.high
    );
    let others = data.results.iter().filter(|r| r.arm != reference.arm);
    let rival = others.filter_map(|r| Some((r, r.group(primary.key())?))).max_by(|a, b| a.1.success().rate.total_cmp(&b.1.success().rate));
    if let Some((rival, d)) = rival.and_then(|(r, g)| Some((r, group.minus(g)?))) {
        html += &format!(
            " That is <b>{}</b> points against {}, the best other arm ({}).",
            signed_points(d.mean),
            text(data.arm_title(&rival.arm)),
            p_value(d.p_value)
        );
    }
    html
}

/// Large numbers under the headline: (label, number, detail).
pub fn tiles(data: &ReportData) -> Vec<(String, String, String)> {
    let Some(primary) = primary(&data.results) else { return Vec::new() };
    let tile = |r: &EvalResult| {
        let p = r.group(primary.key())?.success();
        let interval = format!("{:.0} to {:.0} %, {} episodes", 100.0 * p.low, 100.0 * p.high, p.trials);
        Some((data.arm_title(&r.arm).to_owned(), format!("{:.0} %", 100.0 * p.rate), interval))
    };
    data.results.iter().filter_map(tile).collect()
}

/// What the tiles show, e.g. `real_twin · train`, with its badge.
pub fn tiles_caption(data: &ReportData) -> String {
    primary(&data.results).map_or(String::new(), |g| format!("Success on {} {}", super::films::group_title(g), kind_badge(g.kind)))
}

/// The section with one table per twin and task.
pub fn section(data: &ReportData) -> String {
    if data.results.iter().all(|r| r.groups.is_empty()) {
        return r#"<section id="results"><h2>Results</h2><p class="empty">This run has not been evaluated yet.</p></section>"#.into();
    }
    let mut html = String::from(
        r#"<section id="results"><h2>Results</h2><p class="lead">Share of evaluation episodes solved, with Wilson score intervals at 95 %. Every arm faces the same episode seeds.</p>"#,
    );
    let mut tables: Vec<(&str, &str)> = Vec::new();
    for g in data.results.iter().flat_map(|r| &r.groups) {
        if !tables.contains(&(&g.env, &g.task)) {
            tables.push((&g.env, &g.task));
        }
    }
    for (env, task) in tables {
        html += &arms_table(data, env, task);
    }
    html + &differences(data) + "</section>"
}

fn arms_table(data: &ReportData, env: &str, task: &str) -> String {
    let groups = || data.results.iter().flat_map(|r| &r.groups).filter(|g| g.env == env && g.task == task);
    let Some(any) = groups().next() else { return String::new() };
    let mut variants: Vec<&EvalGroup> = Vec::new();
    for g in groups() {
        if !variants.iter().any(|v| v.variant == g.variant) {
            variants.push(g);
        }
    }
    variants.sort_by_key(|g| !g.in_distribution);

    let task = if task.is_empty() { String::new() } else { format!(" · {}", text(task)) };
    let mut html = format!(
        r#"<div class="card"><h3>{}{task} {}</h3><div class="scroll"><table class="arms"><thead><tr><th scope="col">Arm</th>"#,
        text(env),
        kind_badge(any.kind)
    );
    for v in &variants {
        let what = if v.in_distribution { "in distribution" } else { "out of distribution" };
        let name = if v.variant.is_empty() { "default" } else { &v.variant };
        html += &format!(r#"<th scope="col">{}<small>{what}</small></th>"#, text(name));
    }
    html += "</tr></thead><tbody>";
    for result in &data.results {
        let colour = data.arm_colour(&result.arm);
        html += &format!(
            r#"<tr><th scope="row"><span class="key c{}"></span>{}</th>"#,
            colour % super::html::COLOURS,
            text(data.arm_title(&result.arm))
        );
        for v in &variants {
            html += &match result.group(v.key()) {
                Some(g) => cell(g, colour),
                None => "<td class=\"empty\">not evaluated</td>".into(),
            };
        }
        html += "</tr>";
    }
    html + "</tbody></table></div></div>"
}

fn cell(g: &EvalGroup, colour: usize) -> String {
    let p = g.success();
    let length = g.mean_success_length().map_or(String::new(), |l| format!(", mean length of successes {l:.1} steps"));
    let mean_return = g.mean_return().map_or(String::new(), |r| format!("mean return {r:.2}"));
    format!(
        r#"<td title="{mean_return}{length}"><b>{}</b> <span class="ci">[{:.1}, {:.1}] · {}/{}</span>{}</td>"#,
        percent(p.rate),
        100.0 * p.low,
        100.0 * p.high,
        p.successes,
        p.trials,
        interval_track(p.rate, p.low, p.high, colour, &[])
    )
}

/// Reference arm minus every other one, on the episodes both faced.
fn differences(data: &ReportData) -> String {
    let Some(reference) = reference(data) else { return String::new() };
    let mut rows = String::new();
    for other in data.results.iter().filter(|r| r.arm != reference.arm) {
        for group in &reference.groups {
            let Some(d) = other.group(group.key()).and_then(|g| group.minus(g)) else { continue };
            rows += &format!(
                r#"<tr><th scope="row"><span class="key c{}"></span>{}</th><td>{} {}</td><td class="num"><b>{}</b> <span class="ci">[{}, {}]</span></td><td class="num">{}</td><td class="num">{} / {}</td><td class="num">{}</td></tr>"#,
                data.arm_colour(&other.arm) % super::html::COLOURS,
                text(data.arm_title(&other.arm)),
                super::films::group_title(group),
                kind_badge(group.kind),
                signed_points(d.mean),
                signed_points(d.low),
                signed_points(d.high),
                p_value(d.p_value),
                d.only_a,
                d.only_b,
                d.pairs
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let name = text(data.arm_title(&reference.arm));
    format!(
        r#"<details class="card"><summary>What {name} gains over each other arm, paired by episode</summary><div class="scroll"><table><thead><tr><th scope="col">Compared with</th><th scope="col">Where</th><th scope="col" class="num">Points</th><th scope="col" class="num">McNemar, exact</th><th scope="col" class="num">Only {name} / only the other</th><th scope="col" class="num">Pairs</th></tr></thead><tbody>{rows}</tbody></table></div></details>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::evaluation::EvalEpisode;

    fn group(env: &str, kind: EnvKind, in_distribution: bool) -> EvalGroup {
        let episode = EvalEpisode { seed: 1, success: true, episode_return: 1.0, length: 9, instruction: String::new(), film: None };
        EvalGroup { env: env.into(), kind, task: String::new(), variant: "v".into(), in_distribution, episodes: vec![episode] }
    }

    #[test]
    fn the_robot_in_distribution_is_the_question() {
        let result = EvalResult {
            arm: "a".into(),
            seed: 0,
            weights_digest: String::new(),
            groups: vec![
                group("sim", EnvKind::Simulated, true),
                group("twin_ood", EnvKind::StandIn, false),
                group("twin", EnvKind::StandIn, true),
                group("second_twin", EnvKind::StandIn, true),
            ],
        };
        assert_eq!(primary(std::slice::from_ref(&result)).unwrap().env, "twin");
    }
}
