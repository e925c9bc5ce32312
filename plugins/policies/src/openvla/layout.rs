//! Names, shapes and initial distributions of all parameters: the published checkpoint's, in its order.
//!
//! Building the list allocates nothing, so the 7B layout can be compared with the published one on any machine.

use super::architecture::{Architecture, VisionSize};

/// Distribution of a fresh parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// Normal with this standard deviation, redrawn beyond two of them.
    TruncatedNormal(f64),
    Normal(f64),
    /// Sines and cosines over a square grid of patches. A patch's place is as loud as its content from the start, so that reading
    /// off where something is does not have to be discovered first.
    Grid,
    /// Truncated normal (0.02), but the rows of the 256 action tokens from `first` on vary smoothly with the action: neighbouring
    /// bins begin with nearly equal logits, and what is learnt about one carries over to the next.
    Ordinal {
        first: i64,
    },
}

/// One parameter before it exists.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterLayout {
    pub name: String,
    pub shape: Vec<i64>,
    pub init: Init,
    /// Part of the published checkpoint, but no output depends on it.
    pub unused: bool,
    /// Weight `[outputs, inputs]` of a linear layer that low-rank adaptation applies to.
    pub adaptable: bool,
}

/// Fresh queries and keys are this much larger than signal-preserving: scores then differ enough that an action slot does not begin
/// as the plain average of all tokens. Measured on the tiny preset, relative to the final hidden state's size: with both constants at
/// the usual 1 and 0.02, two slots differ by 0.2 and images by 0.03; with these, by 1.2 and 0.11.
const ATTENTION_GAIN: f64 = 2.0;
/// Fresh token embeddings are about as large as projected patches (root mean square 0.3), so that slots and words keep their identity.
const EMBEDDING_DEVIATION: f64 = 0.5;

/// Parameters that public checkpoints may lack: they are drawn fresh then.
pub const OPTIONAL_GROUPS: [&str; 2] = ["proprio_projector.", "value_head."];

/// All parameters of an architecture, in the published order; `proprio_projector` and `value_head` follow if there are any.
pub fn layout(architecture: &Architecture) -> Vec<ParameterLayout> {
    let mut list = List { entries: Vec::new(), unused: false };
    list.vision("vision_backbone.featurizer", &architecture.dino, architecture, true);
    list.vision("vision_backbone.fused_featurizer", &architecture.siglip, architecture, false);

    let hidden = architecture.language.hidden;
    let vision = architecture.dino.width + architecture.siglip.width;
    list.linear("projector.fc1", vision, 4 * vision);
    list.linear("projector.fc2", 4 * vision, hidden);
    list.linear("projector.fc3", hidden, hidden);

    let rows = architecture.vocab_rows();
    list.add("language_model.model.embed_tokens.weight", &[rows, hidden], Init::TruncatedNormal(EMBEDDING_DEVIATION));
    let intermediate = architecture.language.intermediate;
    for i in 0..architecture.language.layers {
        let layer = format!("language_model.model.layers.{i}");
        for (part, gain) in [("q", ATTENTION_GAIN), ("k", ATTENTION_GAIN), ("v", 1.0), ("o", 1.0)] {
            list.scaled_weight(&format!("{layer}.self_attn.{part}_proj.weight"), hidden, hidden, gain);
        }
        list.weight(&format!("{layer}.mlp.gate_proj.weight"), hidden, intermediate);
        list.weight(&format!("{layer}.mlp.up_proj.weight"), hidden, intermediate);
        list.weight(&format!("{layer}.mlp.down_proj.weight"), intermediate, hidden);
        list.add(format!("{layer}.input_layernorm.weight"), &[hidden], Init::Ones);
        list.add(format!("{layer}.post_attention_layernorm.weight"), &[hidden], Init::Ones);
    }
    list.add("language_model.model.norm.weight", &[hidden], Init::Ones);
    list.add("language_model.lm_head.weight", &[rows, hidden], Init::Ordinal { first: architecture.first_action_token() });

    if let Some(state) = architecture.proprio {
        list.linear("proprio_projector.fc1", state, hidden);
        list.linear("proprio_projector.fc2", hidden, hidden);
    }
    if let Some([first, second]) = architecture.value_head {
        // Kaiming-normal with fan_out for the hidden layers, a small normal for the output, which has no bias.
        for (index, (inputs, outputs)) in [(0, (hidden, first)), (2, (first, second))] {
            list.add(format!("value_head.mlp.{index}.weight"), &[outputs, inputs], Init::Normal((2.0 / outputs as f64).sqrt()));
            list.add(format!("value_head.mlp.{index}.bias"), &[outputs], Init::Zeros);
        }
        list.add("value_head.mlp.4.weight", &[1, second], Init::Normal(0.02));
    }
    list.entries
}

