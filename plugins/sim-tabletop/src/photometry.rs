//! What happens to a picture between the lens and the computer: contrast, brightness, colour, white balance, noise.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use std::f64::consts::TAU;

use crate::gap::Gap;

/// What the camera's electronics do to a picture u8 `[H, W, 3]`, in this order: contrast and brightness, saturation and hue, gain per channel, noise of
/// every pixel value.
///
/// The noise is the sum of four uniform bytes, which is close to normal and cheap enough for every frame.
pub fn develop(pixels: &mut [u8], gap: &Gap, rng: &mut ChaCha8Rng) {
    if (gap.contrast, gap.brightness, gap.saturation, gap.hue) != (1.0, 0.0, 1.0, 0.0) {
        // With mid-grey m, contrast c, brightness b and colour matrix M: M (c (x - m) + m + b), linear in x.
        let matrix = colour_matrix(gap.saturation, gap.hue).map(|row| row.map(|v| (v * gap.contrast) as f32));
        // Each row of a colour matrix sums to 1: grey stays grey.
        let offset = (255.0 * (0.5 * (1.0 - gap.contrast) + gap.brightness)) as f32;
        for pixel in pixels.as_chunks_mut::<3>().0 {
            let rgb = pixel.map(f32::from);
            *pixel = matrix.map(|row| (row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2] + offset).round().clamp(0.0, 255.0) as u8);
        }
    }
    if gap.white_balance != [1.0; 3] {
        let tables =
            gap.white_balance.map(|gain| -> Vec<u8> { (0..=255u8).map(|v| (f64::from(v) * gain).round().min(255.0) as u8).collect() });
        for pixel in pixels.chunks_exact_mut(3) {
            for (value, table) in pixel.iter_mut().zip(&tables) {
                *value = table[usize::from(*value)];
            }
        }
    }
    if gap.pixel_noise > 0.0 {
        // Variance of the sum of four uniform bytes: 4 (256^2 - 1) / 12.
        let scale = (gap.pixel_noise * 255.0 / (4.0 * 65535.0f64 / 12.0).sqrt()) as f32;
        let mut bytes = vec![0u8; 4 * pixels.len()];
        rng.fill_bytes(&mut bytes);
        for (value, draw) in pixels.iter_mut().zip(bytes.chunks_exact(4)) {
            let sum: i32 = draw.iter().map(|b| i32::from(*b)).sum();
            *value = (f32::from(*value) + scale * (sum - 510) as f32).round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Saturation, then a turn of the chroma plane of YIQ.
fn colour_matrix(saturation: f64, turn: f64) -> [[f64; 3]; 3] {
    const TO_YIQ: [[f64; 3]; 3] = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]];
    const FROM_YIQ: [[f64; 3]; 3] = [[1.0, 0.956, 0.619], [1.0, -0.272, -0.647], [1.0, -1.106, 1.703]];
    let (sin, cos) = (TAU * turn).sin_cos();
    let chroma = [[1.0, 0.0, 0.0], [0.0, saturation * cos, -saturation * sin], [0.0, saturation * sin, saturation * cos]];
    let product =
        |a: [[f64; 3]; 3], b: [[f64; 3]; 3]| a.map(|row| [0, 1, 2].map(|j| row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));
    product(FROM_YIQ, product(chroma, TO_YIQ))
}
