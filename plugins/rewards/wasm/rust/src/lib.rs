//! The native reward `reach` (plugins/rewards/src/reach.rs) as a sandboxed component: the same formula, in f64 and in the same order.

use std::cell::RefCell;

use serde::Deserialize;

wit_bindgen::generate!({ path: "../../../../plugin-api/wit/v1", world: "reward" });

use exports::twinhost::plugin::scoring::{Batch, Error, Guest, Scores};
use twinhost::plugin::types::{ErrorKind, Tensor, Values};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    goal: [f64; 3],
    scale: f64,
    radius: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { goal: [0.5, 0.0, 0.1], scale: 5.0, radius: 0.05 }
    }
}

thread_local! {
    // A component is one instance with one thread; its state lives here.
    static CONFIG: RefCell<Config> = RefCell::default();
}

struct Reach;

fn error(kind: ErrorKind, field: Option<&str>, message: String) -> Error {
    Error { kind, field: field.map(Into::into), message }
}

fn floats(tensor: &Tensor) -> Result<&[f32], Error> {
    match &tensor.values {
        Values::Float32(values) => Ok(values),
        _ => Err(error(ErrorKind::Input, None, format!("`{}` must be f32", tensor.name))),
    }
}

fn length(x: f64, y: f64, z: f64) -> f64 {
    (x * x + y * y + z * z).sqrt()
}

impl Guest for Reach {
    fn configure(config: String, _environment: String, _seed: u64) -> Result<String, Error> {
        let config: Config = serde_json::from_str(&config).map_err(|e| error(ErrorKind::Config, None, e.to_string()))?;
        if !(config.scale > 0.0 && config.scale.is_finite()) {
            return Err(error(ErrorKind::Config, Some("scale"), format!("must be a finite number > 0, got {}", config.scale)));
        }
        if !(config.radius >= 0.0 && config.radius.is_finite()) {
            return Err(error(ErrorKind::Config, Some("radius"), format!("must be a finite number >= 0, got {}", config.radius)));
        }
        CONFIG.set(config);
        Ok(r#"{"needs": ["observation.state", "action"], "decides_success": false}"#.into())
    }

    fn reset(_rows: Vec<u32>) -> Result<(), Error> {
        Ok(())
    }

    fn score(transition: Batch, steps: u32) -> Result<Scores, Error> {
        let [state, action] = &transition.tensors[..] else {
            return Err(error(ErrorKind::Input, None, "the state and the action are needed".into()));
        };
        let (width, dim) = match (state.shape.as_slice(), action.shape.as_slice()) {
            (&[_, width], &[_, _, dim]) if width >= 3 && dim >= 3 => (width, dim),
            (state, action) => {
                let message = format!("needs a state [B, >= 3] and an action [B, C, >= 3], got {state:?} and {action:?}");
                return Err(error(ErrorKind::Input, None, message));
            }
        };
        let mut rewards = Vec::with_capacity((transition.rows * steps) as usize);
        let actions = floats(action)?.chunks_exact(dim as usize);
        let mut actions = actions.map(|a| length(a[0].into(), a[1].into(), a[2].into()));
        CONFIG.with_borrow(|Config { goal, scale, radius }| {
            for state in floats(state)?.chunks_exact(width as usize) {
                let distance = length(f64::from(state[0]) - goal[0], f64::from(state[1]) - goal[1], f64::from(state[2]) - goal[2]);
                let reaching = 1.0 - (scale * distance).tanh();
                for motion in actions.by_ref().take(steps as usize) {
                    let resting = if distance <= *radius { 1.0 - (scale * motion).tanh() } else { 0.0 };
                    let reward = ((reaching + resting) / 2.0) as f32;
                    if !(reward.is_finite() && motion.is_finite()) {
                        let message = format!("the distance is {distance} and the action's length {motion}, which must be finite");
                        return Err(error(ErrorKind::Numerical, None, message));
                    }
                    rewards.push(reward);
                }
            }
            Ok(())
        })?;
        Ok(Scores { rewards, done: Vec::new(), success: Vec::new(), metrics: Vec::new() })
    }
}

export!(Reach);
