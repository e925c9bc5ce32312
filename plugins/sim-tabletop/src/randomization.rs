//! Domain randomisation (Tobin et al., 2017): many versions of one twin's scene, of which every episode draws one.
//!
//! A policy that has seen a thousand tables takes the real one for another of them. The versions are a function of the configuration
//! alone; which of them an episode gets is a function of its seed.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use twinhost_plugin_api::{Error, Result};

use crate::gap::Gap;
use crate::random::{Purpose, rng};

/// Contrasts of the table's pattern.
const PATTERNS: [f64; 4] = [0.0, 0.15, 0.3, 0.6];
/// Which of them the versions have in turn: every other table is plain.
const TURNS: [usize; 6] = [0, 1, 0, 2, 0, 3];
/// Most versions of a scene; each takes a model per object.
const MOST: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Randomization {
    /// Number of versions; 0 = the twin as it is.
    pub scenes: usize,
    /// How far the colours of things, the table's pattern, the lamp and the base camera's pose go from the twin's own values (0) to the drawn ones (1).
    pub visuals: f64,
    /// The same for what cameras make of it: contrast, brightness, saturation, hue, white balance and pixel noise.
    pub camera: f64,
    /// The same for friction, masses, stiffness, damping and latency.
    pub dynamics: f64,
}

impl Default for Randomization {
    fn default() -> Self {
        Self { scenes: 0, visuals: 1.0, camera: 1.0, dynamics: 0.0 }
    }
}

impl Randomization {
    /// # Errors
    /// `InvalidConfig` that names the field.
    pub fn validate(&self) -> Result<()> {
        if self.scenes > MOST {
            return Err(Error::config("randomization.scenes", format!("must be at most {MOST}, got {}", self.scenes)));
        }
        for (name, value) in [("visuals", self.visuals), ("camera", self.camera), ("dynamics", self.dynamics)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(format!("randomization.{name}"), format!("must be from 0 to 1, got {value}")));
            }
        }
        Ok(())
    }

    /// Contrasts of the table's pattern that the versions choose from.
    pub fn patterns(&self, own: &Gap) -> Vec<f64> {
        if self.scenes == 0 {
            return vec![own.table_pattern];
        }
        let mut patterns = PATTERNS.map(|drawn| own.table_pattern + self.visuals * (drawn - own.table_pattern)).to_vec();
        patterns.dedup();
        patterns
    }

    /// The versions of a scene; without randomisation the one scene itself.
    pub fn versions(&self, own: &Gap) -> Vec<Gap> {
        if self.scenes == 0 {
            return vec![own.clone()];
        }
        let patterns = self.patterns(own);
        let version = |i: usize| Gap {
            table_pattern: patterns[TURNS[i % TURNS.len()] % patterns.len()],
            ..self.version(own, &mut rng(0, Purpose::Scene, i as u64))
        };
        (0..self.scenes).map(version).collect()
    }

    fn version(&self, own: &Gap, rng: &mut ChaCha8Rng) -> Gap {
        let [seen, taken, felt] = [self.visuals, self.camera, self.dynamics];
        let mut between = |low: f64, high: f64| rng.random_range(low..high);
        let mut grey = |low: f64, high: f64, tint: f64| {
            let level = between(low, high);
            [0; 3].map(|_| (level * (1.0 + between(-tint, tint))).clamp(0.0, 1.0))
        };
        let table_rgb = grey(0.2, 0.8, 0.12);
        let robot_rgb = grey(0.65, 0.98, 0.05);
        let hand_rgb = grey(0.05, 0.4, 0.1);
        let tray_rgb = grey(0.65, 1.0, 0.08);
        let mut three = |low: [f64; 3], high: [f64; 3]| -> [f64; 3] { std::array::from_fn(|i| between(low[i], high[i])) };
        let light_position = three([-0.8, -1.0, 0.9], [0.8, 1.0, 1.8]);
        let white_balance = three([0.85; 3], [1.15; 3]);
        let camera_offset = three([-0.03; 3], [0.03; 3]);
        let camera_tilt = three([-2.0; 3], [2.0; 3]);
        let mut factor = |low: f64, high: f64| between(low.ln(), high.ln()).exp();
        let factors = [factor(0.6, 1.25), factor(0.6, 1.7), factor(0.6, 1.8), factor(0.7, 1.2), factor(0.8, 1.2)];

        let towards = |own: f64, drawn: f64, share: f64| own + share * (drawn - own);
        let each = |own: [f64; 3], drawn: [f64; 3], share: f64| -> [f64; 3] { std::array::from_fn(|i| towards(own[i], drawn[i], share)) };
        let scaled = |own: f64, factor: f64| own * factor.powf(felt);
        Gap {
            table_rgb: each(own.table_rgb, table_rgb, seen),
            robot_rgb: each(own.robot_rgb, robot_rgb, seen),
            hand_rgb: each(own.hand_rgb, hand_rgb, seen),
            tray_rgb: each(own.tray_rgb, tray_rgb, seen),
            fading: towards(own.fading, between(0.0, 0.5), seen),
            light_position: each(own.light_position, light_position, seen),
            light_diffuse: towards(own.light_diffuse, between(0.25, 0.75), seen),
            light_ambient: towards(own.light_ambient, between(0.2, 0.55), seen),
            white_balance: each(own.white_balance, white_balance, taken),
            camera_offset: std::array::from_fn(|i| own.camera_offset[i] + seen * camera_offset[i]),
            camera_tilt: std::array::from_fn(|i| own.camera_tilt[i] + seen * camera_tilt[i]),
            pixel_noise: towards(own.pixel_noise, between(0.0, 0.03), taken),
            contrast: towards(own.contrast, between(0.6, 1.4), taken),
            brightness: towards(own.brightness, between(-0.25, 0.25), taken),
            saturation: towards(own.saturation, between(0.5, 1.5), taken),
            hue: towards(own.hue, between(-0.05, 0.05), taken),
            friction: scaled(own.friction, factors[0]),
            mass: scaled(own.mass, factors[1]),
            drawer_friction: scaled(own.drawer_friction, factors[2]),
            stiffness: scaled(own.stiffness, factors[3]),
            damping: scaled(own.damping, factors[4]),
            action_delay: towards(own.action_delay, between(0.0, 0.5), felt),
            ..own.clone()
        }
    }
}