struct List {
    entries: Vec<ParameterLayout>,
    unused: bool,
}

impl List {
    fn add(&mut self, name: impl Into<String>, shape: &[i64], init: Init) {
        self.entries.push(ParameterLayout { name: name.into(), shape: shape.to_vec(), init, unused: self.unused, adaptable: false });
    }

    /// A linear layer's weight. The deviation keeps the signal's size from layer to layer at any width; at the published widths
    /// it is the usual 0.02.
    fn weight(&mut self, name: &str, inputs: i64, outputs: i64) {
        self.scaled_weight(name, inputs, outputs, 1.0);
    }

    fn scaled_weight(&mut self, name: &str, inputs: i64, outputs: i64, gain: f64) {
        self.add(name, &[outputs, inputs], Init::TruncatedNormal(gain * (1.0 / inputs as f64).sqrt()));
        let fresh_in_any_checkpoint = OPTIONAL_GROUPS.iter().any(|group| name.starts_with(group));
        if let Some(entry) = self.entries.last_mut() {
            entry.adaptable = !entry.unused && !fresh_in_any_checkpoint;
        }
    }

    fn linear(&mut self, name: &str, inputs: i64, outputs: i64) {
        self.weight(&format!("{name}.weight"), inputs, outputs);
        self.add(format!("{name}.bias"), &[outputs], Init::Zeros);
    }

    fn norm(&mut self, name: &str, width: i64) {
        self.add(format!("{name}.weight"), &[width], Init::Ones);
        self.add(format!("{name}.bias"), &[width], Init::Zeros);
    }

    fn mlp(&mut self, name: &str, size: &VisionSize) {
        self.linear(&format!("{name}.fc1"), size.width, size.mlp);
        self.linear(&format!("{name}.fc2"), size.mlp, size.width);
    }

    /// DINOv2 has prefix tokens and LayerScale, SigLIP an attention pool that OpenVLA does not use.
    fn vision(&mut self, name: &str, size: &VisionSize, architecture: &Architecture, dino: bool) {
        let width = size.width;
        let small = Init::TruncatedNormal(0.02);
        if dino {
            self.add(format!("{name}.cls_token"), &[1, 1, width], small);
            self.add(format!("{name}.reg_token"), &[1, architecture.register_tokens, width], small);
        }
        self.add(format!("{name}.pos_embed"), &[1, architecture.patches(), width], Init::Grid);
        let patch = architecture.patch_size;
        let fan_in = (3 * patch * patch) as f64;
        self.add(format!("{name}.patch_embed.proj.weight"), &[width, 3, patch, patch], Init::TruncatedNormal((1.0 / fan_in).sqrt()));
        self.add(format!("{name}.patch_embed.proj.bias"), &[width], Init::Zeros);
        for i in 0..size.depth {
            self.unused = i + 1 == size.depth;
            let block = format!("{name}.blocks.{i}");
            self.norm(&format!("{block}.norm1"), width);
            self.linear(&format!("{block}.attn.qkv"), width, 3 * width);
            self.linear(&format!("{block}.attn.proj"), width, width);
            if dino {
                self.add(format!("{block}.ls1.scale_factor"), &[width], Init::Ones);
            }
            self.norm(&format!("{block}.norm2"), width);
            self.mlp(&format!("{block}.mlp"), size);
            if dino {
                self.add(format!("{block}.ls2.scale_factor"), &[width], Init::Ones);
            }
        }
        self.norm(&format!("{name}.norm"), width);
        if !dino {
            let pool = format!("{name}.attn_pool");
            self.add(format!("{pool}.latent"), &[1, 1, width], small);
            self.linear(&format!("{pool}.q"), width, width);
            self.linear(&format!("{pool}.kv"), width, 2 * width);
            self.linear(&format!("{pool}.proj"), width, width);
            self.norm(&format!("{pool}.norm"), width);
            self.mlp(&format!("{pool}.mlp"), size);
        }
        self.unused = false;
    }
}
