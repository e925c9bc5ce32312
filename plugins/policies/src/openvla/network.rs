//! The whole network: one multimodal sequence, two ways to decode it.
//!
//! `[BOS][patches of every camera][state token, if any][rest of the prompt][action slots]`

use tch::{Kind, Tensor};

use super::architecture::{ACTION_BINS, Architecture};
use super::config::Placeholder;
use super::image::Patches;
use super::linear::Linear;
use super::llama::{Attention, KeyValueCache, Llama};
use super::parameters::Parameters;
use super::vision::VisionBackbone;

/// What the network reads, all with N rows.
pub struct Input {
    /// One entry per camera.
    pub cameras: Vec<Patches>,
    /// i64 `[N, T]`: BOS, padding, text.
    pub ids: Tensor,
    /// bool `[N, T]`, false on padding; `None` if there is none.
    pub valid: Option<Tensor>,
    /// Normalised proprioception f32 `[N, S]`.
    pub state: Option<Tensor>,
}

/// The sequence up to the last prompt token.
pub struct Prefix {
    /// `[N, L, hidden]`
    pub embeddings: Tensor,
    /// bool `[N, L]`
    pub valid: Option<Tensor>,
    /// i64 `[N or 1, L]`
    pub positions: Tensor,
}

impl Prefix {
    fn length(&self) -> i64 {
        self.embeddings.size()[1]
    }

    /// Appends `count` columns that are never padding.
    fn extend(&self, embeddings: &Tensor, count: i64) -> Prefix {
        let (rows, device) = (self.positions.size()[0], self.embeddings.device());
        let following = self.positions.narrow(1, self.length() - 1, 1) + Tensor::arange(count, (Kind::Int64, device)) + 1;
        let valid = self
            .valid
            .as_ref()
            .map(|valid| Tensor::cat(&[valid.shallow_clone(), Tensor::ones([valid.size()[0], count], (Kind::Bool, device))], 1));
        Prefix {
            embeddings: Tensor::cat(&[&self.embeddings, embeddings], 1),
            valid,
            positions: Tensor::cat(&[&self.positions, &following.view([rows, count])], 1),
        }
    }
}

/// A two-layer MLP with exact GELU that turns the state into a token (OpenVLA-OFT's proprio projector).
struct ProprioProjector {
    fc1: Linear,
    fc2: Linear,
}

/// `Linear, GELU, Linear, GELU, Linear` on the hidden state of the last prompt token.
struct ValueHead {
    first: Linear,
    second: Linear,
    output: Linear,
}

pub struct Network {
    pub vision: VisionBackbone,
    pub language: Llama,
    proprio: Option<ProprioProjector>,
    value: Option<ValueHead>,
    first_action_token: i64,
}

impl Network {
    pub fn new(parameters: &Parameters, architecture: &Architecture) -> Self {
        let proprio = architecture.proprio.map(|_| ProprioProjector {
            fc1: Linear::new(parameters, "proprio_projector.fc1"),
            fc2: Linear::new(parameters, "proprio_projector.fc2"),
        });
        let value = architecture.value_head.map(|_| ValueHead {
            first: Linear::new(parameters, "value_head.mlp.0"),
            second: Linear::new(parameters, "value_head.mlp.2"),
            output: Linear::without_bias(parameters, "value_head.mlp.4"),
        });
        Self {
            vision: VisionBackbone::new(parameters, architecture),
            language: Llama::new(parameters, architecture.language),
            proprio,
            value,
            first_action_token: architecture.first_action_token(),
        }
    }

    /// Embeds everything up to the last prompt token.
    pub fn prefix(&self, input: &Input) -> Prefix {
        let mut parts = vec![self.language.embed(&input.ids.narrow(1, 0, 1))];
        parts.extend(input.cameras.iter().map(|camera| self.vision.forward(&camera.dino, &camera.siglip).projected));
        if let (Some(projector), Some(state)) = (&self.proprio, &input.state) {
            parts.push(projector.fc2.forward(&projector.fc1.forward(state).gelu("none")).unsqueeze(1));
        }
        let inserted: i64 = parts[1..].iter().map(|part| part.size()[1]).sum();
        let (rows, text) = input.ids.size2().expect("token ids are [N, T]");
        parts.push(self.language.embed(&input.ids.narrow(1, 1, text - 1)));
        let embeddings = Tensor::cat(&parts, 1);
        let device = embeddings.device();
        let Some(valid) = &input.valid else {
            let positions = Tensor::arange(inserted + text, (Kind::Int64, device)).unsqueeze(0);
            return Prefix { embeddings, valid: None, positions };
        };
        let image = Tensor::ones([rows, inserted], (Kind::Bool, device));
        let valid = Tensor::cat(&[&valid.narrow(1, 0, 1), &image, &valid.narrow(1, 1, text - 1)], 1);
        let positions = (valid.cumsum(1, Kind::Int64) - 1).clamp_min(0);
        Prefix { embeddings, valid: Some(valid), positions }
    }

