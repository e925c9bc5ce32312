//! Datasets written by LeRobot 0.6.1 (v3.0) and 0.3.3 (v2.1), read back number by number.
//!
//! `expected.json` was dumped from the same files with pyarrow, Pillow and numpy (`quantile`, `mean`, `std` over float64).

use serde_json::Value;
use std::path::PathBuf;
use twinhost::data::{Cameras, Dataset, EpisodeBuffer, statistics};
use twinhost_plugin_api::{ActionSpec, DType};

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/datasets")).join(name)
}

fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(folder("expected.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().flat_map(|v| if v.is_array() { numbers(v) } else { vec![v.as_f64().unwrap()] }).collect()
}

fn check(name: &str) {
    let expected = expected(name);
    let dataset = Dataset::open(&folder(name)).unwrap();
    assert_eq!(dataset.info().fps, expected["fps"].as_f64().unwrap());
    assert_eq!(serde_json::to_value(dataset.tasks()).unwrap(), expected["tasks"]);
    let lengths: Vec<usize> = dataset.episodes().iter().map(|e| e.length).collect();
    assert_eq!(serde_json::to_value(&lengths).unwrap(), expected["lengths"]);

    let all = dataset.frames(0..lengths.len(), &dataset.readable_features()).unwrap();
    assert_eq!(serde_json::to_value(&all.task).unwrap(), expected["task_of_frame"]);
    let mut compared = 0;
    for (feature, values) in expected["numbers"].as_object().unwrap() {
        let tensor = &all.columns[feature];
        let found: Vec<f64> = match tensor.dtype() {
            DType::F32 => tensor.as_slice::<f32>().unwrap().iter().map(|&v| f64::from(v)).collect(),
            DType::Bool => tensor.as_slice::<bool>().unwrap().iter().map(|&v| f64::from(u8::from(v))).collect(),
            other => panic!("{feature} was read as {other:?}"),
        };
        assert_eq!(found, numbers(values), "{feature}");
        compared += found.len();
    }
    assert!(compared >= lengths.iter().sum::<usize>() * 14, "state and action at least");
    for (feature, sums) in expected["image_sums"].as_object().unwrap() {
        let tensor = &all.columns[feature];
        assert_eq!(tensor.shape(), [lengths.iter().sum(), 64, 96, 3]);
        let pixels = tensor.as_slice::<u8>().unwrap();
        for (frame, expected) in pixels.chunks_exact(tensor.row_len()).zip(sums.as_array().unwrap()) {
            let mut found: Vec<f64> = (0..3).map(|c| frame.iter().skip(c).step_by(3).map(|&v| f64::from(v)).sum()).collect();
            let at = (40 * 96 + 70) * 3;
            found.extend(frame[at..at + 3].iter().map(|&v| f64::from(v)));
            assert_eq!(found, numbers(expected), "{feature}");
        }
    }

    // One episode alone is the same as its part of the whole.
    let last = dataset.episode(lengths.len() - 1).unwrap();
    for (feature, tensor) in &last.columns {
        let whole = all.columns[feature].bytes().unwrap();
        assert_eq!(tensor.bytes().unwrap(), &whole[whole.len() - tensor.bytes().unwrap().len()..], "{feature}");
    }
    assert_eq!(last.task, dataset.tasks()[*all.task.last().unwrap()]);
}

#[test]
fn v30_with_images() {
    check("tiny_v30_img");
}

#[test]
fn v30_tables_beside_video() {
    check("tiny_v30");
    let dataset = Dataset::open(&folder("tiny_v30")).unwrap();
    let e = dataset.frames(0..1, &["observation.images.base"]).unwrap_err().to_string();
    assert!(e.contains("`observation.images.base`") && e.contains("MP4") && e.contains("use_videos=False"), "{e}");
    let e = EpisodeBuffer::load(&[&dataset], Cameras::Load).unwrap_err().to_string();
    assert!(e.contains("MP4"), "{e}");
    assert_eq!(EpisodeBuffer::load(&[&dataset], Cameras::Skip).unwrap().len(), 24);
}

#[test]
fn v21() {
    check("tiny_v21");
    // Under openpi's names, translated for training.
    let buffer = EpisodeBuffer::load(&[&Dataset::open(&folder("tiny_v21")).unwrap()], Cameras::Load).unwrap();
    let names: Vec<&str> = buffer.features().map(|(n, _)| n).collect();
    assert_eq!(names, ["action", "observation.images.base", "observation.state"]);
}

#[test]
fn normalisation_statistics_are_exact_over_all_frames() {
    for (name, datasets) in [("tiny_v30_img", 1), ("tiny_v30", 1), ("tiny_v21", 1)] {
        let dataset = Dataset::open(&folder(name)).unwrap();
        let buffers: Vec<EpisodeBuffer> = (0..datasets).map(|_| EpisodeBuffer::load(&[&dataset], Cameras::Skip).unwrap()).collect();
        let mut action = ActionSpec { names: vec!["d".into(); 7], low: vec![-1.0; 7], high: vec![1.0; 7], discrete: vec![false; 7] };
        action.discrete[6] = true;
        let stats = statistics(&buffers.iter().collect::<Vec<_>>(), &action).unwrap();
        let expected = &expected(name)["action_stats"];
        for (key, found) in
            [("q01", &stats.action.q01), ("q99", &stats.action.q99), ("mean", &stats.action.mean), ("std", &stats.action.std)]
        {
            for (f, e) in found.iter().zip(numbers(&expected[key])) {
                assert!((f - e).abs() < 1e-12, "{name} {key}: {f} instead of {e}");
            }
        }
        assert_eq!(stats.action.mask, [true, true, true, true, true, true, false]);
        assert_eq!(stats.num_transitions as usize, dataset.info().total_frames);
        assert_eq!(stats.tasks.len(), dataset.tasks().len());
        let mut short = action.clone();
        short.names.pop();
        let e = statistics(&[&buffers[0]], &short).unwrap_err().to_string();
        assert!(e.contains("7-dimensional") && e.contains("expects 6"), "{e}");
    }
}

#[test]
fn what_is_no_dataset_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let e = Dataset::open(dir.path()).unwrap_err().to_string();
    assert!(e.contains("not a LeRobot dataset") && e.contains("meta/info.json"), "{e}");

    std::fs::create_dir(dir.path().join("meta")).unwrap();
    let info = std::fs::read_to_string(folder("tiny_v21/meta/info.json")).unwrap();
    std::fs::write(dir.path().join("meta/info.json"), info.replace("v2.1", "v1.6")).unwrap();
    let e = Dataset::open(dir.path()).unwrap_err().to_string();
    assert!(e.contains("v1.6") && e.contains("convert"), "{e}");

    let huge = info.replacen("\"shape\": [\n                7", "\"shape\": [\n                7000000000000", 1);
    std::fs::write(dir.path().join("meta/info.json"), huge).unwrap();
    let e = Dataset::open(dir.path()).unwrap_err().to_string();
    assert!(e.contains("impossible shape [7000000000000]"), "{e}");

    std::fs::write(dir.path().join("meta/info.json"), &info[..200]).unwrap();
    let e = Dataset::open(dir.path()).unwrap_err().to_string();
    assert!(e.contains("info.json") && e.contains("line"), "{e}");
}

#[test]
fn a_truncated_data_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for part in [
        "meta/info.json",
        "meta/tasks.jsonl",
        "meta/episodes.jsonl",
        "data/chunk-000/episode_000000.parquet",
        "data/chunk-000/episode_000001.parquet",
    ] {
        let target = dir.path().join(part);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let bytes = std::fs::read(folder("tiny_v21").join(part)).unwrap();
        let keep = if part.ends_with("1.parquet") { bytes.len() / 2 } else { bytes.len() };
        std::fs::write(target, &bytes[..keep]).unwrap();
    }
    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.episode(0).unwrap().len(), 5);
    let e = dataset.episode(1).unwrap_err().to_string();
    assert!(e.contains("episode_000001.parquet") && e.contains("not a readable parquet file"), "{e}");
}
