//! Batches of observations, recorded tokens and demonstrations to the tensors that the network reads. Everything is checked here.

use tch::Tensor;
use twinhost_plugin_api::{Batch, Error, Result, names};
use twinhost_plugin_torch::{TorchResult, to_torch};

use super::image::{Patches, unit_images};
use super::network::Input;
use super::{DataSide, Openvla};

/// Marks padded steps of a demonstration chunk, bool `[N, C]`.
const ACTION_IS_PAD: &str = "action.is_pad";

impl Openvla {
    pub(super) fn data(&mut self) -> Result<&mut DataSide> {
        self.data.as_mut().ok_or_else(|| {
            Error::input(
                "the policy knows neither action ranges nor instructions yet: give it the dataset's statistics or load a checkpoint",
            )
        })
    }

    /// The network's input for N rows of observations, augmented if there is a seed for it.
    pub(super) fn input(&mut self, batch: &Batch, augment: Option<u64>) -> Result<Input> {
        let augmentation = self.config.augmentation();
        let (side, patch, pad) = (self.architecture.image_size, self.architecture.patch_size, self.architecture.pad_token());
        let tasks = batch.texts(names::TASK)?;
        let rows = tasks.len();
        if rows == 0 {
            return Err(Error::input("the batch has no rows"));
        }
        let mut cameras = Vec::new();
        for camera in &self.config.cameras {
            let name = format!("{}{camera}", names::IMAGES);
            let images = to_torch(batch.get(&name)?)?;
            expect_rows(&name, images.size().first().copied(), rows)?;
            let unit = unit_images(&images, side).map_err(|e| e.context(format!("feature `{name}`")))?;
            let seen = augment.map_or_else(|| augmentation.centre(&unit), |seed| augmentation.images(&unit, seed));
            cameras.push(Patches::new(&seen, patch));
        }
        let (proprio, state_dim) = (self.architecture.proprio.is_some(), self.config.state_dim);
        let data = self.data()?;
        let prompts = data.prompts.batch(tasks.iter().map(|task| task.as_str()), pad)?;
        let shape = [rows as i64, prompts.width as i64];
        let valid = prompts.valid.contains(&false).then(|| Tensor::from_slice(&prompts.valid).view(shape));
        let state = match (&data.state, proprio) {
            (Some(normaliser), true) => {
                let raw = batch.get(names::STATE)?;
                if raw.shape() != [rows, state_dim] {
                    return Err(Error::input(format!(
                        "feature `{}` has the shape {:?}, expected [{rows}, {state_dim}]",
                        names::STATE,
                        raw.shape()
                    )));
                }
                let mut values: Vec<f32> = batch
                    .slice::<f32>(names::STATE)?
                    .iter()
                    .enumerate()
                    .map(|(i, &x)| normaliser.normalise(i % state_dim, f64::from(x)) as f32)
                    .collect();
                if let Some(seed) = augment {
                    augmentation.state(&mut values, seed);
                }
                Some(Tensor::from_slice(&values).view([rows as i64, state_dim as i64]))
            }
            _ => None,
        };
        Ok(Input { cameras, ids: Tensor::from_slice(&prompts.ids).view(shape), valid, state })
    }

    /// Token ids i64 `[N, slots]` of recorded tokens `[N, C, A]`.
    pub(super) fn recorded_tokens(&self, batch: &Batch) -> Result<Tensor> {
        let recorded = batch.get(names::ACTION_TOKENS)?;
        let expected = [recorded.dim(0), self.config.chunk, self.config.action_dim];
        if recorded.shape() != expected {
            return Err(Error::input(format!(
                "feature `{}` has the shape {:?}, expected {expected:?}",
                names::ACTION_TOKENS,
                recorded.shape()
            )));
        }
        let range = self.architecture.first_action_token()..self.architecture.real_vocab;
        if let Some(bad) = batch.slice::<i64>(names::ACTION_TOKENS)?.iter().find(|id| !range.contains(id)) {
            return Err(Error::input(format!(
                "feature `{}` holds {bad}, action tokens are {} to {}",
                names::ACTION_TOKENS,
                range.start,
                range.end - 1
            )));
        }
        Ok(to_torch(recorded)?.view([recorded.dim(0) as i64, self.config.slots()]))
    }

    /// Token ids i64 `[N, slots]` of demonstrated actions, and which of them count, bool `[N, slots]`.
    pub(super) fn demonstrated_tokens(&mut self, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let (chunk, dim) = (self.config.chunk, self.config.action_dim);
        let actions = batch.get(names::ACTION)?;
        let rows = actions.dim(0);
        if actions.shape() != [rows, chunk, dim] {
            return Err(Error::input(format!(
                "feature `{}` has the shape {:?}, expected [N, {chunk}, {dim}]",
                names::ACTION,
                actions.shape()
            )));
        }
        let values = batch.slice::<f32>(names::ACTION)?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            return Err(Error::numerical(format!("feature `{}` is not finite in row {}", names::ACTION, at / (chunk * dim))));
        }
        let counted = match batch.find(ACTION_IS_PAD) {
            None => vec![true; values.len()],
            Some(padding) if padding.shape() == [rows, chunk] => {
                batch.slice::<bool>(ACTION_IS_PAD)?.iter().flat_map(|&pad| std::iter::repeat_n(!pad, dim)).collect()
            }
            Some(padding) => {
                return Err(Error::input(format!(
                    "feature `{ACTION_IS_PAD}` has the shape {:?}, expected [{rows}, {chunk}]",
                    padding.shape()
                )));
            }
        };
        if !counted.contains(&true) {
            return Err(Error::input(format!("every step of the batch is padding (`{ACTION_IS_PAD}`)")));
        }
        let bins = self.bins.clone();
        let data = self.data()?;
        let ids: Vec<i64> = values.iter().enumerate().map(|(i, &x)| bins.encode(data.action.normalise(i % dim, f64::from(x)))).collect();
        let shape = [rows as i64, (chunk * dim) as i64];
        Ok((Tensor::from_slice(&ids).view(shape), Tensor::from_slice(&counted).view(shape)))
    }
}

/// Seed of a batch's augmentation: which demonstrations came together decides it.
pub(super) fn augmentation_seed(tokens: &Tensor, batch: &Batch) -> Result<u64> {
    let ids: Vec<i64> = Vec::try_from(tokens.flatten(0, -1)).or_error()?;
    let words = ids.iter().map(|&id| id as u64);
    let state = match batch.find(names::STATE) {
        Some(_) => batch.slice::<f32>(names::STATE)?,
        None => &[],
    };
    let words = words.chain(state.iter().map(|x| u64::from(x.to_bits())));
    Ok(words.fold(0x5bd1_e995, |hash: u64, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)))
}

pub(super) fn expect_rows(name: &str, found: Option<i64>, rows: usize) -> Result<()> {
    if found == Some(rows as i64) {
        return Ok(());
    }
    Err(Error::input(format!("feature `{name}` has {} rows, `{}` has {rows}", found.unwrap_or(0), names::TASK)))
}
