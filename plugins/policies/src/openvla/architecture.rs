//! Sizes of an OpenVLA network: the published 7B ones, and a small preset that two CPU cores train from scratch.

use serde::{Deserialize, Serialize};
use twinhost_plugin_api::{Error, Result};

/// Number of bins (and token ids) of one action dimension.
pub const ACTION_BINS: i64 = 256;
/// Epsilon of every LayerNorm in the vision transformers (timm's value for both of them).
pub const VISION_NORM_EPSILON: f64 = 1e-6;

/// One vision transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionSize {
    /// Channels of a token.
    pub width: i64,
    /// Blocks in the checkpoint. The last one is never run: features are taken after the second to last.
    pub depth: i64,
    pub heads: i64,
    /// Hidden channels of a block's MLP.
    pub mlp: i64,
}

/// The Llama decoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageSize {
    pub hidden: i64,
    /// Hidden channels of the gated MLP.
    pub intermediate: i64,
    pub layers: i64,
    pub heads: i64,
    /// The published `text_config` leaves it out, so that transformers' default 1e-6 applies (Meta's own value is 1e-5).
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    #[serde(default = "default_theta")]
    pub rope_theta: f64,
}

fn default_epsilon() -> f64 {
    1e-6
}
fn default_theta() -> f64 {
    1e4
}

/// Every number that decides which parameters exist and what shape they have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Side of the square image, px.
    pub image_size: i64,
    /// Side of a square patch, px.
    pub patch_size: i64,
    /// `vision_backbone.featurizer`: DINOv2 with class and register tokens.
    pub dino: VisionSize,
    /// `vision_backbone.fused_featurizer`: SigLIP.
    pub siglip: VisionSize,
    pub register_tokens: i64,
    pub language: LanguageSize,
    /// Token ids in use; action tokens are the last 256 of them. One padding token follows.
    pub real_vocab: i64,
    /// The embedding's rows are `real_vocab + 1` rounded up to a multiple of this.
    pub vocab_multiple: i64,
    /// Hidden widths of the value head; `None` for a checkpoint without one.
    pub value_head: Option<[i64; 2]>,
    /// Width of the proprioceptive state that becomes one token after the patches (OpenVLA-OFT); `None` for none.
    pub proprio: Option<i64>,
}

impl Architecture {
    /// About one million parameters, 64 px images in 8 px patches: what two CPU cores can train from scratch in minutes.
    pub fn tiny() -> Self {
        let vision = VisionSize { width: 64, depth: 3, heads: 2, mlp: 256 };
        Self {
            image_size: 64,
            patch_size: 8,
            dino: vision,
            siglip: vision,
            register_tokens: 4,
            language: LanguageSize { hidden: 128, intermediate: 256, layers: 3, heads: 2, rms_norm_eps: 1e-6, rope_theta: 1e4 },
            real_vocab: 512,
            vocab_multiple: 64,
            value_head: Some([128, 64]),
            proprio: None,
        }
    }

    /// The published `openvla/openvla-7b`: 7.54 billion parameters, 224 px images.
    pub fn openvla_7b() -> Self {
        Self {
            image_size: 224,
            patch_size: 14,
            dino: VisionSize { width: 1024, depth: 24, heads: 16, mlp: 4096 },
            siglip: VisionSize { width: 1152, depth: 27, heads: 16, mlp: 4304 },
            register_tokens: 4,
            language: LanguageSize { hidden: 4096, intermediate: 11008, layers: 32, heads: 32, rms_norm_eps: 1e-6, rope_theta: 1e4 },
            real_vocab: 32000,
            vocab_multiple: 64,
            value_head: None,
            proprio: None,
        }
    }

    /// Patches of one image.
    pub fn patches(&self) -> i64 {
        (self.image_size / self.patch_size).pow(2)
    }

    /// Rows of the token embedding and of `lm_head`.
    pub fn vocab_rows(&self) -> i64 {
        (self.real_vocab + self.vocab_multiple) / self.vocab_multiple * self.vocab_multiple
    }

    /// The padding token, the first id after those in use.
    pub fn pad_token(&self) -> i64 {
        self.real_vocab
    }

    /// First of the 256 action token ids.
    pub fn first_action_token(&self) -> i64 {
        self.real_vocab - ACTION_BINS
    }

    /// # Errors
    /// `InvalidConfig` that names the field, if the numbers do not fit together.
    pub fn validate(&self) -> Result<()> {
        let positive = |field: &str, value: i64| {
            if (1..=1 << 20).contains(&value) {
                Ok(())
            } else {
                Err(Error::config(field, format!("must be between 1 and 1048576, got {value}")))
            }
        };
        positive("image_size", self.image_size)?;
        positive("patch_size", self.patch_size)?;
        if self.image_size % self.patch_size != 0 {
            return Err(Error::config(
                "patch_size",
                format!("{} px does not divide the image size {} px", self.patch_size, self.image_size),
            ));
        }
        for (name, size) in [("dino", self.dino), ("siglip", self.siglip)] {
            positive(&format!("{name}.width"), size.width)?;
            positive(&format!("{name}.heads"), size.heads)?;
            positive(&format!("{name}.mlp"), size.mlp)?;
            if size.depth < 2 {
                return Err(Error::config(
                    format!("{name}.depth"),
                    format!("needs at least 2 blocks, of which the last is not run, got {}", size.depth),
                ));
            }
            if size.width % size.heads != 0 {
                return Err(Error::config(format!("{name}.heads"), format!("{} heads do not divide the width {}", size.heads, size.width)));
            }
        }
        let language = &self.language;
        positive("language.hidden", language.hidden)?;
        positive("language.intermediate", language.intermediate)?;
        positive("language.layers", language.layers)?;
        positive("language.heads", language.heads)?;
        if language.hidden % (2 * language.heads) != 0 {
            let message = format!(
                "{} heads do not divide the hidden width {} into even parts, which rotary positions need",
                language.heads, language.hidden
            );
            return Err(Error::config("language.heads", message));
        }
        if !(language.rms_norm_eps > 0.0 && language.rms_norm_eps < 1.0) {
            return Err(Error::config("language.rms_norm_eps", format!("must be between 0 and 1, got {}", language.rms_norm_eps)));
        }
        if !(language.rope_theta > 1.0 && language.rope_theta.is_finite()) {
            return Err(Error::config("language.rope_theta", format!("must be a finite number above 1, got {}", language.rope_theta)));
        }
        positive("vocab_multiple", self.vocab_multiple)?;
        if self.real_vocab < ACTION_BINS + 8 {
            let message = format!(
                "must be at least {} (256 action tokens, the special tokens and some words), got {}",
                ACTION_BINS + 8,
                self.real_vocab
            );
            return Err(Error::config("real_vocab", message));
        }
        if let Some(widths) = self.value_head {
            positive("value_head[0]", widths[0])?;
            positive("value_head[1]", widths[1])?;
        }
        Ok(())
    }

    /// The first field in which two architectures differ, with both values.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let (Ok(serde_json::Value::Object(mine)), Ok(serde_json::Value::Object(theirs))) =
            (serde_json::to_value(self), serde_json::to_value(other))
        else {
            return None;
        };
        mine.iter()
            .find(|(name, value)| theirs.get(*name) != Some(*value))
            .map(|(name, value)| format!("`{name}` is {value} here and {} there", theirs.get(name).unwrap_or(&serde_json::Value::Null)))
    }
}
