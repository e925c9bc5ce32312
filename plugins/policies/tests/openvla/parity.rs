//! Every stage against what timm's vision transformers and transformers' Llama computed from the same weights (`openvla_tiny`).

use std::path::Path;
use tch::{Kind, Tensor};
use twinhost_plugin_api::HostServices;
use twinhost_policies::Openvla;
use twinhost_policies::openvla::architecture::{Architecture, LanguageSize, VisionSize};
use twinhost_policies::openvla::checkpoint::{Description, write_description};
use twinhost_policies::openvla::config::{OpenvlaConfig, Placeholder};
use twinhost_policies::openvla::image::Patches;
use twinhost_policies::openvla::llama::Attention;
use twinhost_policies::openvla::network::{Input, Prefix};
use twinhost_policies::openvla::sampling::score;

const TEMPERATURE: f32 = 1.6;
const FIRST_ACTION: i64 = 192;

/// Sizes of the recorded network (`openvla_tiny.json` beside the recording).
pub fn recorded_architecture() -> Architecture {
    Architecture {
        image_size: 56,
        patch_size: 14,
        dino: VisionSize { width: 32, depth: 3, heads: 4, mlp: 128 },
        siglip: VisionSize { width: 48, depth: 3, heads: 4, mlp: 179 },
        register_tokens: 4,
        language: LanguageSize { hidden: 64, intermediate: 160, layers: 2, heads: 4, rms_norm_eps: 1e-6, rope_theta: 1e4 },
        real_vocab: 448,
        vocab_multiple: 64,
        value_head: Some([24, 12]),
        proprio: None,
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

struct Recording {
    policy: Openvla,
    tensors: Vec<(String, Tensor)>,
}

impl Recording {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(fixture("openvla_tiny.safetensors"), folder.path().join("model.safetensors")).unwrap();
        let description = Description { architecture: recorded_architecture(), statistics: None, prompt_width: 0 };
        write_description(folder.path(), &description).unwrap();
        let config = OpenvlaConfig { checkpoint: Some(folder.path().into()), ..OpenvlaConfig::default() };
        let policy = Openvla::new(config, HostServices::standalone(1, 0)).unwrap();
        Self { policy, tensors: Tensor::read_safetensors(fixture("openvla_tiny_io.safetensors")).unwrap() }
    }

    fn get(&self, name: &str) -> Tensor {
        self.tensors
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, t)| t.shallow_clone())
            .unwrap_or_else(|| panic!("no `{name}` in the recording"))
    }

    fn prefix(&self) -> Prefix {
        let valid = self.get("attention_mask").to_kind(Kind::Bool);
        let patches = Patches::from_pixel_values(&self.get("pixel_values"), 14);
        self.policy.network().prefix(&Input { cameras: vec![patches], ids: self.get("input_ids"), valid: Some(valid), state: None })
    }

    /// max |a - b| / max |b| below 1e-5, the bound per stage.
    fn check(&self, name: &str, found: &Tensor) {
        let expected = self.get(name);
        assert_eq!(found.size(), expected.size(), "{name}");
        let error = ((found - &expected).abs().max() / expected.abs().max()).double_value(&[]);
        println!("{name}: {error:.1e}");
        assert!(error < 1e-5, "{name}: relative error {error:e}");
    }

    fn check_exact(&self, name: &str, found: &Tensor) {
        assert!(found.equal(&self.get(name)), "{name}: found {found}, recorded {}", self.get(name));
    }
}

#[test]
fn vision_and_projector() {
    let _no_grad = tch::no_grad_guard();
    let recording = Recording::open();
    let patches = Patches::from_pixel_values(&recording.get("pixel_values"), 14);
    let stages = recording.policy.network().vision.forward(&patches.dino, &patches.siglip);
    recording.check("dino_feats", &stages.dino);
    recording.check("siglip_feats", &stages.siglip);
    recording.check("patch_embeds", &stages.projected);
}

#[test]
fn multimodal_sequence_with_a_padded_row() {
    let _no_grad = tch::no_grad_guard();
    let recording = Recording::open();
    let prefix = recording.prefix();
    recording.check("mm_embeds", &prefix.embeddings);
    recording.check_exact("mm_mask", &prefix.valid.as_ref().unwrap().to_kind(Kind::Int64));
    recording.check_exact("mm_position_ids", &prefix.positions);
}

#[test]
fn causal_decoder_and_value_head() {
    let _no_grad = tch::no_grad_guard();
    let recording = Recording::open();
    let prefix = recording.prefix();
    let network = recording.policy.network();
    let attention = Attention::causal(prefix.valid.as_ref(), 25, tch::Device::Cpu);
    let hidden = network.language.forward(prefix.embeddings.shallow_clone(), &prefix.positions, &attention, None, 0, 25);
    recording.check("last_hidden", &hidden);
    recording.check("logits", &network.language.logits(&hidden));
    recording.check("value", &network.value(&hidden.select(1, 24)).unwrap());
    // Only the last position asked for: the shortcut of the last layer changes nothing.
    let last = network.language.forward(prefix.embeddings, &prefix.positions, &attention, None, 24, 1);
    assert!(last.allclose(&hidden.narrow(1, 24, 1), 1e-5, 1e-6, false));
}

#[test]
fn autoregressive_decoding_with_a_cache_equals_teacher_forcing() {
    let _no_grad = tch::no_grad_guard();
    let recording = Recording::open();
    let prefix = recording.prefix();
    let network = recording.policy.network();
    let (hidden, tokens) = network.autoregressive(&prefix, 7, |hidden| network.action_logits(hidden).argmax(-1, false) + FIRST_ACTION);
    recording.check_exact("action_tokens", &tokens);
    recording.check("step_logits", &network.language.logits(&hidden));

    let forced = network.teacher_forced(&prefix, &tokens.narrow(1, 0, 6));
    recording.check("step_logits", &network.language.logits(&forced));
    let (log_prob, entropy) = score(&network.action_logits(&forced), &(tokens - FIRST_ACTION), TEMPERATURE);
    recording.check("tf_logprobs", &log_prob);
    recording.check("tf_entropy", &entropy);
}

#[test]
fn parallel_decoding_as_openvla_oft_does_it() {
    let _no_grad = tch::no_grad_guard();
    let recording = Recording::open();
    let network = recording.policy.network();
    let hidden = network.parallel(&recording.prefix(), 14, Placeholder::Zero);
    recording.check("oft_logits", &network.language.logits(&hidden));
    recording.check("oft_value", &network.value(&hidden.select(1, 0)).unwrap());
    let logits = network.action_logits(&hidden);
    let tokens = logits.argmax(-1, false) + FIRST_ACTION;
    recording.check_exact("oft_tokens", &tokens.view([2, 2, 7]));
    let (log_prob, _) = score(&logits, &(tokens - FIRST_ACTION), TEMPERATURE);
    recording.check("oft_logprobs", &log_prob);
}
