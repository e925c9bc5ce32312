//! Counter-based randomness: every draw is a function of a seed, a purpose and a counter, so nothing but counters needs saving.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

#[derive(Clone, Copy)]
pub enum Purpose {
    /// The seed of the n-th episode after a reset.
    Episode = 1,
    /// Object, instruction and poses of an episode.
    Layout = 2,
    /// Sensor and pixel noise of one observation.
    Sensors = 3,
    /// A scripted expert's habits in one episode.
    Habits = 4,
    /// A scripted expert's noise in one step.
    Tremor = 5,
    /// One version of a randomised scene.
    Scene = 6,
}

/// SplitMix64's finaliser.
fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn mix(seed: u64, purpose: Purpose, counter: u64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let with_purpose = scramble(seed.wrapping_add(STEP.wrapping_mul(purpose as u64 + 1)));
    scramble(with_purpose.wrapping_add(STEP.wrapping_mul(counter.wrapping_add(1))))
}

pub fn rng(seed: u64, purpose: Purpose, counter: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed, purpose, counter))
}

/// One standard normal draw (Box-Muller).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    use rand::Rng as _;
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
