//! Small episodes with recognisable numbers.

use std::collections::BTreeMap;
use twinhost::data::{Episode, FeatureEntry, Info};
use twinhost_plugin_api::Tensor;

pub fn info() -> Info {
    let labels = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let features = BTreeMap::from([
        ("observation.state".to_string(), FeatureEntry::new("float32", &[3], &labels(&["x", "y", "z"]))),
        ("observation.images.base".to_string(), FeatureEntry::new("image", &[4, 6, 3], &labels(&["height", "width", "channels"]))),
        ("privileged.eef_pose".to_string(), FeatureEntry::new("float64", &[4, 4], &[])),
        ("action".to_string(), FeatureEntry::new("float32", &[2], &[])),
        ("next.reward".to_string(), FeatureEntry::new("float32", &[1], &[])),
        ("next.done".to_string(), FeatureEntry::new("bool", &[1], &[])),
        ("next.success".to_string(), FeatureEntry::new("bool", &[1], &[])),
    ]);
    Info::new(10.0, "test-arm", features).unwrap()
}

/// Frame t of episode e has state `[e, t, e + t/10]` and action `[100 e + t, -t]`.
pub fn episode(e: usize, frames: usize, task: &str) -> Episode {
    let per_frame =
        |width: usize, f: &dyn Fn(usize, usize) -> f32| -> Vec<f32> { (0..frames * width).map(|i| f(i / width, i % width)).collect() };
    let state = per_frame(3, &|t, d| [e as f32, t as f32, e as f32 + t as f32 / 10.0][d]);
    let action = per_frame(2, &|t, d| [(100 * e + t) as f32, -(t as f32)][d]);
    let pixels = (0..frames * 72).map(|i| (i * 31 + e * 17) as u8).collect();
    let poses = (0..frames * 16).map(|i| i as f64 + 0.125).collect();
    let last = |t: usize| t + 1 == frames;
    Episode {
        task: task.into(),
        seed: u64::MAX - e as u64,
        columns: BTreeMap::from([
            ("observation.state".into(), Tensor::from_vec(state, &[frames, 3])),
            ("observation.images.base".into(), Tensor::from_vec(pixels, &[frames, 4, 6, 3])),
            ("privileged.eef_pose".into(), Tensor::from_vec(poses, &[frames, 4, 4])),
            ("action".into(), Tensor::from_vec(action, &[frames, 2])),
            ("next.reward".into(), Tensor::from_vec((0..frames).map(|t| f32::from(u8::from(last(t)))).collect(), &[frames, 1])),
            ("next.done".into(), Tensor::from_vec((0..frames).map(last).collect(), &[frames])),
            ("next.success".into(), Tensor::from_vec((0..frames).map(last).collect(), &[frames, 1])),
        ]),
    }
}

pub fn assert_same(found: &Episode, expected: &Episode) {
    assert_eq!(found.task, expected.task);
    assert_eq!(found.seed, expected.seed);
    assert_eq!(found.columns.keys().collect::<Vec<_>>(), expected.columns.keys().collect::<Vec<_>>());
    for (name, tensor) in &expected.columns {
        assert_eq!(found.columns[name].dtype(), tensor.dtype(), "{name}");
        assert_eq!(found.columns[name].bytes().unwrap(), tensor.bytes().unwrap(), "{name}");
    }
}
