//! Folders: what is saved comes back, and what is damaged is named.

use std::path::Path;
use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, HostServices, Policy, names};
use twinhost_plugin_torch::{TorchPolicy, TorchPolicyAdapter};
use twinhost_policies::Openvla;
use twinhost_policies::openvla::architecture::Architecture;
use twinhost_policies::openvla::checkpoint::read_description;
use twinhost_policies::openvla::config::{OpenvlaConfig, Preset};
use twinhost_policies::openvla::storage::{TensorFiles, write_tensors};

use super::episodes::{SMALL, observations, policy, statistics};

fn fresh(seed: u64) -> Openvla {
    Openvla::new(ComponentConfig::new(SMALL).parse().unwrap(), HostServices::standalone(1, seed)).unwrap()
}

fn digest(policy: Openvla) -> String {
    TorchPolicyAdapter::new(policy, HostServices::standalone(1, 0)).digest().unwrap()
}

fn saved() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    policy("", 7).save(folder.path()).unwrap();
    folder
}

#[test]
fn weights_depend_on_the_seed_alone() {
    assert_eq!(digest(fresh(7)), digest(policy("", 7)));
    assert_ne!(digest(fresh(7)), digest(fresh(8)));
}

#[test]
fn a_saved_policy_comes_back_and_acts_the_same() {
    let folder = saved();
    let mut original = policy("", 7);
    let mut loaded = fresh(8);
    loaded.load(folder.path()).unwrap();
    let greedy = ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false };
    let (a, b) = (original.act(&observations(3), &greedy).unwrap(), loaded.act(&observations(3), &greedy).unwrap());
    assert_eq!(a.slice::<f32>(names::ACTION).unwrap(), b.slice::<f32>(names::ACTION).unwrap());
    assert_eq!(digest(original), digest(loaded));
    let left: Vec<String> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.contains("partial")), "{left:?}");
    for name in ["config.json", "dataset_statistics.json", "model.safetensors", "tokenizer.json"] {
        assert!(left.iter().any(|l| l == name), "{name} is missing in {left:?}");
    }
}

#[test]
fn a_checkpoint_can_be_the_starting_point() {
    let folder = saved();
    let config = SMALL.replacen('(', &format!("(checkpoint: {:?}, ", folder.path().to_str().unwrap()), 1);
    let started = Openvla::new(ComponentConfig::new(&config).parse().unwrap(), HostServices::standalone(1, 1)).unwrap();
    assert_eq!(digest(started), digest(policy("", 7)));
}

#[test]
fn parameters_handed_out_stay_the_policys() {
    let folder = saved();
    let mut target = fresh(8);
    let held = target.parameters();
    target.load(folder.path()).unwrap();
    for (before, after) in held.iter().zip(target.parameters()) {
        assert_eq!(before.tensor.data_ptr(), after.tensor.data_ptr(), "{}", before.name);
    }
}

/// Damages a saved folder and expects an error that names every part, and weights that stayed as they were.
fn check_damage(damage: impl FnOnce(&Path), parts: &[&str]) {
    let folder = saved();
    damage(folder.path());
    let mut target = fresh(8);
    let e = target.load(folder.path()).unwrap_err().to_string();
    assert!(parts.iter().all(|part| e.contains(part)), "{e}");
    assert_eq!(digest(target), digest(fresh(8)), "a failed load changed the weights");
}

fn rewrite(folder: &Path, change: impl FnOnce(&mut Vec<(String, tch::Tensor)>)) {
    let mut tensors = tch::Tensor::read_safetensors(folder.join("model.safetensors")).unwrap();
    change(&mut tensors);
    write_tensors(folder, "model", tensors, usize::MAX).unwrap();
}

