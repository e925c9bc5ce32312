//! Learning curves and timings: which metrics are shown first, under which titles, and where a stage's time went.

use std::collections::BTreeMap;

use super::chart::{Series, Unit};
use crate::observe::about::ArmAbout;
use crate::observe::metrics::{Record, SINCE_PREVIOUS, TIME_PREFIX, UNIX};

/// A metric of one stage over its steps, one series per arm.
#[derive(Clone, Debug)]
pub struct Panel {
    pub metric: String,
    /// For people; the metric's own name if it is not a known one.
    pub title: String,
    pub unit: Unit,
    /// Known metrics with a course over time are shown at once, others on request.
    pub known: bool,
    pub series: Vec<Series>,
}

/// Metrics worth a first look, in order: (end of the name, title).
const KNOWN: &[(&str, &str)] = &[
    ("env/success_once", "Success of training rollouts"),
    ("eval/success_once", "Success in evaluation"),
    ("success_once", "Success"),
    ("success", "Success"),
    ("env/return", "Return of training rollouts"),
    ("env/episode_len", "Episode length, control steps"),
    ("train/loss", "Loss"),
    ("train/sft_loss", "SFT loss"),
    ("train/sft_loss_sim", "SFT loss, simulated demonstrations"),
    ("train/sft_loss_real", "SFT loss, real demonstrations"),
    ("token_accuracy", "Accuracy of action tokens"),
    ("train/ppo_loss", "PPO loss"),
    ("policy_loss", "Policy loss"),
    ("value_loss", "Value loss"),
    ("critic_loss", "Value loss"),
    ("train/loss_ratio", "Anchor loss / RL loss"),
    ("approx_kl", "KL to the behaviour policy"),
    ("kl_reference", "KL to the reference policy"),
    ("entropy", "Policy entropy"),
    ("clip_fraction", "Share of clipped ratios"),
    ("ratio", "Probability ratio"),
    ("explained_variance", "Variance explained by the value"),
    ("anchor_grad_norm", "Gradient norm of the anchor"),
    ("sft_grad_norm", "Gradient norm of the anchor"),
    ("grad_norm", "Gradient norm"),
];

/// Position in [`KNOWN`] and title.
fn known(metric: &str, stage_has_rl: bool) -> Option<(usize, &'static str)> {
    let at = KNOWN.iter().position(|(end, _)| metric.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))?;
    // In a reinforcement-learning stage the SFT loss is that of the anchor.
    let title = if KNOWN[at].0 == "train/sft_loss" && stage_has_rl { "Anchor: SFT loss on real data" } else { KNOWN[at].1 };
    Some((at, title))
}

fn is_share(metric: &str) -> bool {
    let last = metric.rsplit('/').next().unwrap_or(metric);
    ["success", "fraction", "accuracy", "rate"].iter().any(|word| last.contains(word)) && !last.contains("learning_rate")
}

/// Every stage with metrics, in the order in which they first appear, with its panels: known metrics first, in the order of [`KNOWN`].
pub fn stages(records: &[Record], arms: &[ArmAbout]) -> Vec<(String, Vec<Panel>)> {
    let mut order: Vec<&str> = Vec::new();
    for r in records {
        if !order.contains(&r.stage.as_str()) {
            order.push(&r.stage);
        }
    }
    let stage_panels = |stage: &&str| {
        let of_stage: Vec<&Record> = records.iter().filter(|r| r.stage == **stage).collect();
        (stage.to_string(), panels(&of_stage, arms))
    };
    order.iter().map(stage_panels).filter(|(_, panels)| !panels.is_empty()).collect()
}

