//! Reward: the mean brightness of a picture.

wit_bindgen::generate!({ path: "wit", world: "reward" });

use exports::twinhost::plugin::scoring::{Batch, Error, Guest, Scores};
use twinhost::plugin::types::{ErrorKind, Values};

struct Component;

impl Guest for Component {
    fn configure(_config: String, _environment: String, _seed: u64) -> Result<String, Error> {
        Ok(r#"{"needs": ["observation.images.base"], "decides_success": false}"#.into())
    }

    fn reset(_rows: Vec<u32>) -> Result<(), Error> {
        Ok(())
    }

    fn score(transition: Batch, steps: u32) -> Result<Scores, Error> {
        let Values::Uint8(pixels) = &transition.tensors[0].values else {
            return Err(Error { kind: ErrorKind::Input, field: None, message: "pixels are 8 bit".into() });
        };
        let size = pixels.len() / transition.rows as usize;
        let bright = |picture: &[u8]| picture.iter().map(|&p| u32::from(p)).sum::<u32>() as f32 / (255.0 * size as f32);
        let rewards = pixels.chunks_exact(size).flat_map(|picture| std::iter::repeat_n(bright(picture), steps as usize)).collect();
        Ok(Scores { rewards, done: Vec::new(), success: Vec::new(), metrics: Vec::new() })
    }
}

export!(Component);