    /// Hidden states that predict `slots` action tokens in one bidirectional pass, `[N, slots, hidden]`; the first is that of the
    /// last prompt token, which the value head reads as well.
    pub fn parallel(&self, prefix: &Prefix, slots: i64, placeholder: Placeholder) -> Tensor {
        let (rows, length, hidden) = prefix.embeddings.size3().expect("embeddings are [N, L, hidden]");
        let options = (prefix.embeddings.kind(), prefix.embeddings.device());
        let slot_embeddings = match placeholder {
            Placeholder::Zero => Tensor::zeros([rows, slots, hidden], options),
            Placeholder::Slot => {
                let ids = Tensor::arange_start(self.first_action_token, self.first_action_token + slots, (Kind::Int64, options.1));
                self.language.embed(&ids).unsqueeze(0).expand([rows, slots, hidden], false)
            }
        };
        let whole = prefix.extend(&slot_embeddings, slots);
        let attention = Attention::bidirectional(whole.valid.as_ref());
        self.language.forward(whole.embeddings, &whole.positions, &attention, None, length - 1, slots)
    }

    /// Causal pass over the prompt and `tokens` i64 `[N, K]`: hidden states from the last prompt token on, `[N, K + 1, hidden]`.
    pub fn teacher_forced(&self, prefix: &Prefix, tokens: &Tensor) -> Tensor {
        let count = tokens.size()[1];
        let length = prefix.length();
        let whole = prefix.extend(&self.language.embed(tokens), count);
        let attention = Attention::causal(whole.valid.as_ref(), length + count, whole.embeddings.device());
        self.language.forward(whole.embeddings, &whole.positions, &attention, None, length - 1, count + 1)
    }

    /// Produces `slots` tokens one after the other with a key-value cache. `choose` maps the hidden state `[N, 1, hidden]` of a step
    /// to the next tokens i64 `[N, 1]`. Returns the hidden states `[N, slots, hidden]` and the tokens `[N, slots]`.
    pub fn autoregressive(&self, prefix: &Prefix, slots: i64, mut choose: impl FnMut(&Tensor) -> Tensor) -> (Tensor, Tensor) {
        let length = prefix.length();
        let mut cache = KeyValueCache::default();
        let attention = Attention::causal(prefix.valid.as_ref(), length, prefix.embeddings.device());
        let mut hidden =
            vec![self.language.forward(prefix.embeddings.shallow_clone(), &prefix.positions, &attention, Some(&mut cache), length - 1, 1)];
        let mut tokens = vec![choose(&hidden[0])];
        for step in 1..slots {
            let last = &tokens[tokens.len() - 1];
            let position = prefix.positions.narrow(1, length - 1, 1) + step;
            let seen = prefix
                .valid
                .as_ref()
                .map(|valid| Tensor::cat(&[valid.shallow_clone(), Tensor::ones([valid.size()[0], step], (Kind::Bool, valid.device()))], 1));
            let attention = Attention::bidirectional(seen.as_ref());
            let next = self.language.forward(self.language.embed(last), &position, &attention, Some(&mut cache), 0, 1);
            tokens.push(choose(&next));
            hidden.push(next);
        }
        (Tensor::cat(&hidden, 1), Tensor::cat(&tokens, 1))
    }

    /// Logits of the 256 action tokens, `[..., hidden]` to `[..., 256]`.
    pub fn action_logits(&self, hidden: &Tensor) -> Tensor {
        self.language.logits_of(hidden, self.first_action_token, ACTION_BINS)
    }

    /// State value `[N, 1]` from the hidden state `[N, hidden]` of the last prompt token.
    pub fn value(&self, hidden: &Tensor) -> Option<Tensor> {
        self.value.as_ref().map(|head| {
            let first = head.first.forward(hidden).gelu("none");
            head.output.forward(&head.second.forward(&first).gelu("none"))
        })
    }
}