#[test]
fn damaged_weights_are_named() {
    let truncate = |keep: f64| {
        move |folder: &Path| {
            let path = folder.join("model.safetensors");
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(path, &bytes[..(bytes.len() as f64 * keep) as usize]).unwrap();
        }
    };
    check_damage(truncate(0.9), &["model.safetensors", "truncated"]);
    check_damage(truncate(0.01), &["model.safetensors", "truncated"]);
    check_damage(truncate(0.0), &["model.safetensors", "truncated"]);
    check_damage(
        |f| std::fs::write(f.join("model.safetensors"), "<html>not found</html>").unwrap(),
        &["model.safetensors", "not a safetensors"],
    );
    check_damage(|f| std::fs::remove_file(f.join("model.safetensors")).unwrap(), &["model.safetensors"]);
    check_damage(
        |f| rewrite(f, |t| t.retain(|(name, _)| name != "projector.fc2.weight")),
        &["model.safetensors", "`projector.fc2.weight`", "missing"],
    );
    check_damage(
        |f| rewrite(f, |t| t.push(("extra.weight".into(), tch::Tensor::from(1f32).view([1])))),
        &["model.safetensors", "`extra.weight`"],
    );
    check_damage(
        |f| rewrite(f, |t| t.iter_mut().filter(|(name, _)| name == "projector.fc3.bias").for_each(|(_, t)| *t = t.narrow(0, 0, 5))),
        &["model.safetensors", "`projector.fc3.bias`", "[5]", "[32]"],
    );
}

#[test]
fn damaged_descriptions_are_named() {
    let replace = |file: &'static str, from: &'static str, to: &'static str| {
        move |folder: &Path| {
            let path = folder.join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    check_damage(|f| std::fs::remove_file(f.join("config.json")).unwrap(), &["config.json"]);
    check_damage(|f| std::fs::write(f.join("config.json"), "{\"model").unwrap(), &["config.json", "JSON"]);
    check_damage(
        replace("config.json", "\"register_tokens\": 4", "\"register_tokens\": 3"),
        &["config.json", "`register_tokens`", "4", "3"],
    );
    check_damage(replace("dataset_statistics.json", "\"q01\"", "\"q02\""), &["dataset_statistics.json", "q01"]);
    check_damage(|f| std::fs::remove_file(f.join("tokenizer.json")).unwrap(), &["tokenizer.json"]);
    check_damage(|f| std::fs::write(f.join("tokenizer.json"), "{}").unwrap(), &["tokenizer.json"]);
}

#[test]
fn statistics_of_several_datasets_need_a_key() {
    let folder = saved();
    let path = folder.path().join("dataset_statistics.json");
    let mut all: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    all["bridge_orig"] = all["twinhost"].clone();
    std::fs::write(&path, all.to_string()).unwrap();
    let e = fresh(8).load(folder.path()).unwrap_err().to_string();
    assert!(e.contains("statistics_key") && e.contains("`bridge_orig`") && e.contains("`twinhost`"), "{e}");
    let config = SMALL.replacen('(', "(statistics_key: \"bridge_orig\", ", 1);
    let mut keyed = Openvla::new(ComponentConfig::new(&config).parse().unwrap(), HostServices::standalone(1, 8)).unwrap();
    keyed.load(folder.path()).unwrap();
}

#[test]
fn a_public_checkpoint_without_a_value_head_gets_a_fresh_one() {
    let folder = saved();
    rewrite(folder.path(), |t| t.retain(|(name, _)| !name.starts_with("value_head.")));
    let mut target = fresh(8);
    target.load(folder.path()).unwrap();
    let find = |policy: &Openvla, name: &str| policy.parameters().into_iter().find(|p| p.name == name).unwrap().tensor;
    assert!(find(&target, "value_head.mlp.0.weight").equal(&find(&fresh(8), "value_head.mlp.0.weight")));
    assert!(find(&target, "projector.fc1.weight").equal(&find(&policy("", 7), "projector.fc1.weight")));
    // Half a value head is a damaged file.
    let folder = saved();
    rewrite(folder.path(), |t| t.retain(|(name, _)| name != "value_head.mlp.2.bias"));
    assert!(fresh(8).load(folder.path()).unwrap_err().to_string().contains("`value_head.mlp.2.bias`"));
}

#[test]
fn shards_are_read_through_their_index() {
    let folder = saved();
    let tensors = tch::Tensor::read_safetensors(folder.path().join("model.safetensors")).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    write_tensors(folder.path(), "model", tensors, 40_000).unwrap();
    let files = TensorFiles::open(folder.path(), "model").unwrap();
    assert!(files.file_of("projector.fc1.weight").contains("-of-"), "{}", files.file_of("projector.fc1.weight"));
    let mut loaded = fresh(8);
    loaded.load(folder.path()).unwrap();
    assert_eq!(digest(loaded), digest(fresh(7)));

    let shard = files.file_of("projector.fc1.weight");
    std::fs::remove_file(&shard).unwrap();
    let e = fresh(8).load(folder.path()).unwrap_err().to_string();
    assert!(e.contains(&shard), "{e}");
    // A later save into one file is not overshadowed by the old index.
    policy("", 9).save(folder.path()).unwrap();
    let mut loaded = fresh(8);
    loaded.load(folder.path()).unwrap();
    assert_eq!(digest(loaded), digest(fresh(9)));
}

/// `config.json` as `openvla/openvla-7b` has it, its statistics cut down to two datasets.
fn published_config() -> serde_json::Value {
    let columns = serde_json::json!({"mean": [0.0, 0.0], "std": [1.0, 1.0], "min": [-1.0, 0.0], "max": [1.0, 1.0], "q01": [-0.5, 0.0], "q99": [0.5, 1.0]});
    let mut action = columns.clone();
    action["mask"] = serde_json::json!([true, false]);
    let dataset = serde_json::json!({"action": action, "proprio": columns, "num_transitions": 10, "num_trajectories": 2});
    serde_json::json!({
        "model_type": "openvla", "arch_specifier": "no-align+fused-gelu-mlp", "architectures": ["OpenVLAForActionPrediction"],
        "timm_model_ids": ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"],
        "image_sizes": [224, 224], "pad_token_id": 32000, "pad_to_multiple_of": 64, "n_action_bins": 256,
        "text_config": {"model_type": "llama", "pad_token_id": 32000, "torch_dtype": "bfloat16", "vocab_size": 32064},
        "norm_stats": {"bridge_orig": dataset, "fractal20220817_data": dataset},
    })
}

#[test]
fn the_published_description_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, published_config().to_string()).unwrap();
    let keyed = OpenvlaConfig { preset: Preset::Openvla7b, statistics_key: Some("bridge_orig".into()), ..OpenvlaConfig::default() };
    let description = read_description(folder.path(), &keyed).unwrap();
    assert_eq!(description.architecture, Architecture::openvla_7b());
    let (key, entry) = description.statistics.unwrap();
    assert_eq!((key.as_str(), entry.action.mask), ("bridge_orig", Some(vec![true, false])));
    let no_key = OpenvlaConfig { statistics_key: None, ..keyed.clone() };
    let e = read_description(folder.path(), &no_key).err().unwrap().to_string();
    assert!(e.contains("statistics_key") && e.contains("`fractal20220817_data`"), "{e}");

    let mut other = published_config();
    other["timm_model_ids"] = serde_json::json!(["vit_huge"]);
    std::fs::write(&path, other.to_string()).unwrap();
    let e = read_description(folder.path(), &keyed).err().unwrap().to_string();
    assert!(e.contains("config.json") && e.contains("vit_huge"), "{e}");
}

