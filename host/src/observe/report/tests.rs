//! Reports of invented runs. `TWINHOST_REPORT_DIR=DIR cargo test -p twinhost report` leaves them in DIR, to be looked at.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};
use twinhost_plugin_api::{EnvKind, Tensor};

use super::compare::{self, Comparison};
use super::*;
use crate::observe::evaluation::{DemonstrationSource, EvalEpisode, EvalGroup};
use crate::observe::film::write_film;
use crate::observe::{ArmAbout, RunDir, RunPhase};

/// (name, title, success on the simulator and on the stand-in, has an RL stage).
const ARMS: [(&str, &str, f64, f64, bool); 5] = [
    ("sft_real", "SFT, real only", 0.31, 0.34, false),
    ("sft_cotrain", "SFT co-training", 0.58, 0.49, false),
    ("rlco", "RL-Co", 0.86, 0.71, true),
    ("rlco_no_anchor", "RL-Co without the anchor", 0.88, 0.52, true),
    ("no_sim_sft", "RL without simulated SFT", 0.37, 0.33, true),
];
const PLACES: [(&str, EnvKind, &str, bool, f64); 5] = [
    ("real_twin", EnvKind::StandIn, "train", true, 0.0),
    ("real_twin", EnvKind::StandIn, "unseen_objects", false, -0.12),
    ("real_twin", EnvKind::StandIn, "unseen_start", false, -0.18),
    ("sim", EnvKind::Simulated, "train", true, 0.0),
    ("sim", EnvKind::Simulated, "unseen_objects", false, -0.10),
];

/// A square (the gripper) carries another (the object) over a table; in a failure it is dropped half-way.
fn frames(seed: u64, success: bool, stand_in: bool) -> Vec<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (start, goal) = ((20 + rng.random_range(0..20usize), 60), (68, 34 + rng.random_range(0..16usize)));
    let table = if stand_in { [120, 92, 66] } else { [176, 184, 190] };
    let mut frame = |t: usize| {
        let share = t as f64 / 31.0;
        let move_to = |s: f64| {
            let s = s.clamp(0.0, 1.0);
            (
                (start.0 as f64 + s * (goal.0 as f64 - start.0 as f64)) as usize,
                (start.1 as f64 + s * (goal.1 as f64 - start.1 as f64)) as usize,
            )
        };
        let gripper = move_to(share * 1.6 - 0.4);
        let object = move_to(if success { share * 1.6 - 0.4 } else { (share * 1.6 - 0.4).min(0.45) });
        let mut pixels = Vec::with_capacity(96 * 96 * 3);
        for (y, x) in (0..96usize).flat_map(|y| (0..96usize).map(move |x| (y, x))) {
            let inside = |c: (usize, usize), r: usize| x.abs_diff(c.0) <= r && y.abs_diff(c.1) <= r;
            let colour = match () {
                () if inside(object, 5) => [214, 60, 50],
                () if inside((gripper.0, gripper.1.saturating_sub(14)), 6) => [50, 54, 60],
                () if inside(goal, 14) => [240, 240, 236],
                () if y > 24 => table,
                () => [52, 60, 72],
            };
            let noise = if stand_in { rng.random_range(0..8u8) } else { 0 };
            pixels.extend(colour.map(|c: u8| c.saturating_add(noise)));
        }
        Tensor::from_vec(pixels, &[96, 96, 3])
    };
    (0..32).map(&mut frame).collect()
}

fn evaluation(dir: &RunDir, arm: &(&str, &str, f64, f64, bool), seed: u64, with_films: bool) -> EvalResult {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (arm.2 * 1e6) as u64);
    let group = |&(env, kind, variant, in_distribution, shift): &(&str, EnvKind, &str, bool, f64)| {
        let chance = if kind == EnvKind::StandIn { arm.3 } else { arm.2 } + shift;
        let mut filmed = [false; 2];
        let mut episode = |i: u64| {
            let success = rng.random_bool(chance);
            let film = (with_films && in_distribution && !std::mem::replace(&mut filmed[usize::from(success)], true)).then(|| {
                let name = format!("{}-{env}-{variant}-{i}", arm.0);
                let files = write_film(&frames(i, success, kind == EnvKind::StandIn), 0.1, &dir.films().join(name)).unwrap();
                files.animation.strip_prefix(dir.path()).unwrap().to_owned()
            });
            EvalEpisode {
                seed: 10_000 + i,
                success,
                episode_return: if success { 1.2 } else { 0.2 } * rng.random_range(0.8..1.0),
                length: if success { rng.random_range(24..60) } else { 80 },
                instruction: "put the red mug into the white tray".into(),
                film,
            }
        };
        EvalGroup {
            env: env.into(),
            kind,
            task: "pick_place".into(),
            variant: variant.into(),
            in_distribution,
            episodes: (0..100).map(&mut episode).collect(),
        }
    };
    EvalResult { arm: arm.0.into(), seed, weights_digest: format!("{:064x}", seed * 7919 + 13), groups: PLACES.iter().map(group).collect() }
}