fn panels(records: &[&Record], arms: &[ArmAbout]) -> Vec<Panel> {
    let mut lines: BTreeMap<(&str, &str), Vec<(f64, f64)>> = BTreeMap::new();
    for r in records {
        for (metric, &value) in &r.values {
            lines.entry((metric, &r.arm)).or_default().push((r.step as f64, value));
        }
    }
    let has_rl = lines.keys().any(|(metric, _)| metric.ends_with("ppo_loss") || metric.starts_with("env/"));
    let mut panels: Vec<Panel> = Vec::new();
    for ((metric, arm), points) in lines {
        if panels.last().is_none_or(|p| p.metric != metric) {
            let known = known(metric, has_rl);
            let in_range = |p: &(f64, f64)| !p.1.is_finite() || (0.0..=1.0).contains(&p.1);
            panels.push(Panel {
                metric: metric.into(),
                title: known.map_or(metric, |k| k.1).into(),
                unit: if is_share(metric) && points.iter().all(in_range) { Unit::Percent } else { Unit::Number },
                known: known.is_some(),
                series: Vec::new(),
            });
        }
        if let Some(panel) = panels.last_mut() {
            let (label, colour) = arm_style(arm, arms);
            panel.series.push(Series { label, colour, points, band: Vec::new() });
        }
    }
    for panel in &mut panels {
        panel.series.sort_by_key(|s| s.colour);
        if panel.series.iter().flat_map(|s| &s.points).any(|p| p.1.is_finite() && !(0.0..=1.0).contains(&p.1)) {
            panel.unit = Unit::Number;
        }
    }
    for panel in &mut panels {
        panel.known &= panel.series.iter().any(|s| s.points.len() > 1);
    }
    panels.sort_by_key(|p| (known(&p.metric, has_rl).map_or(usize::MAX, |k| k.0), p.metric.clone()));
    panels
}

/// An arm's title and colour; what no arm owns is shared.
pub fn arm_style(arm: &str, arms: &[ArmAbout]) -> (String, usize) {
    match arms.iter().position(|a| a.name == arm) {
        Some(at) => (arms[at].title.clone(), at),
        None if arm.is_empty() => ("shared by all arms".into(), arms.len()),
        None => (arm.to_owned(), arms.len()),
    }
}

/// Wall time of one (arm, stage), seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct StageTime {
    pub arm: String,
    pub stage: String,
    pub seconds: f64,
}

/// Time of every (arm, stage), in order of first appearance.
pub fn stage_times(records: &[Record]) -> Vec<StageTime> {
    let mut out: Vec<StageTime> = Vec::new();
    for r in records {
        let seconds = r.time.get(SINCE_PREVIOUS).copied().filter(|s| s.is_finite()).unwrap_or(0.0);
        match out.iter_mut().find(|t| t.arm == r.arm && t.stage == r.stage) {
            Some(t) => t.seconds += seconds,
            None => out.push(StageTime { arm: r.arm.clone(), stage: r.stage.clone(), seconds }),
        }
    }
    out
}

/// What the time of a stage, over all arms, was spent on: (`sim`, `render`, `inference`, `training`, ..., seconds), largest first; what was
/// not measured is [`UNMEASURED`]. Activities are the metrics `time/NAME`; names with a further `/` are parts of others and left out, as are
/// rates (`..._per_second`).
/// Activities that overlap (threads) are scaled to the stage's wall time. Empty if nothing was measured.
pub fn activities(records: &[Record], stage: &str) -> Vec<(String, f64)> {
    let of_stage = || records.iter().filter(|r| r.stage == stage).flat_map(|r| &r.time).filter(|(_, s)| s.is_finite() && **s > 0.0);
    let total: f64 = of_stage().filter(|(name, _)| *name == SINCE_PREVIOUS).map(|(_, s)| s).sum();
    let mut spent: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, seconds) in of_stage().filter(|(name, _)| *name != SINCE_PREVIOUS && *name != UNIX) {
        if let Some(activity) = name.strip_prefix(TIME_PREFIX).filter(|a| !a.contains('/') && !a.ends_with("_per_second")) {
            *spent.entry(activity).or_default() += seconds;
        }
    }
    let measured: f64 = spent.values().sum();
    let scale = if measured > total { total / measured } else { 1.0 };
    let mut out: Vec<(String, f64)> = spent.into_iter().map(|(name, s)| (name.to_owned(), s * scale)).collect();
    out.sort_by(|a, b| b.1.total_cmp(&a.1));
    let rest = total - measured * scale;
    if !out.is_empty() && rest > 0.005 * total {
        out.push((UNMEASURED.into(), rest));
    }
    out
}

