//! The Llama decoder: RMSNorm, rotary positions, SwiGLU.
//!
//! Only the outputs somebody reads are computed: the last layer makes keys and values for every position, but queries, output
//! projection and MLP for the requested ones alone. That changes no number.

use tch::{Device, Kind, Tensor};

use super::architecture::LanguageSize;
use super::linear::Linear;
use super::parameters::Parameters;

/// `x / sqrt(mean(x^2) + epsilon) * weight`
struct RmsNorm {
    weight: Tensor,
    epsilon: f64,
}

impl RmsNorm {
    fn new(parameters: &Parameters, name: &str, epsilon: f64) -> Self {
        Self { weight: parameters.get(&format!("{name}.weight")), epsilon }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let width = x.size().last().copied().expect("activations have a channel axis") as f64;
        let norm = x.norm_scalaropt_dim(2.0, [-1i64].as_slice(), true);
        let inverse = (norm.square() / width + self.epsilon).rsqrt();
        x * inverse * &self.weight
    }
}

/// Rotation of each channel pair by `position * theta^(-2k / head_dim)`, as unit complex numbers `[B or 1, L, 1, head_dim / 2]`.
pub struct Rotation(Tensor);

impl Rotation {
    /// `positions` i64 `[B or 1, L]`.
    pub fn new(positions: &Tensor, head_dim: i64, theta: f64) -> Self {
        let exponents: Vec<f32> = (0..head_dim / 2).map(|k| (theta.powf(-2.0 * k as f64 / head_dim as f64)) as f32).collect();
        let angles = positions.to_kind(Kind::Float).unsqueeze(-1) * Tensor::from_slice(&exponents).to_device(positions.device());
        Self(Tensor::polar(&angles.ones_like(), &angles).unsqueeze(2))
    }

    fn narrow(&self, first: i64, count: i64) -> Self {
        Self(self.0.narrow(1, first, count))
    }

    /// Rotates `[B, L, H, head_dim]`. Llama pairs channel k with k + head_dim/2; the result keeps each pair side by side. Queries
    /// and keys are reordered alike, so their products are those of the original order.
    fn apply(&self, x: &Tensor) -> Tensor {
        let halves = x.chunk(2, -1);
        (Tensor::complex(&halves[0], &halves[1]) * &self.0).view_as_real().flatten(3, 4)
    }
}

/// Who may look at whom.
pub enum Attention {
    /// Every position at every other.
    Full,
    /// Added to the scores: 0 where allowed, minus infinity elsewhere; `[B or 1, 1, L or 1, L]`.
    Masked(Tensor),
}

impl Attention {
    /// `valid` bool `[B, L]`: the columns that are not padding; `None` if there is no padding.
    pub fn bidirectional(valid: Option<&Tensor>) -> Self {
        valid.map_or(Self::Full, |valid| Self::Masked(additive(&valid.unsqueeze(1).unsqueeze(1))))
    }

    /// Each position at itself and the valid ones before; `length` = L.
    pub fn causal(valid: Option<&Tensor>, length: i64, device: Device) -> Self {
        let lower = Tensor::ones([length, length], (Kind::Bool, device)).tril(0).view([1, 1, length, length]);
        Self::Masked(additive(&valid.map_or_else(|| lower.shallow_clone(), |valid| lower.logical_and(&valid.unsqueeze(1).unsqueeze(1)))))
    }

    fn rows(&self, first: i64, count: i64) -> Option<Tensor> {
        match self {
            Self::Full => None,
            Self::Masked(mask) if mask.size()[2] == 1 => Some(mask.shallow_clone()),
            Self::Masked(mask) => Some(mask.narrow(2, first, count)),
        }
    }
}

fn additive(allowed: &Tensor) -> Tensor {
    Tensor::zeros(allowed.size(), (Kind::Float, allowed.device())).masked_fill(&allowed.logical_not(), f64::NEG_INFINITY)
}

/// Keys (rotated) and values of the positions seen so far, one pair `[B, H, L, head_dim]` per layer.
#[derive(Default)]
pub struct KeyValueCache(Vec<(Tensor, Tensor)>);

struct Layer {
    attention_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    mlp_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    heads: i64,
}

impl Layer {
    fn new(parameters: &Parameters, name: &str, size: &LanguageSize) -> Self {
        let linear = |part: &str| Linear::without_bias(parameters, &format!("{name}.{part}"));
        let norm = |part: &str| RmsNorm::new(parameters, &format!("{name}.{part}"), size.rms_norm_eps);
        Self {
            attention_norm: norm("input_layernorm"),
            query: linear("self_attn.q_proj"),
            key: linear("self_attn.k_proj"),
            value: linear("self_attn.v_proj"),
            output: linear("self_attn.o_proj"),
            mlp_norm: norm("post_attention_layernorm"),
            gate: linear("mlp.gate_proj"),
            up: linear("mlp.up_proj"),
            down: linear("mlp.down_proj"),
            heads: size.heads,
        }
    }