/// The records of one arm, with times as they are on two cores.
fn training(records: &mut Vec<Record>, arm: &(&str, &str, f64, f64, bool), seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed * 31 + arm.0.len() as u64);
    let mut noise = |scale: f64| scale * (rng.random_range(-1.0..1.0) + rng.random_range(-1.0..1.0));
    for step in 0..400u64 {
        let fall = (-(step as f64) / 90.0).exp();
        let values = [
            ("train/sft_loss", 0.9 + 4.4 * fall + noise(0.12)),
            ("train/token_accuracy", 0.82 - 0.8 * fall + noise(0.02)),
            ("train/grad_norm", 1.0 + 3.0 * fall + noise(0.3).abs()),
            ("train/learning_rate", 3e-4 * (1.0 - step as f64 / 400.0)),
        ];
        let time = [("time/since_previous", 0.21), ("time/training", 0.19), ("time/data", 0.012)];
        records.push(record(records.len(), (arm.0, "sft", step), &values, &time));
    }
    for step in 0..if arm.4 { 60u64 } else { 0 } {
        let rise = 1.0 - (-(step as f64) / 18.0).exp();
        let mut values = vec![
            ("env/success_once", (0.45 * arm.2 + 0.55 * arm.2 * rise + noise(0.04)).clamp(0.0, 1.0)),
            ("env/return", 0.3 + arm.2 * rise + noise(0.05)),
            ("env/episode_len", 78.0 - 30.0 * rise + noise(3.0)),
            ("train/ppo_loss", 0.04 * (1.0 - rise) + noise(0.01)),
            ("train/value_loss", 0.2 * (1.0 - 0.8 * rise) + noise(0.01).abs()),
            ("train/approx_kl", 0.004 + noise(0.001).abs()),
            ("train/entropy", 1.9 - 0.7 * rise + noise(0.03)),
            ("train/clip_fraction", 0.08 + noise(0.01).abs()),
            ("train/grad_norm", 0.9 + noise(0.2).abs()),
        ];
        if !arm.0.contains("anchor") {
            let anchor = [
                ("train/sft_loss", 0.86 - 0.1 * rise + noise(0.03)),
                ("train/loss_ratio", 4.0 + noise(0.8)),
                ("train/anchor_grad_norm", 0.21 + noise(0.03)),
            ];
            values.extend(anchor);
        }
        let time = [("time/since_previous", 3.4), ("time/sim", 0.7), ("time/render", 0.6), ("time/inference", 0.8), ("time/training", 1.2)];
        records.push(record(records.len(), (arm.0, "rl", step), &values, &time));
    }
}

fn record(global_step: usize, (arm, stage, step): (&str, &str, u64), values: &[(&str, f64)], time: &[(&str, f64)]) -> Record {
    let map = |v: &[(&str, f64)]| v.iter().map(|&(k, v)| (k.to_owned(), v)).collect();
    Record { global_step: global_step as u64, arm: arm.into(), stage: stage.into(), step, values: map(values), time: map(time) }
}