pub const UNMEASURED: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    fn record(arm: &str, stage: &str, step: u64, values: &[(&str, f64)], time: &[(&str, f64)]) -> Record {
        let map = |v: &[(&str, f64)]| v.iter().map(|&(k, v)| (k.to_owned(), v)).collect();
        Record { global_step: 0, arm: arm.into(), stage: stage.into(), step, values: map(values), time: map(time) }
    }

    #[test]
    fn known_metrics_come_first_and_are_named_by_what_they_mean_there() {
        let arms = [ArmAbout::new("rlco", "RL-Co"), ArmAbout::new("no_anchor", "No anchor")];
        let records = [
            record("", "sft", 0, &[("train/sft_loss", 5.0), ("lr", 1e-4)], &[]),
            record("", "sft", 1, &[("train/sft_loss", 4.0), ("lr", 1e-4)], &[]),
            record("no_anchor", "rl", 0, &[("train/ppo_loss", 0.1), ("env/success_once", 0.25)], &[]),
            record("rlco", "rl", 0, &[("train/sft_loss", 0.5), ("env/success_once", 0.5), ("train/actor/grad_norm", 2.0)], &[]),
        ];
        let stages = stages(&records, &arms);
        let titles = |i: usize| stages[i].1.iter().map(|p| p.title.as_str()).collect::<Vec<_>>();
        assert_eq!(stages.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["sft", "rl"]);
        assert_eq!(titles(0), ["SFT loss", "lr"]);
        assert_eq!(titles(1), ["Success of training rollouts", "Anchor: SFT loss on real data", "PPO loss", "Gradient norm"]);
        let success = &stages[1].1[0];
        assert_eq!(success.unit, Unit::Percent);
        assert_eq!(success.series.iter().map(|s| (s.label.as_str(), s.colour)).collect::<Vec<_>>(), [("RL-Co", 0), ("No anchor", 1)]);
        assert!(!stages[0].1[1].known && stages[0].1[0].known);
        assert!(!success.known, "a single step is no curve");
    }

    #[test]
    fn a_share_outside_its_range_is_a_number() {
        let records = [record("", "x", 0, &[("a/success_rate", 0.5)], &[]), record("b", "x", 0, &[("a/success_rate", 40.0)], &[])];
        assert_eq!(stages(&records, &[])[0].1[0].unit, Unit::Number);
    }

    #[test]
    fn stage_times_add_up_to_the_wall_time() {
        let records = [
            record(
                "a",
                "rl",
                0,
                &[],
                &[
                    (SINCE_PREVIOUS, 6.0),
                    ("time/sim", 2.0),
                    ("time/sim/physics", 1.5),
                    ("time/env_steps_per_second", 400.0),
                    ("time/training", 3.0),
                    (UNIX, 1e9),
                ],
            ),
            record("a", "rl", 1, &[], &[(SINCE_PREVIOUS, 4.0), ("time/sim", 2.0)]),
            record("b", "rl", 0, &[], &[(SINCE_PREVIOUS, 1.0)]),
            record("b", "sft", 0, &[], &[(SINCE_PREVIOUS, 1.0), ("time/sim", 1.5), ("time/training", 0.5)]),
        ];
        let times: Vec<_> = stage_times(&records).into_iter().map(|t| (t.arm, t.stage, t.seconds)).collect();
        assert_eq!(times, [("a".into(), "rl".into(), 10.0), ("b".into(), "rl".into(), 1.0), ("b".into(), "sft".into(), 1.0)]);
        assert_eq!(activities(&records, "rl"), [("sim".into(), 4.0), ("training".into(), 3.0), ("other".into(), 4.0)]);
        assert_eq!(activities(&records, "sft"), [("sim".into(), 0.75), ("training".into(), 0.25)]);
        assert_eq!(activities(&records, "demos"), []);
    }
}
