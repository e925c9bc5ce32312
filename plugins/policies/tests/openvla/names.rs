//! Parameter names and shapes against lists made from the published models.

use std::path::Path;
use twinhost_policies::openvla::architecture::Architecture;
use twinhost_policies::openvla::layout::layout;

fn check(list: &str, architecture: &Architecture) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(list)).unwrap();
    let mut expected: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut found: Vec<String> = layout(architecture).iter().map(|entry| format!("{} {:?}", entry.name, entry.shape)).collect();
    expected.sort_unstable();
    found.sort_unstable();
    let missing: Vec<_> = expected.iter().filter(|line| !found.iter().any(|f| f == *line)).take(3).collect();
    let unexpected: Vec<_> = found.iter().filter(|line| !expected.contains(&line.as_str())).take(3).collect();
    assert!(missing.is_empty() && unexpected.is_empty(), "{list}: missing {missing:?}, unexpected {unexpected:?}");
    assert_eq!(found.len(), expected.len());
    let total: i64 = layout(architecture).iter().map(|entry| entry.shape.iter().product::<i64>()).sum();
    if let Some(line) = text.lines().find(|line| line.starts_with("# total parameters")) {
        assert!(line.ends_with(&format!(" {total}")), "{line}, found {total}");
    }
}

#[test]
fn the_7b_preset_is_the_published_model() {
    check("openvla_7b_param_names.txt", &Architecture::openvla_7b());
}

#[test]
fn the_recorded_network_has_its_names_too() {
    check("openvla_tiny_param_names.txt", &super::parity::recorded_architecture());
}

#[test]
fn sizes_that_do_not_fit_are_refused_with_their_field() {
    let check = |change: fn(&mut Architecture), field: &str| {
        let mut sizes = Architecture::tiny();
        change(&mut sizes);
        let e = sizes.validate().unwrap_err();
        assert_eq!(e.field.as_ref().map(|f| f.as_str()).unwrap_or(""), field, "{e}");
    };
    check(|s| s.patch_size = 7, "patch_size");
    check(|s| s.image_size = 0, "image_size");
    check(|s| s.dino.depth = 1, "dino.depth");
    check(|s| s.siglip.heads = 5, "siglip.heads");
    check(|s| s.language.heads = 3, "language.heads");
    check(|s| s.language.rms_norm_eps = f64::NAN, "language.rms_norm_eps");
    check(|s| s.language.rope_theta = f64::INFINITY, "language.rope_theta");
    check(|s| s.real_vocab = 256, "real_vocab");
}