fn invented_run(root: &Path, seed: u64, with_films: bool) -> PathBuf {
    let arms = ARMS.iter().map(|a| ArmAbout::new(a.0, a.1)).collect();
    let mut about = RunAbout::new("rlco_openvla", "RL-Co: OpenVLA on a pair of physics twins", seed, arms);
    about.command = ["host", "run", "recipes/rlco_openvla.ron", "--set", "seed=7"].map(String::from).to_vec();
    let dir = RunDir::create(&root.join(format!("rlco_openvla-seed{seed}")), &about).unwrap();
    let mut records = vec![record(0, ("", "demos", 0), &[("demos/episodes", 520.0)], &[("time/since_previous", 96.0), ("time/sim", 60.0)])];
    for arm in &ARMS {
        training(&mut records, arm, seed);
        evaluation(&dir, arm, seed, with_films).write(&dir).unwrap();
    }
    let lines: String = records.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
    fs::write(dir.metrics(), lines).unwrap();
    let set = |name: &str, source, env: &str, kind, episodes, attempts| DemonstrationSet {
        name: name.into(),
        source,
        env: env.into(),
        kind,
        episodes,
        transitions: episodes * 41,
        attempts,
        reused: name == "real",
    };
    let sets = [
        set("real", DemonstrationSource::Planner, "real_twin", EnvKind::StandIn, 20, 22),
        set("generated", DemonstrationSource::Mimicgen, "sim", EnvKind::Simulated, 500, 683),
    ];
    DemonstrationSet::write_all(&sets, &dir).unwrap();
    fs::write(dir.recipe(), "Recipe(\n    name: \"rlco_openvla\",\n    seed: 7,\n    stages: [Sft(alpha: 0.5), Rl(beta: 0.2)],\n)\n")
        .unwrap();
    fs::write(dir.recipe_lock(), "plugins: {\"sim-tabletop\": \"sha256:4be1...\"}\n").unwrap();
    dir.set_status(RunPhase::Finished, "").unwrap();
    dir.path().to_owned()
}

/// Panics unless every element is closed in order and no attribute is left open.
fn assert_balanced(page: &str) {
    const VOID: [&str; 4] = ["meta", "img", "br", "path"];
    let mut open: Vec<&str> = Vec::new();
    let style_end = page.find("</style>").unwrap();
    let mut rest = &page[style_end..];
    open.extend(["html", "head", "style"]);
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag is closed");
        let tag = &rest[at + 1..end];
        assert!(!tag.contains('<'), "`<{tag}>` is malformed");
        assert!(tag.matches('"').count().is_multiple_of(2), "`<{tag}>` has an open attribute");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if let Some(closing) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closing), "near {}", &rest[at.saturating_sub(80)..end]);
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

fn assert_self_contained(page: &str) {
    assert!(
        !page.contains("<script")
            && !page.contains("http:")
            && !page.contains("https:")
            && !page.contains("url(")
            && !page.contains("@import")
    );
    for (at, _) in page.match_indices("src=") {
        assert!(page[at..].starts_with("src=\"data:image/"), "{}", &page[at..at + 60]);
    }
}

fn keep_for_inspection(page: &str, name: &str) {
    if let Some(folder) = std::env::var_os("TWINHOST_REPORT_DIR") {
        fs::write(PathBuf::from(folder).join(name), page).unwrap();
    }
}