#[test]
fn a_policy_without_statistics_says_what_it_needs() {
    let e = fresh(1)
        .act(&observations(1), &ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false })
        .unwrap_err()
        .to_string();
    assert!(e.contains("statistics"), "{e}");
    let e = fresh(1).set_statistics(&statistics(2, 4)).unwrap_err().to_string();
    assert!(e.contains("observation.state") && e.contains('2') && e.contains('3'), "{e}");
}

#[test]
fn a_checkpoint_without_a_tokeniser_or_data_still_keeps_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    fresh(7).save(folder.path()).unwrap();
    let mut loaded = fresh(8);
    loaded.load(folder.path()).unwrap();
    assert_eq!(digest(loaded), digest(fresh(7)));
}

#[test]
fn configurations_are_checked_field_by_field() {
    let check = |config: &str, field: &str| {
        let parsed = ComponentConfig::new(config).parse();
        let e = match parsed {
            Ok(config) => Openvla::new(config, HostServices::standalone(1, 0)).err().expect(field),
            Err(e) => e,
        };
        assert!(e.to_string().contains(field), "{e}");
    };
    check("(chunk: 0)", "chunk");
    check("(chunk: 40)", "placeholder: Zero");
    check("(chnuk: 4)", "chunk");
    check("(temperature: NaN)", "temperature");
    check("(cameras: [])", "cameras");
    check("(cameras: [\"a\", \"a\"])", "cameras[1]");
    check("(lora: (rank: 4, alpha: NaN))", "lora.alpha");
    check("(lora: (rank: 0, alpha: 1.0))", "lora.rank");
    check("(checkpoint: \"no/such/folder\")", "no/such/folder");
    check("(dino: (width: 30, depth: 3, heads: 4, mlp: 8))", "dino.heads");
}
