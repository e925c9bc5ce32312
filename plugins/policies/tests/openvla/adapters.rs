//! Low-rank adaptation: starts as nothing, learns alone, merges on save, continues exactly.

use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, HostServices, Policy, names};
use twinhost_plugin_torch::{TorchPolicy, TorchPolicyAdapter, from_torch};
use twinhost_policies::Openvla;

use super::episodes::{SMALL, demonstrations, joined, observations, policy};

const LORA: &str = "lora: (rank: 4, alpha: 8.0),";

fn digest(policy: Openvla) -> String {
    TorchPolicyAdapter::new(policy, HostServices::standalone(1, 0)).digest().unwrap()
}

/// Log-probabilities of fixed tokens.
fn scores(policy: &mut Openvla) -> Vec<f32> {
    let tokens = (0..24i64).map(|i| 64 + (i * 11) % 256).collect();
    let batch = observations(3).with(names::ACTION_TOKENS, twinhost_plugin_api::Tensor::from_vec(tokens, &[3, 2, 4]));
    from_torch(&policy.evaluate(&batch).unwrap().log_prob).unwrap().as_slice::<f32>().unwrap().to_vec()
}

/// A policy whose adapters have moved.
fn trained() -> Openvla {
    let mut policy = policy(LORA, 5);
    for _ in 0..3 {
        policy.sft_loss(&demonstrations(4)).unwrap().backward();
        let _no_grad = tch::no_grad_guard();
        for parameter in policy.parameters() {
            let (mut tensor, gradient) = (parameter.tensor.shallow_clone(), parameter.tensor.grad());
            if gradient.defined() {
                let _ = tensor.f_sub_(&(gradient * 0.5)).unwrap();
                tensor.zero_grad();
            }
        }
    }
    policy
}

#[test]
fn fresh_adapters_change_nothing() {
    assert_eq!(scores(&mut policy("", 5)), scores(&mut policy(LORA, 5)));
}

#[test]
fn only_adapters_value_head_and_proprio_projector_learn() {
    let mut policy = policy(LORA, 5);
    let seen = observations(2);
    let acted = policy.act(&seen, &ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 1, training: true }).unwrap();
    let evaluated = policy.evaluate(&joined(seen, &acted)).unwrap();
    (evaluated.log_prob.mean(tch::Kind::Float) + evaluated.value.unwrap().mean(tch::Kind::Float)).backward();
    let mut adapted = 0;
    for parameter in policy.parameters() {
        let name = &parameter.name;
        let learns = name.contains("lora_") || name.starts_with("value_head.") || name.starts_with("proprio_projector.");
        assert_eq!(parameter.tensor.requires_grad(), learns, "{name}");
        assert_eq!(parameter.tensor.grad().defined(), learns, "{name}");
        adapted += usize::from(name.ends_with("lora_A.weight"));
    }
    // 4 linear layers in the one block of either vision transformer that runs, 3 in the projector, 7 in either decoder layer.
    assert_eq!(adapted, 2 * 4 + 3 + 2 * 7);
}

#[test]
fn a_saved_folder_holds_the_merged_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mut adapted = trained();
    adapted.save(folder.path()).unwrap();
    let mut plain = Openvla::new(ComponentConfig::new(SMALL).parse().unwrap(), HostServices::standalone(1, 8)).unwrap();
    plain.load(folder.path()).unwrap();
    let (merged, separate, untrained) = (scores(&mut plain), scores(&mut adapted), scores(&mut policy("", 5)));
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(distance(&merged, &separate) < 1e-4, "{}", distance(&merged, &separate));
    assert!(distance(&untrained, &separate) > 1e-2, "training moved nothing: {}", distance(&untrained, &separate));
}

#[test]
fn training_continues_from_the_very_same_adapters() {
    let folder = tempfile::tempdir().unwrap();
    let mut original = trained();
    original.save(folder.path()).unwrap();
    let mut resumed = policy(LORA, 9);
    resumed.load(folder.path()).unwrap();
    assert_eq!(scores(&mut original), scores(&mut resumed));
    assert_eq!(digest(original), digest(resumed));
    let tensors = tch::Tensor::read_safetensors(folder.path().join("adapter_model.safetensors")).unwrap();
    let peft = "base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight";
    assert!(tensors.iter().any(|(name, tensor)| name == peft && tensor.size() == [4, 32]));
    // A later save without adapters leaves none behind.
    policy("", 5).save(folder.path()).unwrap();
    assert!(!folder.path().join("adapter_config.json").exists());
}

#[test]
fn adapters_start_on_top_of_a_plain_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    policy("", 7).save(folder.path()).unwrap();
    let mut adapted = policy(LORA, 5);
    adapted.load(folder.path()).unwrap();
    assert_eq!(scores(&mut adapted), scores(&mut policy("", 7)));
}

#[test]
fn damaged_adapters_are_named() {
    let folder = tempfile::tempdir().unwrap();
    trained().save(folder.path()).unwrap();
    let e = policy("lora: (rank: 2, alpha: 8.0),", 5).load(folder.path()).unwrap_err().to_string();
    assert!(e.contains("adapter_model.safetensors") && e.contains("[4, ") && e.contains("[2, "), "{e}");
    std::fs::remove_file(folder.path().join("adapter_base.safetensors")).unwrap();
    let e = policy(LORA, 5).load(folder.path()).unwrap_err().to_string();
    assert!(e.contains("adapter_base.safetensors"), "{e}");
}
