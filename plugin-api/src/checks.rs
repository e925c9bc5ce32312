//! What a component returns, held against its own specification: features there, dtype and shape as promised, no NaN.
//!
//! A wrong value is told where it comes in, with the component's name, and not three modules later as somebody else's failure.

use crate::v1::{
    Batch, CameraSpec, DType, EnvSpec, Error, ErrorKind, FeatureSpec, PolicySpec, Result, RewardSpec, RobotSpec, TeleopSpec, Tensor, names,
};

/// A specification the host can work with.
pub fn env_spec(spec: &EnvSpec) -> Result<()> {
    let dim = spec.action.dim();
    // NaN is in no order.
    let ordered = |i: usize| spec.action.low[i] <= spec.action.high[i];
    let sentence = if spec.num_envs == 0 {
        "`num_envs` is 0".to_owned()
    } else if dim == 0 || spec.action.low.len() != dim || spec.action.high.len() != dim {
        let (low, high) = (spec.action.low.len(), spec.action.high.len());
        format!("`action` has {dim} names, {low} lower and {high} upper bounds; they must be as many, and at least one")
    } else if let Some(at) = (0..dim).find(|&i| !ordered(i)) {
        format!("`action.low[{at}]` is {}, `action.high[{at}]` {}", spec.action.low[at], spec.action.high[at])
    } else if !(spec.control_hz > 0.0 && spec.control_hz.is_finite()) {
        format!("`control_hz` is {}, which must be a number above 0", spec.control_hz)
    } else if let Some(twice) = twice(&spec.observation) {
        format!("`observation` has the feature `{twice}` twice")
    } else {
        return Ok(());
    };
    Err(Error::internal(format!("its specification is wrong: {sentence}")))
}

fn twice(features: &[FeatureSpec]) -> Option<&str> {
    features.iter().enumerate().find(|(i, f)| features[..*i].iter().any(|g| g.name == f.name)).map(|(_, f)| f.name.as_str())
}

/// Observations `[B, ...]` and one instruction per row.
pub fn observation(spec: &EnvSpec, out: &Batch) -> Result<()> {
    for feature in &spec.observation {
        expect(out, &feature.name, feature.dtype, &[&[spec.num_envs], feature.shape.as_slice()])?;
    }
    let texts = out.texts(names::TASK).map_err(|_| missing(out, names::TASK))?.len();
    if texts != spec.num_envs {
        return Err(wrong(format!("`task` with {texts} texts, which must be {}", spec.num_envs)));
    }
    Ok(())
}

/// The outcome of a chunk of C steps.
pub fn step(spec: &EnvSpec, chunk: usize, out: &Batch) -> Result<()> {
    let rows = spec.num_envs;
    expect(out, names::REWARD, DType::F32, &[&[rows, chunk]])?;
    expect(out, names::TERMINATED, DType::Bool, &[&[rows, chunk]])?;
    expect(out, names::TRUNCATED, DType::Bool, &[&[rows, chunk]])?;
    expect(out, names::SUCCESS, DType::Bool, &[&[rows]])?;
    observation(spec, out)
}

pub fn image(width: usize, height: usize, out: &Tensor) -> Result<()> {
    fits("the image", out, DType::U8, &[&[height, width, 3]])
}

/// An action chunk for every row of the observation.
pub fn action(spec: &PolicySpec, rows: usize, out: &Batch) -> Result<()> {
    expect(out, names::ACTION, DType::F32, &[&[rows, spec.chunk, spec.action_dim]])
}

/// Scores for every step of the transition.
pub fn score(spec: &RewardSpec, transition: &Batch, out: &Batch) -> Result<()> {
    let like = transition.find(names::TERMINATED).or_else(|| transition.find(names::ACTION));
    let score = out.find(names::REWARD).ok_or_else(|| missing(out, names::REWARD))?;
    let (rows, chunk) = like.map_or((score.dim(0), score.dim(1)), |t| (t.dim(0), t.dim(1)));
    fits(names::REWARD, score, DType::F32, &[&[rows, chunk]])?;
    if spec.decides_success {
        expect(out, names::SUCCESS, DType::Bool, &[&[rows]])?;
    }
    Ok(())
}

/// A robot's measurement: one row, with the time it was taken.
pub fn measurement(spec: &RobotSpec, out: &Batch) -> Result<()> {
    for feature in &spec.observation {
        expect(out, &feature.name, feature.dtype, &[&[1], feature.shape.as_slice()])?;
    }
    expect(out, "time_ns", DType::I64, &[&[1]])
}

