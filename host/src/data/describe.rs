//! A dataset in words and tables, for people.

use std::fmt::Write as _;
use twinhost_plugin_api::{EnvKind, names};

use super::dataset::Dataset;
use super::episode_stats;
use super::error::Result;
use super::schema::Storage;
use super::store::Provenance;

const SHOWN_TASKS: usize = 6;

/// What the dataset is, where it comes from, and its features with their statistics.
///
/// # Errors
/// If `twinhost.json` is damaged.
pub fn overview(dataset: &Dataset) -> Result<String> {
    let info = dataset.info();
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{}  (LeRobot {})", dataset.root().display(), info.codebase_version));
    line(format!("robot     {}", info.robot_type.as_deref().filter(|r| !r.is_empty()).unwrap_or("not stated")));
    let seconds = info.total_frames as f64 / info.fps;
    line(format!("episodes  {} with {} frames at {} per second ({seconds:.0} s)", info.total_episodes, info.total_frames, info.fps));
    let tasks = dataset.tasks();
    for (i, task) in tasks.iter().take(SHOWN_TASKS).enumerate() {
        line(format!("{:<9} {task}", if i == 0 { "tasks" } else { "" }));
    }
    if tasks.len() > SHOWN_TASKS {
        line(format!("          and {} more", tasks.len() - SHOWN_TASKS));
    }
    if let Some(p) = Provenance::read(dataset.root())? {
        let kind = match p.kind {
            EnvKind::Simulated => "simulated",
            EnvKind::StandIn => "a simulated stand-in for a real robot",
            EnvKind::Real => "real",
        };
        line(format!("made by   {} in `{}`, which is {kind}", serde_name(&p.source), p.env));
        line(format!("success   {} of {} attempts ({:.1} %)", p.episodes, p.attempts, 100.0 * p.success_rate()));
        line(format!("key       {}", p.key));
    }
    line(format!("\n{:<32} {:<8} {:<14} {:>10} {:>10} {:>10} {:>10}", "feature", "dtype", "shape", "min", "mean", "std", "max"));
    let stats =
        std::fs::read_to_string(dataset.root().join("meta/stats.json")).ok().and_then(|t| episode_stats::from_json(&t)).unwrap_or_default();
    for (name, entry) in info.own_features() {
        let numbers = stats.get(name).map_or_else(String::new, |s| {
            let over = |values: &[f64], f: fn(f64, f64) -> f64| values.iter().copied().reduce(f).unwrap_or(f64::NAN);
            let average = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            format!(
                "{:>10.3} {:>10.3} {:>10.3} {:>10.3}",
                over(&s.min, f64::min),
                average(&s.mean),
                average(&s.std),
                over(&s.max, f64::max)
            )
        });
        let note = if entry.storage() == Storage::Video { "  (video: not decoded by this host)" } else { "" };
        line(format!("{name:<32} {:<8} {:<14} {numbers}{note}", entry.dtype, format!("{:?}", entry.shape)).trim_end().to_string());
    }
    Ok(out)
}

fn serde_name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default()
}

/// One line per episode: frames, duration, success, return, seed, instruction.
///
/// # Errors
/// If a data file is missing or damaged.
pub fn episodes(dataset: &Dataset) -> Result<String> {
    let readable = dataset.readable_features();
    let wanted: Vec<&str> = [names::SUCCESS, "is_success", names::REWARD].into_iter().filter(|n| readable.contains(n)).collect();
    let mut out =
        format!("{:>7} {:>7} {:>8} {:>8} {:>9} {:>20}  {}\n", "episode", "frames", "seconds", "success", "return", "seed", "task");
    for entry in dataset.episodes() {
        let episode = dataset.episode_with(entry.index, &wanted)?;
        let success = episode.success().map_or("-", |s| if s { "yes" } else { "no" });
        let total = episode.floats(names::REWARD).ok().map_or_else(|| "-".to_string(), |r| format!("{:.3}", r.iter().sum::<f64>()));
        let seed = entry.seed.map_or_else(|| "-".to_string(), |s| s.to_string());
        let seconds = entry.length as f64 / dataset.info().fps;
        let line = writeln!(
            out,
            "{:>7} {:>7} {seconds:>8.1} {success:>8} {total:>9} {seed:>20}  {}",
            entry.index,
            entry.length,
            entry.tasks.join("; ")
        );
        line.expect("writing to a string cannot fail");
    }
    Ok(out)
}
