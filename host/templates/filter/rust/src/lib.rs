//! Filter: no step may move the gripper farther than `longest`, and none may go further down below `floor`.
//!
//! A filter makes a motion smaller or forbids it (a veto), and nothing else; the host checks that. What it calls, when, and with which shapes is
//! described in `wit/filter.wit`.

use std::cell::RefCell;

use serde::Deserialize;

wit_bindgen::generate!({ path: "wit", world: "filter" });

use exports::twinhost::plugin::monitoring::{Batch, Error, Guest, Verdict, Veto};
use twinhost::plugin::types::{ErrorKind, Values};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Longest translation of one control step, in units of the action.
    longest: f32,
    /// Height of the gripper below which it may not go further down, m.
    floor: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { longest: 0.5, floor: 0.02 }
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
        if !(config.longest > 0.0 && config.longest.is_finite()) {
            return Err(error(ErrorKind::Config, Some("longest"), format!("must be a finite number > 0, got {}", config.longest)));
        }
        CONFIG.set(config);
        Ok(r#"{"needs": ["observation.state"]}"#.into())
    }

    fn reset(_rows: Vec<u32>) -> Result<(), Error> {
        Ok(())
    }

    fn review(observation: Batch, mut action: Vec<f32>, steps: u32) -> Result<Verdict, Error> {
        let state = &observation.tensors[0];
        let (values, rows, width) = match (&state.values, state.shape.as_slice()) {
            (Values::Float32(values), &[rows, width]) if width >= 3 => (values, rows, width),
            _ => return Err(error(ErrorKind::Input, None, format!("`{}` must be f32 [B, S] with S >= 3", state.name))),
        };
        let dim = action.len().checked_div((rows * steps) as usize).unwrap_or(0);
        if rows > 0 && dim < 3 {
            return Err(error(ErrorKind::Input, None, format!("an action must have at least 3 entries, got {dim}")));
        }
        let mut vetoes = Vec::new();
        CONFIG.with_borrow(|config| {
            for row in 0..rows as usize {
                let height = values[row * width as usize + 2];
                let chunk = &mut action[row * steps as usize * dim..][..steps as usize * dim];
                // Written so that a height that is not a number is too low.
                if !(height >= config.floor) && chunk.chunks_exact(dim).any(|step| step[2] < 0.0) {
                    let reason = format!("the gripper is at {height} m, below {} m, and would go down", config.floor);
                    vetoes.push(Veto { row: row as u32, reason });
                }
                for step in chunk.chunks_exact_mut(dim) {
                    let length = step[..3].iter().map(|x| x * x).sum::<f32>().sqrt();
                    if length > config.longest {
                        step[..3].iter_mut().for_each(|x| *x *= config.longest / length);
                    }
                }
            }
        });
        Ok(Verdict { action, vetoes })
    }
}

export!(Component);