pub fn frame(spec: &CameraSpec, out: &Batch) -> Result<()> {
    expect(out, "image", DType::U8, &[&[1, spec.height, spec.width, 3]])?;
    expect(out, "time_ns", DType::I64, &[&[1]])?;
    expect(out, "dropped", DType::I64, &[&[1]])
}

pub fn intervention(spec: &TeleopSpec, out: &Batch) -> Result<()> {
    expect(out, names::ACTION, DType::F32, &[&[1, spec.action.dim()]])?;
    expect(out, names::IS_INTERVENTION, DType::Bool, &[&[1]])?;
    expect(out, "event", DType::I64, &[&[1]])
}

fn expect(out: &Batch, name: &str, dtype: DType, shape: &[&[usize]]) -> Result<()> {
    fits(name, out.find(name).ok_or_else(|| missing(out, name))?, dtype, shape)
}

/// `shape` comes in parts, so that nothing is allocated on the way of a call that is in order.
fn fits(name: &str, tensor: &Tensor, dtype: DType, shape: &[&[usize]]) -> Result<()> {
    let rank = tensor.strides().len();
    let wanted = || shape.iter().flat_map(|part| part.iter().copied());
    let same = wanted().count() == rank && wanted().enumerate().all(|(axis, length)| tensor.dim(axis) == length);
    if tensor.dtype() != dtype || !same {
        let wanted: Vec<usize> = wanted().collect();
        return Err(wrong(format!("`{name}` as {:?} {:?}, which must be {dtype:?} {wanted:?}", tensor.dtype(), tensor.shape())));
    }
    let bad = match dtype {
        DType::F32 => tensor.as_slice::<f32>()?.iter().position(|v| !v.is_finite()),
        DType::F64 => tensor.as_slice::<f64>()?.iter().position(|v| !v.is_finite()),
        _ => None,
    };
    match bad {
        Some(at) => {
            let value = tensor.as_slice::<f32>().map(|v| f64::from(v[at])).or_else(|_| tensor.as_slice::<f64>().map(|v| v[at]))?;
            Err(Error::new(ErrorKind::Numerical, format!("returned `{name}` with the value {value} at {}", place(at, &tensor.shape()))))
        }
        None => Ok(()),
    }
}

/// Flat position as an index, e.g. `[3, 0]`.
fn place(mut at: usize, shape: &[usize]) -> String {
    let mut index = vec![0; shape.len()];
    for (i, &length) in shape.iter().enumerate().rev() {
        index[i] = at % length.max(1);
        at /= length.max(1);
    }
    format!("{index:?}")
}

fn wrong(what: String) -> Error {
    Error::internal(format!("returned {what}"))
}

fn missing(out: &Batch, name: &str) -> Error {
    let mut there: Vec<&str> = out.iter().map(|(name, _)| name).chain(out.iter_texts().map(|(name, _)| name)).collect();
    there.sort_unstable();
    wrong(format!("no `{name}` (it returned: {})", if there.is_empty() { "nothing".into() } else { there.join(", ") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_placed_in_their_tensor() {
        let mut values = vec![0f32; 12];
        values[7] = f32::NAN;
        let out = Batch::new().with("x", Tensor::from_vec(values, &[2, 3, 2]));
        // 7 = 1*6 + 0*2 + 1.
        let error = expect(&out, "x", DType::F32, &[&[2], &[3, 2]]).unwrap_err();
        assert_eq!((error.kind, error.to_string().as_str()), (ErrorKind::Numerical, "returned `x` with the value NaN at [1, 0, 1]"));
    }

    #[test]
    fn shape_dtype_and_absence_are_told() {
        let out = Batch::new().with("x", Tensor::zeros::<f32>(&[2, 3]));
        let check = |name: &str, dtype, shape: &[usize], words: &str| {
            let error = expect(&out, name, dtype, &[shape]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("x", DType::F32, &[2, 4], "`x` as F32 [2, 3], which must be F32 [2, 4]");
        check("x", DType::F32, &[2, 3, 1], "must be F32 [2, 3, 1]");
        check("x", DType::Bool, &[2, 3], "must be Bool");
        check("y", DType::F32, &[2, 3], "no `y` (it returned: x)");
    }
}
