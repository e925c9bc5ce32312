//! Images to the patch vectors of both vision transformers.

use tch::{Kind, Tensor};
use twinhost_plugin_api::{Error, Result};

/// Mean and standard deviation per channel. DINOv2's are ImageNet's rounded to bfloat16, as the published preprocessor stores them.
const DINO_MEAN: [f32; 3] = [124.0 / 256.0, 233.0 / 512.0, 104.0 / 256.0];
const DINO_STD: [f32; 3] = [117.0 / 512.0, 229.0 / 1024.0, 115.0 / 512.0];
const SIGLIP_MEAN: [f32; 3] = [0.5; 3];
const SIGLIP_STD: [f32; 3] = [0.5; 3];

/// The same patches under both normalisations, each f32 `[B, P, 3 * patch * patch]`; a patch is stored channel by channel.
pub struct Patches {
    pub dino: Tensor,
    pub siglip: Tensor,
}

impl Patches {
    /// From images in 0..1, f32 `[B, 3, H, W]`, normalised here.
    pub fn new(images: &Tensor, patch: i64) -> Self {
        let unit = patchify(images, patch);
        let normalise = |mean: &[f32; 3], std: &[f32; 3]| {
            let per_channel = |values: &[f32; 3]| Tensor::from_slice(values).view([1, 1, 3, 1]);
            ((&unit - per_channel(mean)) / per_channel(std)).flatten(2, 3)
        };
        Self { dino: normalise(&DINO_MEAN, &DINO_STD), siglip: normalise(&SIGLIP_MEAN, &SIGLIP_STD) }
    }

    /// From the stacked form of the public preprocessor, f32 `[B, 6, H, W]`: DINO-normalised RGB, then SigLIP-normalised RGB.
    pub fn from_pixel_values(pixels: &Tensor, patch: i64) -> Self {
        let stack = |first: i64| patchify(&pixels.narrow(1, first, 3), patch).flatten(2, 3);
        Self { dino: stack(0), siglip: stack(3) }
    }
}

/// RGB images u8 `[B, H, W, 3]` to f32 `[B, 3, side, side]` in 0..1 (bicubic, antialiased, aspect ratio ignored).
///
/// # Errors
/// If the tensor is not a batch of RGB images.
pub fn unit_images(images: &Tensor, side: i64) -> Result<Tensor> {
    let shape = images.size();
    let &[_, height, width, 3] = shape.as_slice() else {
        return Err(Error::input(format!("expected RGB images [B, H, W, 3], got {shape:?}")));
    };
    if images.kind() != Kind::Uint8 || height == 0 || width == 0 {
        return Err(Error::input(format!("expected 8-bit RGB images, got {:?} {shape:?}", images.kind())));
    }
    let channels_first = images.permute([0, 3, 1, 2]);
    let resized = if (height, width) == (side, side) { channels_first.contiguous() } else { resize(&channels_first, side) };
    Ok(resized.to_kind(Kind::Float) / 255.0)
}

/// `[B, 3, H, W]` to `[B, P, 3, patch * patch]`, patches in reading order.
fn patchify(images: &Tensor, patch: i64) -> Tensor {
    let (batch, _, height, width) = images.size4().expect("images are [B, 3, H, W]");
    let (rows, columns) = (height / patch, width / patch);
    images.reshape([batch, 3, rows, patch, columns, patch]).permute([0, 2, 4, 1, 3, 5]).reshape([batch, rows * columns, 3, patch * patch])
}

/// Bicubic with antialiasing, rounded to whole intensities as an image library would.
fn resize(images: &Tensor, side: i64) -> Tensor {
    images.to_kind(Kind::Float).contiguous().internal_upsample_bicubic2d_aa([side, side], false, None, None).clamp(0.0, 255.0).round()
}
