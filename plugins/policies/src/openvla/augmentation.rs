//! Image and state augmentation for supervised steps, so that demonstrations are not learnt by heart pixel by pixel.
//!
//! OpenVLA's fine-tuning uses crop 0.9, brightness 0.2, contrast 0.2, saturation 0.2, hue 0.05, in this order. Draws are a function of
//! the demonstrations in the batch: nothing is stored, and a resumed run repeats the very same images.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use tch::{Kind, Tensor};
use twinhost_plugin_api::{Error, Result};

/// How far each property may vary, uniformly and independently per row; the default changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Area of a random crop that is scaled back to the whole image; acting then uses the centre crop of this area. 1 = no crop.
    pub crop: f64,
    /// Added to every intensity (0..1), up to plus or minus this.
    pub brightness: f64,
    /// Factor on the distance from the image's mean colour, 1 plus or minus this.
    pub contrast: f64,
    /// Factor on the distance from grey, 1 plus or minus this.
    pub saturation: f64,
    /// Turn of the colour circle, up to plus or minus this part of it.
    pub hue: f64,
    /// Standard deviation of gaussian noise on the normalised state (whose range is [-1, 1]).
    pub state_noise: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { crop: 1.0, brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, state_noise: 0.0 }
    }
}

impl Augmentation {
    /// Colours as OpenVLA varies them and a little state noise; no crop, which would move objects by whole patches of a small image.
    pub fn small_images() -> Self {
        Self { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05, state_noise: 0.02, ..Self::default() }
    }

    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn validate(&self) -> Result<()> {
        if !(0.25..=1.0).contains(&self.crop) {
            return Err(Error::config("augmentation.crop", format!("must be between 0.25 and 1, got {}", self.crop)));
        }
        let ranges = [
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 1.0),
            ("saturation", self.saturation, 1.0),
            ("hue", self.hue, 0.5),
            ("state_noise", self.state_noise, 1.0),
        ];
        match ranges.into_iter().find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            Some((name, value, most)) => {
                Err(Error::config(format!("augmentation.{name}"), format!("must be between 0 and {most}, got {value}")))
            }
            None => Ok(()),
        }
    }

    /// The centre crop that acting uses.
    pub fn centre(&self, images: &Tensor) -> Tensor {
        if self.crop == 1.0 {
            return images.shallow_clone();
        }
        let rows = images.size()[0] as usize;
        self.cropped(images, &vec![[0.0; 2]; rows])
    }

    /// Images f32 `[B, 3, H, W]` in 0..1, each with draws of its own.
    pub fn images(&self, images: &Tensor, seed: u64) -> Tensor {
        let rows = images.size()[0] as usize;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut around = |centre: f64, spread: f64| centre + spread * rng.random_range(-1.0..=1.0);
        let draws: Vec<[f64; 6]> = (0..rows)
            .map(|_| {
                let [x, y] = [around(0.0, 1.0), around(0.0, 1.0)];
                let [brightness, contrast] = [around(0.0, self.brightness), around(1.0, self.contrast)];
                [x, y, brightness, contrast, around(1.0, self.saturation), around(0.0, self.hue)]
            })
            .collect();
        let places: Vec<[f64; 2]> = draws.iter().map(|draw| [draw[0], draw[1]]).collect();
        let cropped = if self.crop == 1.0 { images.shallow_clone() } else { self.cropped(images, &places) };
        if [self.brightness, self.contrast, self.saturation, self.hue] == [0.0; 4] {
            return cropped;
        }
        let column = |at: usize| {
            let values: Vec<f32> = draws.iter().map(|draw| draw[at] as f32).collect();
            Tensor::from_slice(&values).view([rows as i64, 1, 1])
        };
        let (brightness, contrast) = (column(2), column(3));
        let matrices: Vec<f32> =
            draws.iter().flat_map(|draw| colour_matrix(draw[4], draw[5]).into_iter().flatten()).map(|x| x as f32).collect();
        let matrices = Tensor::from_slice(&matrices).view([rows as i64, 3, 3]);
        // With mean m, brightness b, contrast c and matrix M, all linear: M (c (x - m) + m + b) = c M x + M ((1 - c) m + b).
        let pixels = cropped.flatten(2, 3);
        let mean = pixels.mean_dim([2i64].as_slice(), true, Kind::Float);
        let offset = matrices.bmm(&(mean * (1.0 - &contrast) + brightness));
        offset.baddbmm(&(matrices * contrast), &pixels, 1.0, 1.0).clamp_(0.0, 1.0).view(cropped.size().as_slice())
    }

    /// Adds noise to normalised states, row-major.
    pub fn state(&self, values: &mut [f32], seed: u64) {
        if self.state_noise > 0.0 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(1);
            for value in values {
                let z: f64 = StandardNormal.sample(&mut rng);
                *value += (self.state_noise * z) as f32;
            }
        }
    }

    /// Windows of this area at `places` (-1..1 from one border to the other), scaled back bilinearly.
    fn cropped(&self, images: &Tensor, places: &[[f64; 2]]) -> Tensor {
        let side = self.crop.sqrt();
        let room = 1.0 - side;
        let theta: Vec<f32> = places.iter().flat_map(|[x, y]| [side, 0.0, room * x, 0.0, side, room * y]).map(|v| v as f32).collect();
        let theta = Tensor::from_slice(&theta).view([places.len() as i64, 2, 3]);
        let grid = Tensor::affine_grid_generator(&theta, images.size().as_slice(), false);
        const BILINEAR: i64 = 0;
        const REPEAT_BORDER: i64 = 1;
        images.grid_sampler(&grid, BILINEAR, REPEAT_BORDER, false)
    }
}

/// Saturation, then a turn of the chroma plane of YIQ: both linear in RGB, grey stays grey.
fn colour_matrix(saturation: f64, turn: f64) -> [[f64; 3]; 3] {
    const TO_YIQ: [[f64; 3]; 3] = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]];
    const FROM_YIQ: [[f64; 3]; 3] = [[1.0, 0.956, 0.619], [1.0, -0.272, -0.647], [1.0, -1.106, 1.703]];
    let (sin, cos) = (TAU * turn).sin_cos();
    let chroma = [[1.0, 0.0, 0.0], [0.0, saturation * cos, -saturation * sin], [0.0, saturation * sin, saturation * cos]];
    product(&FROM_YIQ, &product(&chroma, &TO_YIQ))
}

fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}
