//! What a recipe may say about an `openvla` policy.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use twinhost_plugin_api::{Error, Result};

use super::architecture::{Architecture, LanguageSize, VisionSize};
use super::augmentation::Augmentation;

/// A starting point for all sizes; single fields override it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preset {
    /// [`Architecture::tiny`]: trained from scratch on two CPU cores.
    #[default]
    Tiny,
    /// [`Architecture::openvla_7b`]: the published checkpoint.
    Openvla7b,
}

/// How the tokens of an action chunk are produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decoding {
    /// OpenVLA-OFT: all tokens at once from placeholder positions, with bidirectional attention.
    Parallel,
    /// OpenVLA: one token after the other, causal attention, with a key-value cache.
    Autoregressive,
}

/// What the decoder sees at the positions whose tokens it has to produce in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placeholder {
    /// Zero vectors, as OpenVLA-OFT checkpoints were trained: only the rotary position tells the slots apart.
    Zero,
    /// The embedding of a different action token for every slot (row `first_action_token + slot`), which parallel decoding leaves
    /// unused otherwise. A network trained from scratch learns which slot is which far sooner.
    Slot,
}

/// Low-rank adaptation of every linear layer of backbone, projector and decoder: `W' = W + (alpha / rank) B A`. Everything else but
/// value head and proprio projector is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    pub rank: i64,
    pub alpha: f64,
}

/// The component's configuration. Every field has a default, so `()` is the tiny preset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenvlaConfig {
    pub preset: Preset,
    /// Load this checkpoint folder at construction instead of drawing fresh weights.
    pub checkpoint: Option<PathBuf>,
    /// Side of the image the network sees, px; other sizes are resized (bicubic, antialiased).
    pub image_size: Option<i64>,
    pub patch_size: Option<i64>,
    pub dino: Option<VisionSize>,
    pub siglip: Option<VisionSize>,
    pub language: Option<LanguageSize>,
    pub real_vocab: Option<i64>,
    /// Hidden widths of the value head; the 7B preset has none unless this is given.
    pub value_head: Option<[i64; 2]>,
    /// Names of the cameras (`observation.images.<name>`), in the order in which their patches enter the sequence.
    pub cameras: Vec<String>,
    /// A: entries of one action.
    pub action_dim: usize,
    /// C: control steps per call.
    pub chunk: usize,
    /// Feed `observation.state` as one token. Default: true for `Tiny`, false for `Openvla7b`.
    pub proprio: Option<bool>,
    /// S: entries of `observation.state`.
    pub state_dim: usize,
    /// Default: `Parallel` for `Tiny`, `Autoregressive` for `Openvla7b`.
    pub decoding: Option<Decoding>,
    /// Default: `Slot` for `Tiny`, `Zero` for `Openvla7b`.
    pub placeholder: Option<Placeholder>,
    /// Softmax temperature of the distribution that `evaluate` scores; training rollouts must sample at the same one.
    pub temperature: f32,
    /// Keep the value loss from changing anything but the value head.
    pub detach_value: bool,
    /// Stretch each action dimension from the data's q01..q99 to [-1, 1] before it is cut into bins, as OpenVLA does. For an environment
    /// whose actions lie in [-1, 1] already, `false` keeps dimensions that hold little but noise from being blown up.
    pub normalize_actions: bool,
    /// What supervised steps vary. Default: [`Augmentation::small_images`] for `Tiny`, nothing for `Openvla7b`; `()` is nothing.
    pub augmentation: Option<Augmentation>,
    /// Which dataset's statistics of a checkpoint to use, if it has several.
    pub statistics_key: Option<String>,
    pub lora: Option<LoraConfig>,
}

impl Default for OpenvlaConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Tiny,
            checkpoint: None,
            image_size: None,
            patch_size: None,
            dino: None,
            siglip: None,
            language: None,
            real_vocab: None,
            value_head: None,
            cameras: vec!["base".into()],
            action_dim: 7,
            chunk: 4,
            proprio: None,
            state_dim: 8,
            decoding: None,
            placeholder: None,
            temperature: 1.0,
            detach_value: false,
            normalize_actions: true,
            augmentation: None,
            statistics_key: None,
            lora: None,
        }
    }
}

