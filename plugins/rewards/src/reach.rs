//! `reach`: near the goal, and at rest once there. The shape is that of ManiSkill's normalised dense rewards (`PickCube-v1`: reaching
//! `1 - tanh(5 d)`, then static `1 - tanh(5 |v|)`, divided by the largest possible sum), from what every arm reports: its state and its action.
//!
//! The same reward is written in Python, Rust, C and JavaScript under `wasm/`; a test compares the five. All of them compute in f64, in the
//! order written here, and round once, at the end.

use serde::Deserialize;
use twinhost_plugin_api::{Batch, ComponentConfig, Error, HostServices, Result, Reward, RewardSpec, Tensor, names};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Position to reach, in the units of the first three entries of `observation.state` (m).
    goal: [f64; 3],
    /// How quickly both terms fall, 1/m and 1 per unit of action.
    scale: f64,
    /// Distance within which resting is rewarded.
    radius: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { goal: [0.5, 0.0, 0.1], scale: 5.0, radius: 0.05 }
    }
}

/// Scores every control step: `(1 - tanh(k d) + [d <= r] (1 - tanh(k |a|))) / 2`, in [0, 1], where d is the distance of the state's first three
/// entries from the goal after the chunk and |a| the length of the step's first three action entries.
pub struct Reach(Config);

impl Reach {
    /// # Errors
    /// If `scale` is not above 0, `radius` is negative, or a number is not finite.
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        let config: Config = config.parse()?;
        if !config.goal.iter().all(|x| x.is_finite()) {
            return Err(Error::config("goal", format!("must be three finite numbers, got {:?}", config.goal)));
        }
        if !(config.scale > 0.0 && config.scale.is_finite()) {
            return Err(Error::config("scale", format!("must be a finite number > 0, got {}", config.scale)));
        }
        if !(config.radius >= 0.0 && config.radius.is_finite()) {
            return Err(Error::config("radius", format!("must be a finite number >= 0, got {}", config.radius)));
        }
        Ok(Self(config))
    }
}

fn length(x: f64, y: f64, z: f64) -> f64 {
    (x * x + y * y + z * z).sqrt()
}

impl Reward for Reach {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::STATE.into(), names::ACTION.into()], decides_success: false }
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let Config { goal, scale, radius } = &self.0;
        let (state, action) = (transition.get(names::STATE)?, transition.get(names::ACTION)?);
        let shapes = (state.shape(), action.shape());
        let (rows, width, steps, dim) = match (shapes.0.as_slice(), shapes.1.as_slice()) {
            (&[rows, width], &[of, steps, dim]) if of == rows && width >= 3 && dim >= 3 => (rows, width, steps, dim),
            (state, action) => {
                return Err(Error::input(format!("needs a state [B, >= 3] and an action [B, C, >= 3], got {state:?} and {action:?}")));
            }
        };
        let mut rewards = Vec::with_capacity(rows * steps);
        let actions = action.as_slice::<f32>()?.chunks_exact(dim);
        let mut actions = actions.map(|a| length(a[0].into(), a[1].into(), a[2].into()));
        for state in state.as_slice::<f32>()?.chunks_exact(width) {
            let distance = length(f64::from(state[0]) - goal[0], f64::from(state[1]) - goal[1], f64::from(state[2]) - goal[2]);
            let reaching = 1.0 - (scale * distance).tanh();
            for motion in actions.by_ref().take(steps) {
                let resting = if distance <= *radius { 1.0 - (scale * motion).tanh() } else { 0.0 };
                let reward = ((reaching + resting) / 2.0) as f32;
                if !(reward.is_finite() && motion.is_finite()) {
                    return Err(Error::numerical(format!(
                        "the distance is {distance} and the action's length {motion}, which must be finite"
                    )));
                }
                rewards.push(reward);
            }
        }
        Ok(Batch::new().with(names::REWARD, Tensor::from_vec(rewards, &[rows, steps])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_at_rest_is_best() {
        let mut reward = Reach::create(ComponentConfig::new(""), HostServices::standalone(1, 0)).unwrap();
        let state = Tensor::from_vec(vec![0.5f32, 0.0, 0.1, 0.5, 0.2, 0.1], &[2, 3]);
        let action = Tensor::from_vec(vec![0.0f32, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0], &[2, 2, 3]);
        let scored = reward.score(&Batch::new().with(names::STATE, state).with(names::ACTION, action)).unwrap();
        let scored = scored.slice::<f32>(names::REWARD).unwrap();
        // At the goal: 1 at rest; moving by 0.2, (1 + 1 - tanh(1)) / 2. At a distance of 0.2: (1 - tanh(1)) / 2 whatever the motion. tanh(1) = 0.761594156.
        let expected = [1.0, 0.619_202_9, 0.119_202_92, 0.119_202_92];
        for (a, b) in scored.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{scored:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in ["(scale: 0)", "(scale: NaN)", "(radius: -1)", "(goal: (0, inf, 0))"] {
            assert!(Reach::create(ComponentConfig::new(text), HostServices::standalone(1, 0)).is_err(), "{text}");
        }
        let mut reward = Reach::create(ComponentConfig::new(""), HostServices::standalone(1, 0)).unwrap();
        for (state, action) in [(f32::NAN, 0.0), (0.0, f32::NAN), (0.0, f32::INFINITY)] {
            let state = Tensor::from_vec(vec![state, 0.0, 0.0], &[1, 3]);
            let action = Tensor::from_vec(vec![action, 0.0, 0.0], &[1, 1, 3]);
            assert!(reward.score(&Batch::new().with(names::STATE, state).with(names::ACTION, action)).is_err());
        }
    }
}
