//! The writer's promise: what `append` acknowledged is there after a crash at any moment, and nothing half-written ever is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use twinhost::data::{Dataset, DatasetWriter};

use crate::samples::{assert_same, episode, info};

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = DatasetWriter::create(dir.path(), info()).unwrap();
    assert_eq!(Dataset::open(dir.path()).unwrap().episodes().len(), 0);
    writer.append(&[episode(0, 5, "push the cube"), episode(1, 3, "pick the cube")]).unwrap();
    writer.append(&[episode(2, 4, "push the cube")]).unwrap();

    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.tasks(), ["push the cube", "pick the cube"]);
    assert_eq!(dataset.info().total_frames, 12);
    assert_eq!(dataset.info().splits["train"], "0:3");
    for (e, (frames, task)) in [(5, "push the cube"), (3, "pick the cube"), (4, "push the cube")].into_iter().enumerate() {
        assert_same(&dataset.episode(e).unwrap(), &episode(e, frames, task));
    }
    assert_eq!(dataset.episode(1).unwrap().success(), Some(true));

    // Means over all 12 frames, from the definition of `episode`: the third state entry is e + t/10.
    let stats: serde_json::Value = serde_json::from_str(&fs::read_to_string(dir.path().join("meta/stats.json")).unwrap()).unwrap();
    let state = &stats["observation.state"];
    assert_eq!(state["count"][0], 12);
    let third: f64 =
        [(0.0, 5), (1.0, 3), (2.0, 4)].iter().flat_map(|&(e, n)| (0..n).map(move |t| f64::from(e as f32 + t as f32 / 10.0))).sum();
    assert!((state["mean"][2].as_f64().unwrap() - third / 12.0).abs() < 1e-12);
    assert_eq!(stats["observation.images.base"]["mean"].as_array().unwrap().len(), 3);
    assert_eq!(stats["privileged.eef_pose"]["max"][3][3], 5.0 * 16.0 - 1.0 + 0.125);
}

/// Replays an append file by file in the order the writer makes them, and stops after each: a reader must see the old or the new state, and
/// a writer that continues must end where an undisturbed one ends.
#[test]
fn a_crash_between_any_two_files_leaves_the_old_or_the_new_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = dir.path().join("undisturbed");
    let mut writer = DatasetWriter::create(&undisturbed, info()).unwrap();
    writer.append(&[episode(0, 5, "push the cube")]).unwrap();
    let before = files(&undisturbed);
    writer.append(&[episode(1, 3, "pick the cube"), episode(2, 2, "pick the cube")]).unwrap();
    let after = files(&undisturbed);

    let order = [
        "data/chunk-000/file-001.parquet",
        "meta/episodes/chunk-000/file-001.parquet",
        "meta/tasks.parquet",
        "meta/stats.json",
        "meta/info.json",
    ];
    let changed: Vec<&PathBuf> = after.iter().filter(|(p, bytes)| before.get(*p) != Some(bytes)).map(|(p, _)| p).collect();
    assert_eq!(changed.len(), order.len(), "{changed:?}");
    for written in 0..=order.len() {
        let root = dir.path().join(format!("crashed-{written}"));
        for (path, bytes) in &before {
            let target = root.join(path.strip_prefix(&undisturbed).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, bytes).unwrap();
        }
        for name in &order[..written] {
            fs::copy(undisturbed.join(name), root.join(name)).unwrap();
        }
        if let Some(next) = order.get(written) {
            let (whole, half) = (root.join(next), &after[&undisturbed.join(next)][..40]);
            let staging = format!(".{}.tmp-12345", whole.file_name().unwrap().to_str().unwrap());
            fs::write(whole.with_file_name(staging), half).unwrap();
        }

        let seen = Dataset::open(&root).unwrap();
        let expected = if written == order.len() { 3 } else { 1 };
        assert_eq!(seen.episodes().len(), expected, "after {written} files");
        assert_same(&seen.episode(0).unwrap(), &episode(0, 5, "push the cube"));

        let mut writer = DatasetWriter::open(&root).unwrap();
        if expected == 1 {
            writer.append(&[episode(1, 3, "pick the cube"), episode(2, 2, "pick the cube")]).unwrap();
        }
        let continued = files(&root);
        assert_eq!(continued.len(), after.len(), "leftovers after a crash past {written} files");
        for (path, bytes) in &after {
            let name = path.strip_prefix(&undisturbed).unwrap();
            assert!(continued.get(&root.join(name)) == Some(bytes), "{} differs after a crash past {written} files", name.display());
        }
    }
}

#[test]
fn an_episode_that_does_not_fit_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = DatasetWriter::create(dir.path(), info()).unwrap();
    writer.append(&[episode(0, 5, "push")]).unwrap();
    let before = files(dir.path());

    let mut nan = episode(1, 3, "push");
    nan.columns.insert("action".into(), twinhost_plugin_api::Tensor::from_vec(vec![0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0], &[3, 2]));
    let e = writer.append(&[episode(1, 4, "push"), nan]).unwrap_err().to_string();
    assert!(e.contains("`action` is NaN at frame 1, entry 1"), "{e}");

    let mut short = episode(1, 3, "push");
    short.columns.insert("action".into(), twinhost_plugin_api::Tensor::zeros::<f32>(&[3, 3]));
    let e = writer.append(&[short]).unwrap_err().to_string();
    assert!(e.contains("[3, 3]") && e.contains("[3, 2]"), "{e}");

    let mut extra = episode(1, 3, "push");
    extra.columns.insert("observation.force".into(), twinhost_plugin_api::Tensor::zeros::<f32>(&[3, 1]));
    assert!(writer.append(&[extra]).unwrap_err().to_string().contains("`observation.force`"));

    let mut missing = episode(1, 3, "push");
    missing.columns.remove("next.reward");
    assert!(writer.append(&[missing]).unwrap_err().to_string().contains("`next.reward`"));
    assert!(writer.append(&[episode(1, 3, " ")]).unwrap_err().to_string().contains("instruction"));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_folder_that_holds_something_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let e = DatasetWriter::create(dir.path(), info()).unwrap_err().to_string();
    assert!(e.contains("already holds something"), "{e}");
}

const APPEND_TO: &str = "TWINHOST_TEST_APPEND_TO";

/// Runs itself as a second process that appends without end and says so after each; kills that at different moments.
#[test]
fn acknowledged_episodes_survive_kill_9() {
    if let Some(root) = std::env::var_os(APPEND_TO) {
        let mut writer = DatasetWriter::create(Path::new(&root), info()).unwrap();
        for e in 0.. {
            writer.append(&[episode(e, 3 + e % 3, "push")]).unwrap();
            println!("acknowledged");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5u64 {
        let root = dir.path().join(format!("round-{round}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::acknowledged_episodes_survive_kill_9", "--nocapture"])
            .env(APPEND_TO, &root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = |line: &std::io::Result<String>| line.as_ref().is_ok_and(|l| l.contains("acknowledged"));
        let mut count = lines.by_ref().filter(acknowledged).take(2 + round as usize).count();
        std::thread::sleep(std::time::Duration::from_micros(1700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        count += lines.filter(acknowledged).count();

        let found = Dataset::open(&root).unwrap().episodes().len();
        assert!(found >= count && count >= 2, "{count} acknowledged, {found} found");
        let mut writer = DatasetWriter::open(&root).unwrap();
        writer.append(&[episode(found, 3 + found % 3, "push")]).unwrap();
        let dataset = Dataset::open(&root).unwrap();
        for e in 0..=found {
            assert_same(&dataset.episode(e).unwrap(), &episode(e, 3 + e % 3, "push"));
        }
    }
}