#[test]
fn a_finished_run_is_shown_whole_and_self_contained() {
    let root = tempfile::tempdir().unwrap();
    let run = invented_run(root.path(), 7, true);
    let path = write_report(&run).unwrap();
    let page = fs::read_to_string(path).unwrap();
    keep_for_inspection(&page, "report.html");
    assert_self_contained(&page);
    assert_balanced(&page);
    for section in ["results", "demonstrations", "curves", "time", "films", "repeat"] {
        assert!(page.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    for shown in [
        "73.2\u{a0}%",
        "500 of 683 attempts",
        "Anchor: SFT loss on real data",
        "Wilson",
        "data:image/gif;base64,R0lGOD",
        "name: &quot;rlco_openvla&quot;",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    let rlco = ReportData::collect(&run).unwrap().results.into_iter().find(|r| r.arm == "rlco").unwrap();
    let p = rlco.groups[0].success();
    assert!(page.contains(&format!(
        "<b>{:.1}\u{a0}%</b> <span class=\"ci\">[{:.1}, {:.1}] · {}/100</span>",
        100.0 * p.rate,
        100.0 * p.low,
        100.0 * p.high,
        p.successes
    )));
}

#[test]
fn the_stand_in_is_never_shown_as_a_robot() {
    let root = tempfile::tempdir().unwrap();
    let page = ReportData::collect(&invented_run(root.path(), 7, true)).unwrap().render();
    let headings: Vec<&str> =
        page.split("<h3>").skip(1).map(|h| h.split("</h3>").next().unwrap()).filter(|h| h.contains("real_twin")).collect();
    assert!(headings.len() >= 2);
    assert!(headings.iter().all(|h| h.contains("simulated stand-in for a real robot")), "{headings:?}");
    for class in ["headline", "caption"] {
        let paragraph = page.split(&format!("<p class=\"{class}\">")).nth(1).unwrap().split("</p>").next().unwrap();
        assert!(paragraph.contains("real_twin") && paragraph.contains("simulated stand-in for a real robot"), "{paragraph}");
    }
    for alt in page.split("alt=\"").skip(1).map(|a| a.split('"').next().unwrap()).filter(|a| a.contains("real_twin")) {
        assert!(alt.contains("simulated stand-in"), "{alt}");
    }
    assert!(!page.contains("badge real"));
}

#[test]
fn user_text_stays_text() {
    let root = tempfile::tempdir().unwrap();
    let evil = "\"><img src=x onerror=alert(1)>'</pre>";
    let run = invented_run(root.path(), 7, false);
    let mut data = ReportData::collect(&run).unwrap();
    data.about.title = evil.into();
    data.about.command.push(evil.into());
    data.about.arms[2].title = evil.into();
    data.recipe = evil.into();
    data.demonstrations[0].name = evil.into();
    for group in data.results.iter_mut().flat_map(|r| &mut r.groups) {
        group.env = evil.into();
        group.task = evil.into();
        group.variant = evil.into();
    }
    for record in &mut data.records {
        record.stage = evil.into();
        record.values.insert(evil.into(), 1.0);
    }
    let page = data.render();
    assert!(!page.contains("<img") && page.contains("&lt;img src=x"));
    assert_balanced(&page);
}

#[test]
fn a_run_that_has_just_begun_has_a_report() {
    let root = tempfile::tempdir().unwrap();
    let about = RunAbout::new("rlco_smoke", "RL-Co in a minute", 1, vec![ArmAbout::new("rlco", "RL-Co")]);
    let dir = RunDir::create(&root.path().join("run"), &about).unwrap();
    let page = ReportData::collect(dir.path()).unwrap().render();
    assert_balanced(&page);
    assert!(page.contains("has not been evaluated yet") && page.contains(">running</span>"));
}

#[test]
fn films_outside_the_run_folder_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let run = invented_run(root.path(), 7, false);
    fs::write(root.path().join("secret.gif"), "GIF89a secret").unwrap();
    let mut data = ReportData::collect(&run).unwrap();
    for (group, path) in data.results[0].groups.iter_mut().zip(["../secret.gif", "/etc/hostname"]) {
        group.episodes[0].film = Some(path.into());
    }
    assert!(films::load(&run, &data.results).is_empty());
}

#[test]
fn seeds_are_compared_by_mean_and_spread() {
    let root = tempfile::tempdir().unwrap();
    let runs: Vec<PathBuf> = [7, 8, 9].into_iter().map(|seed| invented_run(root.path(), seed, false)).collect();
    let path = root.path().join("comparison.html");
    let comparison = compare::write_comparison(&runs, &path).unwrap();
    let page = fs::read_to_string(&path).unwrap();
    keep_for_inspection(&page, "comparison.html");
    assert_self_contained(&page);
    assert_balanced(&page);

    let rate = |run: &PathBuf| {
        let result = ReportData::collect(run).unwrap().results.into_iter().find(|r| r.arm == "rlco").unwrap();
        result.groups[0].episodes.iter().filter(|e| e.success).count() as f64
    };
    let rates: Vec<f64> = runs.iter().map(rate).collect();
    let mean = (rates[0] + rates[1] + rates[2]) / 3.0;
    let std = (rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    let table = comparison.to_markdown();
    let row = table.lines().find(|l| l.starts_with("| RL-Co |")).unwrap();
    assert!(row.starts_with(&format!("| RL-Co | {mean:.1} ± {std:.1}\u{a0}% ({}/300) |", rates.iter().sum::<f64>())), "{row}");
    assert!(
        table.contains("real_twin · pick_place · train (simulated stand-in for a real robot)") && table.contains("seeds 7, 8, 9"),
        "{table}"
    );

    let place = &comparison.places()[0];
    let (rlco, cotrain) = (comparison.outcome("rlco", place).unwrap(), comparison.outcome("sft_cotrain", place).unwrap());
    let gain = comparison.gain("rlco", "sft_cotrain", place).unwrap();
    assert_eq!(gain.pooled.pairs, 300);
    assert!((gain.spread.mean - (rlco.spread.mean - cotrain.spread.mean)).abs() < 1e-12, "the same episodes make up both");
}

#[test]
fn the_same_evidence_is_not_counted_twice() {
    let root = tempfile::tempdir().unwrap();
    let run = invented_run(root.path(), 7, false);
    let error = Comparison::collect(&[run.clone(), run]).unwrap_err().to_string();
    assert!(error.contains("with seed 7"), "{error}");
    assert!(Comparison::collect(&[]).unwrap_err().to_string().contains("no run to compare"));
}
