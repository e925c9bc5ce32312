//! Stateless randomness: the generator for a purpose and a counter is a pure function of the seed, so nothing needs saving for a resume.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the numbers are for; different purposes never share numbers.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    Sampling,
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
