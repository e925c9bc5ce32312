//! Reward: 1 - tanh(scale * distance), the nearer the gripper is to a goal, the more.
//!
//! What the host calls, when, and with which shapes is described in `wit/reward.wit`. There are no files, no clock and no network here: a score is
//! a function of what is passed in.

use std::cell::RefCell;

use serde::Deserialize;

wit_bindgen::generate!({ path: "wit", world: "reward" });

use exports::twinhost::plugin::scoring::{Batch, Error, Guest, Metric, Scores};
use twinhost::plugin::types::{ErrorKind, Values};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Position the gripper should reach, m.
    goal: [f32; 3],
    /// How quickly the reward falls with the distance, 1/m.
    scale: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { goal: [0.5, 0.0, 0.1], scale: 5.0 }
    }
}

thread_local! {
    // A component is one instance with one thread; its state lives here.
    static CONFIG: RefCell<Config> = RefCell::default();
}

struct Component;

fn error(kind: ErrorKind, field: Option<&str>, message: String) -> Error {
    Error { kind, field: field.map(Into::into), message }
}

impl Guest for Component {
    fn configure(config: String, _environment: String, _seed: u64) -> Result<String, Error> {
        let config: Config = serde_json::from_str(&config).map_err(|e| error(ErrorKind::Config, None, e.to_string()))?;
        if !(config.scale > 0.0 && config.scale.is_finite()) {
            return Err(error(ErrorKind::Config, Some("scale"), format!("must be a finite number > 0, got {}", config.scale)));
        }
        CONFIG.set(config);
        Ok(r#"{"needs": ["observation.state"], "decides_success": false}"#.into())
    }

    fn reset(_rows: Vec<u32>) -> Result<(), Error> {
        Ok(())
    }

    fn score(transition: Batch, steps: u32) -> Result<Scores, Error> {
        let state = &transition.tensors[0];
        let (values, width) = match (&state.values, state.shape.as_slice()) {
            (Values::Float32(values), &[_, width]) if width >= 3 => (values, width),
            _ => return Err(error(ErrorKind::Input, None, format!("`{}` must be f32 [B, S] with S >= 3", state.name))),
        };
        let mut scores = Scores { rewards: Vec::new(), done: Vec::new(), success: Vec::new(), metrics: Vec::new() };
        let mut sum = 0.0;
        CONFIG.with_borrow(|config| {
            for row in values.chunks_exact(width as usize) {
                let distance = row.iter().zip(&config.goal).map(|(x, goal)| (x - goal).powi(2)).sum::<f32>().sqrt();
                if !distance.is_finite() {
                    return Err(error(ErrorKind::Numerical, None, format!("the position {:?} is not finite", &row[..3])));
                }
                sum += distance;
                scores.rewards.extend(std::iter::repeat_n(1.0 - (config.scale * distance).tanh(), steps as usize));
            }
            Ok(())
        })?;
        if transition.rows > 0 {
            scores.metrics.push(Metric { name: "distance".into(), value: sum / transition.rows as f32 });
        }
        Ok(scores)
    }
}

export!(Component);