    /// `x` `[B, L, hidden]`; returns positions `first..first + count` of the layer's output.
    fn forward(&self, x: &Tensor, context: &Context<'_>, past: Option<&mut (Tensor, Tensor)>, first: i64, count: i64) -> Tensor {
        let (batch, length, hidden) = x.size3().expect("activations are [B, L, hidden]");
        let head_dim = hidden / self.heads;
        let heads = |y: Tensor, length: i64| y.view([batch, length, self.heads, head_dim]);
        let normed = self.attention_norm.forward(x);
        let whole = count == length;
        let wanted = |y: &Tensor| if whole { y.shallow_clone() } else { y.narrow(1, first, count) };

        let mut keys = context.rotation.apply(&heads(self.key.forward(&normed), length)).transpose(1, 2);
        let mut values = heads(self.value.forward(&normed), length).transpose(1, 2);
        if let Some(past) = past {
            if past.0.numel() > 0 {
                keys = Tensor::cat(&[&past.0, &keys], 2);
                values = Tensor::cat(&[&past.1, &values], 2);
            }
            *past = (keys.shallow_clone(), values.shallow_clone());
        }
        let queries = heads(self.query.forward(&wanted(&normed)), count);
        let queries = context.rotation.narrow(first, count).apply(&queries).transpose(1, 2);
        let mask = context.attention.rows(first, count);
        let mixed = Tensor::scaled_dot_product_attention(&queries, &keys, &values, mask, 0.0, false, None, false);
        let x = wanted(x) + self.output.forward(&mixed.transpose(1, 2).reshape([batch, count, hidden]));
        let normed = self.mlp_norm.forward(&x);
        let gated = self.gate.forward(&normed).silu() * self.up.forward(&normed);
        x + self.down.forward(&gated)
    }
}

struct Context<'a> {
    attention: &'a Attention,
    rotation: Rotation,
}

/// The decoder with its token embedding and output head.
pub struct Llama {
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Tensor,
    size: LanguageSize,
}

impl Llama {
    pub fn new(parameters: &Parameters, size: LanguageSize) -> Self {
        Self {
            embedding: parameters.get("language_model.model.embed_tokens.weight"),
            layers: (0..size.layers).map(|i| Layer::new(parameters, &format!("language_model.model.layers.{i}"), &size)).collect(),
            norm: RmsNorm::new(parameters, "language_model.model.norm", size.rms_norm_eps),
            head: parameters.get("language_model.lm_head.weight"),
            size,
        }
    }

    /// Token ids i64 `[...]` to `[..., hidden]`.
    pub fn embed(&self, ids: &Tensor) -> Tensor {
        Tensor::embedding(&self.embedding, ids, -1, false, false)
    }

    /// Hidden states after the final norm of positions `first..first + count`, `[B, count, hidden]`.
    ///
    /// `x` `[B, L, hidden]`, `positions` i64 `[B or 1, L]`; with a cache, `x` continues what the cache holds and the mask's columns
    /// cover both.
    pub fn forward(
        &self,
        x: Tensor,
        positions: &Tensor,
        attention: &Attention,
        mut cache: Option<&mut KeyValueCache>,
        first: i64,
        count: i64,
    ) -> Tensor {
        let length = x.size()[1];
        let rotation = Rotation::new(positions, self.size.hidden / self.size.heads, self.size.rope_theta);
        let context = Context { attention, rotation };
        if let Some(cache) = cache.as_deref_mut()
            && cache.0.is_empty()
        {
            let empty = || Tensor::empty([0], (x.kind(), x.device()));
            cache.0 = self.layers.iter().map(|_| (empty(), empty())).collect();
        }
        let mut x = x;
        for (i, layer) in self.layers.iter().enumerate() {
            let (first, count) = if i + 1 == self.layers.len() { (first, count) } else { (0, length) };
            x = layer.forward(&x, &context, cache.as_deref_mut().map(|cache| &mut cache.0[i]), first, count);
        }
        self.norm.forward(&x)
    }

    /// Logits of all tokens, `[..., hidden]` to `[..., vocabulary rows]`.
    pub fn logits(&self, hidden: &Tensor) -> Tensor {
        hidden.linear(&self.head, None::<&Tensor>)
    }

    /// Logits of tokens `first..first + count` alone.
    pub fn logits_of(&self, hidden: &Tensor, first: i64, count: i64) -> Tensor {
        hidden.linear(&self.head.narrow(0, first, count), None::<&Tensor>)
    }
}
