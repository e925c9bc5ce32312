//! The two vision transformers (timm's DINOv2 with registers, and SigLIP) and the projector into the language model.

use tch::Tensor;

use super::architecture::{Architecture, VISION_NORM_EPSILON, VisionSize};
use super::linear::Linear;
use super::parameters::Parameters;

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    fn new(parameters: &Parameters, name: &str) -> Self {
        Self { weight: parameters.get(&format!("{name}.weight")), bias: parameters.get(&format!("{name}.bias")) }
    }
    fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), VISION_NORM_EPSILON, false)
    }
}

/// `x += ls1 * proj(attention(norm1 x)); x += ls2 * fc2(gelu(fc1(norm2 x)))`, LayerScale (`ls`) only in DINOv2.
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    proj: Linear,
    scale1: Option<Tensor>,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    scale2: Option<Tensor>,
    heads: i64,
}

impl Block {
    fn new(parameters: &Parameters, name: &str, heads: i64) -> Self {
        let scale = |which: &str| parameters.find(&format!("{name}.{which}.scale_factor")).map(Tensor::shallow_clone);
        Self {
            norm1: LayerNorm::new(parameters, &format!("{name}.norm1")),
            qkv: Linear::new(parameters, &format!("{name}.attn.qkv")),
            proj: Linear::new(parameters, &format!("{name}.attn.proj")),
            scale1: scale("ls1"),
            norm2: LayerNorm::new(parameters, &format!("{name}.norm2")),
            fc1: Linear::new(parameters, &format!("{name}.mlp.fc1")),
            fc2: Linear::new(parameters, &format!("{name}.mlp.fc2")),
            scale2: scale("ls2"),
            heads,
        }
    }

    fn attention(&self, x: &Tensor) -> Tensor {
        let (batch, tokens, width) = x.size3().expect("tokens are [B, N, width]");
        let qkv = self.qkv.forward(x).view([batch, tokens, 3, self.heads, width / self.heads]).permute([2, 0, 3, 1, 4]);
        // One split: three selections would each make a full-size gradient.
        let parts = qkv.unbind(0);
        let mixed = Tensor::scaled_dot_product_attention(&parts[0], &parts[1], &parts[2], None::<&Tensor>, 0.0, false, None, false);
        self.proj.forward(&mixed.transpose(1, 2).reshape([batch, tokens, width]))
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let scaled = |y: Tensor, scale: &Option<Tensor>| scale.as_ref().map_or_else(|| y.shallow_clone(), |s| &y * s);
        let x = x + scaled(self.attention(&self.norm1.forward(x)), &self.scale1);
        let mlp = self.fc2.forward(&self.fc1.forward(&self.norm2.forward(&x)).gelu("none"));
        &x + scaled(mlp, &self.scale2)
    }
}

/// One vision transformer, without the last block, final norm and pooling, which OpenVLA does not use.
struct VisionTransformer {
    /// The patch convolution as a matrix `[width, 3 * patch * patch]`: kernel and stride are equal, so it is one product.
    patch_weight: Tensor,
    patch_bias: Tensor,
    position: Tensor,
    /// Class and register tokens `[1, 1 + registers, width]`, without position.
    prefix: Option<(Tensor, Tensor)>,
    blocks: Vec<Block>,
}

impl VisionTransformer {
    fn new(parameters: &Parameters, name: &str, size: &VisionSize) -> Self {
        let prefix = parameters
            .find(&format!("{name}.cls_token"))
            .map(|class| (class.shallow_clone(), parameters.get(&format!("{name}.reg_token"))));
        Self {
            patch_weight: parameters.get(&format!("{name}.patch_embed.proj.weight")),
            patch_bias: parameters.get(&format!("{name}.patch_embed.proj.bias")),
            position: parameters.get(&format!("{name}.pos_embed")),
            prefix,
            blocks: (0..size.depth - 1).map(|i| Block::new(parameters, &format!("{name}.blocks.{i}"), size.heads)).collect(),
        }
    }

    /// Patch vectors `[B, P, 3 * patch * patch]` to features `[B, P, width]`.
    fn forward(&self, patches: &Tensor) -> Tensor {
        let mut x = patches.linear(&self.patch_weight.flatten(1, 3), Some(&self.patch_bias)) + &self.position;
        let count = x.size()[1];
        if let Some((class, registers)) = &self.prefix {
            let batch = x.size()[0];
            x = Tensor::cat(&[class.expand([batch, -1, -1], false), registers.expand([batch, -1, -1], false), x], 1);
        }
        for block in &self.blocks {
            x = block.forward(&x);
        }
        let prefix = x.size()[1] - count;
        x.narrow(1, prefix, count)
    }
}

/// Both transformers and the projector.
pub struct VisionBackbone {
    dino: VisionTransformer,
    siglip: VisionTransformer,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

/// Every stage of the vision side, for the tests that compare them one by one.
pub struct VisionStages {
    /// `[B, P, dino width]`
    pub dino: Tensor,
    /// `[B, P, siglip width]`
    pub siglip: Tensor,
    /// `[B, P, hidden]`
    pub projected: Tensor,
}

impl VisionBackbone {
    pub fn new(parameters: &Parameters, architecture: &Architecture) -> Self {
        Self {
            dino: VisionTransformer::new(parameters, "vision_backbone.featurizer", &architecture.dino),
            siglip: VisionTransformer::new(parameters, "vision_backbone.fused_featurizer", &architecture.siglip),
            fc1: Linear::new(parameters, "projector.fc1"),
            fc2: Linear::new(parameters, "projector.fc2"),
            fc3: Linear::new(parameters, "projector.fc3"),
        }
    }

    /// Patch vectors under both normalisations, each `[B, P, 3 * patch * patch]`.
    pub fn forward(&self, dino: &Tensor, siglip: &Tensor) -> VisionStages {
        let dino = self.dino.forward(dino);
        let siglip = self.siglip.forward(siglip);
        let joined = Tensor::cat(&[&dino, &siglip], 2);
        let projected = self.fc3.forward(&self.fc2.forward(&self.fc1.forward(&joined).gelu("none")).gelu("none"));
        VisionStages { dino, siglip, projected }
    }
}
