//! A checkpoint folder in the public layout.
//!
//! `config.json`, `model.safetensors` or shards with `model.safetensors.index.json`, `tokenizer.json`, `dataset_statistics.json` (or
//! `norm_stats` inside `config.json`). Nothing in the policy changes before every file was found to fit.

use serde_json::{Value, json};
use std::path::Path;
use twinhost_plugin_api::{Error, Result};

use super::architecture::{Architecture, LanguageSize};
use super::config::OpenvlaConfig;
use super::statistics::{StatisticsEntry, choose};
use super::storage::write_atomically;

/// Where this host keeps what the public `config.json` has no field for.
const EXTENSION: &str = "twinhost";
const DINO_7B: &str = "vit_large_patch14_reg4_dinov2.lvd142m";
const SIGLIP_7B: &str = "vit_so400m_patch14_siglip_224";
const CONFIG: &str = "config.json";
const STATISTICS: &str = "dataset_statistics.json";

/// Everything of a checkpoint but its weights and tokeniser.
pub struct Description {
    pub architecture: Architecture,
    /// Key and statistics of the dataset whose actions the policy produces.
    pub statistics: Option<(String, StatisticsEntry)>,
    /// Tokens to which prompts are padded at least.
    pub prompt_width: usize,
}

/// Reads `config.json` and the statistics.
///
/// # Errors
/// If a file is missing or malformed, the architecture is unknown, or the statistics' key is ambiguous.
pub fn read_description(folder: &Path, config: &OpenvlaConfig) -> Result<Description> {
    let path = folder.join(CONFIG);
    let public = read_json(&path)?;
    let (architecture, prompt_width) = match public.get(EXTENSION) {
        Some(extension) => {
            let sizes = extension.get("architecture").cloned().unwrap_or(Value::Null);
            let sizes =
                serde_json::from_value(sizes).map_err(|e| Error::input(format!("{}: {EXTENSION}.architecture: {e}", path.display())))?;
            (sizes, extension.get("prompt_width").and_then(Value::as_u64).unwrap_or(0) as usize)
        }
        None => (public_architecture(&public, config).map_err(|e| e.context(path.display().to_string()))?, 0),
    };
    let separate = folder.join(STATISTICS);
    let (source, all) = if separate.exists() {
        (separate.clone(), read_json(&separate)?)
    } else {
        (path, public.get("norm_stats").cloned().unwrap_or(json!({})))
    };
    let statistics = choose(all, config.statistics_key.as_deref()).map_err(|e| e.context(source.display().to_string()))?;
    Ok(Description { architecture, statistics, prompt_width })
}

/// Writes `config.json` and `dataset_statistics.json`.
///
/// # Errors
/// If writing fails.
pub fn write_description(folder: &Path, description: &Description) -> Result<()> {
    let sizes = &description.architecture;
    let statistics = match &description.statistics {
        Some((key, entry)) => json!({ key.as_str(): entry }),
        None => json!({}),
    };
    let LanguageSize { hidden, intermediate, layers, heads, rms_norm_eps, rope_theta } = sizes.language;
    let published = *sizes == Architecture { value_head: sizes.value_head, proprio: sizes.proprio, ..Architecture::openvla_7b() };
    let models = if published { json!([DINO_7B, SIGLIP_7B]) } else { json!(["dinov2_reg", "siglip"]) };
    let public = json!({
        "model_type": "openvla",
        "architectures": ["OpenVLAForActionPrediction"],
        "arch_specifier": "no-align+fused-gelu-mlp",
        "vision_backbone_id": if published { "dinosiglip-vit-so-224px" } else { "dinosiglip" },
        "llm_backbone_id": if published { "llama2-7b-pure" } else { "llama" },
        "use_fused_vision_backbone": true,
        "timm_model_ids": models,
        "timm_override_act_layers": [null, null],
        "image_sizes": [sizes.image_size, sizes.image_size],
        "image_resize_strategy": "resize-naive",
        "llm_max_length": 2048,
        "pad_token_id": sizes.pad_token(),
        "pad_to_multiple_of": sizes.vocab_multiple,
        "n_action_bins": super::architecture::ACTION_BINS,
        "output_projector_states": false,
        "text_config": {
            "model_type": "llama", "torch_dtype": "float32", "pad_token_id": sizes.pad_token(), "vocab_size": sizes.vocab_rows(),
            "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": heads, "rms_norm_eps": rms_norm_eps, "rope_theta": rope_theta,
        },
        "norm_stats": statistics,
        EXTENSION: { "architecture": sizes, "prompt_width": description.prompt_width },
    });
    write_json(&folder.join(CONFIG), &public)?;
    write_json(&folder.join(STATISTICS), &statistics)
}

/// The sizes of a `config.json` without our extension: only the published vision models are known by name.
fn public_architecture(public: &Value, config: &OpenvlaConfig) -> Result<Architecture> {
    if public.get("model_type").and_then(Value::as_str) != Some("openvla") {
        return Err(Error::input(format!("`model_type` is {}, expected \"openvla\"", public.get("model_type").unwrap_or(&Value::Null))));
    }
    let models = public.get("timm_model_ids").cloned().unwrap_or(Value::Null);
    if models != json!([DINO_7B, SIGLIP_7B]) {
        return Err(Error::input(format!("`timm_model_ids` is {models}; this policy knows the sizes of [\"{DINO_7B}\", \"{SIGLIP_7B}\"]")));
    }
    let text = public.get("text_config").cloned().unwrap_or(json!({}));
    let mut sizes = Architecture::openvla_7b();
    let integer = |name: &str, default: i64| text.get(name).and_then(Value::as_i64).unwrap_or(default);
    let number = |name: &str, default: f64| text.get(name).and_then(Value::as_f64).unwrap_or(default);
    let language = sizes.language;
    sizes.language = LanguageSize {
        hidden: integer("hidden_size", language.hidden),
        intermediate: integer("intermediate_size", language.intermediate),
        layers: integer("num_hidden_layers", language.layers),
        heads: integer("num_attention_heads", language.heads),
        rms_norm_eps: number("rms_norm_eps", language.rms_norm_eps),
        rope_theta: number("rope_theta", language.rope_theta),
    };
    sizes.real_vocab = public.get("pad_token_id").and_then(Value::as_i64).unwrap_or(sizes.real_vocab);
    // A published checkpoint has neither; a configuration that asks for them gets fresh ones.
    let asked = config.architecture()?;
    sizes.value_head = asked.value_head;
    sizes.proprio = asked.proprio;
    sizes.validate()?;
    Ok(sizes)
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
    serde_json::from_slice(&text).map_err(|e| Error::input(format!("{}: not valid JSON: {e}", path.display())))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::internal(e.to_string()))?;
    write_atomically(path, |temporary| std::fs::write(temporary, text))
}