impl OpenvlaConfig {
    /// The sizes this configuration asks for.
    ///
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn architecture(&self) -> Result<Architecture> {
        let mut sizes = match self.preset {
            Preset::Tiny => Architecture::tiny(),
            Preset::Openvla7b => Architecture::openvla_7b(),
        };
        sizes.image_size = self.image_size.unwrap_or(sizes.image_size);
        sizes.patch_size = self.patch_size.unwrap_or(sizes.patch_size);
        sizes.dino = self.dino.unwrap_or(sizes.dino);
        sizes.siglip = self.siglip.unwrap_or(sizes.siglip);
        sizes.language = self.language.unwrap_or(sizes.language);
        sizes.real_vocab = self.real_vocab.unwrap_or(sizes.real_vocab);
        sizes.value_head = self.value_head.or(sizes.value_head);
        sizes.proprio = self.proprio().then_some(self.state_dim as i64);
        sizes.validate()?;
        Ok(sizes)
    }

    pub fn proprio(&self) -> bool {
        self.proprio.unwrap_or(self.preset == Preset::Tiny)
    }

    pub fn decoding(&self) -> Decoding {
        self.decoding.unwrap_or(match self.preset {
            Preset::Tiny => Decoding::Parallel,
            Preset::Openvla7b => Decoding::Autoregressive,
        })
    }

    pub fn placeholder(&self) -> Placeholder {
        self.placeholder.unwrap_or(match self.preset {
            Preset::Tiny => Placeholder::Slot,
            Preset::Openvla7b => Placeholder::Zero,
        })
    }

    pub fn augmentation(&self) -> Augmentation {
        self.augmentation.unwrap_or(match self.preset {
            Preset::Tiny => Augmentation::small_images(),
            Preset::Openvla7b => Augmentation::default(),
        })
    }

    /// Action tokens per call, C times A.
    pub fn slots(&self) -> i64 {
        (self.chunk * self.action_dim) as i64
    }

    /// # Errors
    /// `InvalidConfig` that names the field. NaN is refused everywhere.
    pub fn validate(&self) -> Result<()> {
        self.architecture()?;
        self.augmentation().validate()?;
        if self.cameras.is_empty() {
            return Err(Error::config("cameras", "name at least one camera"));
        }
        if let Some(twice) = self.cameras.iter().enumerate().find(|(i, name)| self.cameras[..*i].contains(name)) {
            return Err(Error::config(format!("cameras[{}]", twice.0), format!("camera `{}` is listed twice", twice.1)));
        }
        if !(1..=64).contains(&self.action_dim) {
            return Err(Error::config("action_dim", format!("must be between 1 and 64, got {}", self.action_dim)));
        }
        if !(1..=256).contains(&self.chunk) {
            return Err(Error::config("chunk", format!("must be between 1 and 256, got {}", self.chunk)));
        }
        if self.decoding() == Decoding::Parallel
            && self.placeholder() == Placeholder::Slot
            && self.slots() > super::architecture::ACTION_BINS
        {
            let message = format!(
                "{} x {} tokens exceed the 256 rows that `placeholder: Slot` can use; use `placeholder: Zero`",
                self.chunk, self.action_dim
            );
            return Err(Error::config("chunk", message));
        }
        if self.proprio() && !(1..=4096).contains(&self.state_dim) {
            return Err(Error::config("state_dim", format!("must be between 1 and 4096, got {}", self.state_dim)));
        }
        if !(1e-3..=1e3).contains(&self.temperature) {
            return Err(Error::config("temperature", format!("must be between 0.001 and 1000, got {}", self.temperature)));
        }
        if let Some(lora) = self.lora {
            if !(1..=1024).contains(&lora.rank) {
                return Err(Error::config("lora.rank", format!("must be between 1 and 1024, got {}", lora.rank)));
            }
            if !(lora.alpha > 0.0 && lora.alpha <= 1e6) {
                return Err(Error::config("lora.alpha", format!("must be above 0 and at most 1000000, got {}", lora.alpha)));
            }
        }
        Ok(())
    }
}
