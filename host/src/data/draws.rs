//! Stateless randomness: the generator for a purpose and a counter is a pure function of the seed, so nothing needs saving for a resume.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the numbers are for; different purposes never share numbers.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    Sampling,
    /// Seeds of environments.
    Environment,
    /// What an attempt does.
    Plan,
    Noise,
    /// Seeds of whole datasets.
    Recording,
    Generation,
    Expert,
    Disturbance,
}

/// The generator for position `k` of step `step` (64 numbers per position): ChaCha8 with seed and purpose as key, the step as stream and
/// `k` as block counter.
pub fn at(seed: u64, purpose: Purpose, step: u64, k: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    let mut random = ChaCha8Rng::from_seed(key);
    random.set_stream(step);
    random.set_word_pos(u128::from(k) * 64);
    random
}

/// Uniform in [0, 1), with all 53 bits of a double.
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Uniform below `n` (Lemire's multiplication; its bias of n / 2^64 is far below anything measurable).
pub fn below(bits: u64, n: usize) -> usize {
    ((u128::from(bits) * n as u128) >> 64) as usize
}

/// A standard normal number (Box-Muller transform of two uniform ones).
pub fn normal(random: &mut impl RngCore) -> f64 {
    let radius = (-2.0 * (1.0 - unit(random.next_u64())).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(random.next_u64())).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_the_moments_of_their_distribution() {
        let mut random = at(1, Purpose::Noise, 0, 0);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
        let moment = |k: i32| values.iter().map(|v| v.powi(k)).sum::<f64>() / f64::from(n);
        // Five standard errors: sqrt(1/n), sqrt(2/n), sqrt(96/n).
        for (k, expected, error) in [(1, 0.0, 1.0f64), (2, 1.0, 2.0), (4, 3.0, 96.0)] {
            assert!((moment(k) - expected).abs() < 5.0 * (error / f64::from(n)).sqrt(), "moment {k}: {}", moment(k));
        }
    }

    #[test]
    fn purposes_and_counters_do_not_share_numbers() {
        let first = |purpose, step, k| at(7, purpose, step, k).next_u64();
        let all = [
            first(Purpose::Plan, 0, 0),
            first(Purpose::Noise, 0, 0),
            first(Purpose::Plan, 1, 0),
            first(Purpose::Plan, 0, 1),
            at(8, Purpose::Plan, 0, 0).next_u64(),
        ];
        assert!((0..all.len()).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        assert_eq!(first(Purpose::Plan, 1, 2), first(Purpose::Plan, 1, 2));
    }
}
