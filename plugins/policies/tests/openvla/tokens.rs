//! Action tokens and normalisation against the recording, and at their edges.

use std::path::Path;
use tch::Tensor;
use twinhost_plugin_api::FeatureStatistics;
use twinhost_policies::openvla::actions::{ActionBins, Normaliser};

const REAL_VOCAB: i64 = 448;

struct Recording(Vec<(String, Tensor)>);

impl Recording {
    fn open() -> Self {
        Self(Tensor::read_safetensors(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openvla_tiny_io.safetensors")).unwrap())
    }
    fn tensor(&self, name: &str) -> Tensor {
        self.0.iter().find(|(n, _)| n == name).map(|(_, t)| t.flatten(0, -1)).unwrap()
    }
    fn numbers(&self, name: &str) -> Vec<f64> {
        Vec::try_from(self.tensor(name)).unwrap()
    }
    fn ids(&self, name: &str) -> Vec<i64> {
        Vec::try_from(self.tensor(name)).unwrap()
    }
    fn normaliser(&self) -> Normaliser {
        let (q01, q99) = (self.numbers("q01"), self.numbers("q99"));
        let mask: Vec<bool> = Vec::try_from(self.tensor("norm_mask")).unwrap();
        let statistics = FeatureStatistics { mean: vec![0.0; 7], std: vec![1.0; 7], min: vec![-1.0; 7], max: vec![1.0; 7], q01, q99, mask };
        Normaliser::new(&statistics, 7, "action").unwrap()
    }
}

#[test]
fn probes_become_the_recorded_tokens() {
    let recording = Recording::open();
    let bins = ActionBins::new(REAL_VOCAB);
    let found: Vec<i64> = recording.numbers("tok_probe").into_iter().map(|x| bins.encode(x)).collect();
    assert_eq!(found, recording.ids("tok_probe_ids"));
}

#[test]
fn tokens_become_the_recorded_actions() {
    let recording = Recording::open();
    let (bins, normaliser) = (ActionBins::new(REAL_VOCAB), recording.normaliser());
    let (normalised, actions) = (recording.numbers("norm_actions"), recording.numbers("actions"));
    for (i, token) in recording.ids("action_tokens").into_iter().enumerate() {
        let centre = bins.decode(token);
        assert!((centre - normalised[i]).abs() < 1e-12, "token {token}: {centre} is not {}", normalised[i]);
        let action = normaliser.unnormalise(i % 7, centre);
        assert!((action - actions[i]).abs() < 1e-12, "dimension {i}: {action} is not {}", actions[i]);
    }
}

#[test]
fn normalising_inverts_unnormalising_inside_the_range() {
    let normaliser = Recording::open().normaliser();
    for i in 0..7 {
        for x in [-0.9, -0.1, 0.0, 0.5, 1.0] {
            let back = normaliser.normalise(i, normaliser.unnormalise(i, x));
            // The epsilon of 1e-8 in the divisor costs up to 2 * 1e-8 / 0.03 on the narrowest range.
            assert!((back - x).abs() < 1e-6, "dimension {i}: {x} came back as {back}");
        }
    }
    assert_eq!(normaliser.normalise(0, 55.0), 1.0);
    assert_eq!(normaliser.normalise(6, 55.0), 55.0, "a masked dimension passes unchanged");
}

#[test]
fn every_token_decodes_into_its_own_bin() {
    let bins = ActionBins::new(REAL_VOCAB);
    for token in 193..REAL_VOCAB {
        assert_eq!(bins.encode(bins.decode(token)), token);
    }
    // 255 centres for 256 tokens: the lowest id shares its neighbour's.
    assert_eq!(bins.decode(192), bins.decode(193));
}

#[test]
fn statistics_of_the_wrong_size_are_refused() {
    let mut statistics = super::episodes::feature(3);
    statistics.q99.pop();
    let e = Normaliser::new(&statistics, 3, "action").unwrap_err().to_string();
    assert!(e.contains("`action`") && e.contains("`q99`") && e.contains('2') && e.contains('3'), "{e}");
    let mut statistics = super::episodes::feature(3);
    statistics.q01[1] = f64::NAN;
    let e = Normaliser::new(&statistics, 3, "action").unwrap_err().to_string();
    assert!(e.contains("dimension 1"), "{e}");
}
