//! An author's recorded cases: `cases/*.json`, inputs beside the outputs that are expected.
//!
//! ```json
//! {
//!   "config": "(scale: 5.0)",
//!   "calls": [
//!     {"reset": {"rows": [0]}},
//!     {"score": {"observation.state": [[0.5, 0.0, 0.1]]}, "steps": 2, "expect": {"next.reward": [[1.0, 1.0]]}}
//!   ],
//!   "tolerance": 1e-6
//! }
//! ```
//!
//! The calls of one file go to one instance, in this order. What is called depends on the kind: `score` of a reward, `act` of a policy, `review` of a
//! filter, `step` of an env, and `reset` of all. Numbers are f32, truth values bool; `{"dtype": "U8", "values": [...]}` says otherwise. A
//! list of texts is a text feature. `expect` names the outputs to compare, `error` a part of the message of a call that has to fail.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use twinhost_plugin_api::{ActionSpec, Batch, DType, Tensor};

use super::error::{During as _, Error, Result};

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(skip)]
    pub name: String,
    /// The component's configuration, as in a recipe.
    #[serde(default)]
    pub config: String,
    /// What the component is told about the environment's action; left out, a filter is told of motions in [-1, 1] and a policy of nothing.
    #[serde(default)]
    pub action: Option<ActionSpec>,
    pub calls: Vec<Call>,
    /// Largest difference of a number, times its size where that is above 1.
    #[serde(default)]
    pub tolerance: f64,
}

/// One call and what should come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    #[serde(default)]
    pub reset: Option<Reset>,
    #[serde(default)]
    pub score: Option<Map<String, Value>>,
    #[serde(default)]
    pub act: Option<Map<String, Value>>,
    #[serde(default)]
    pub review: Option<Map<String, Value>>,
    /// The proposed action of a review.
    #[serde(default)]
    pub action: Option<Value>,
    /// The actions of an env's step.
    #[serde(default)]
    pub step: Option<Value>,
    /// Control steps of a score, C.
    #[serde(default)]
    pub steps: Option<usize>,
    /// Seed of an act.
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub expect: Map<String, Value>,
    #[serde(default)]
    pub error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reset {
    /// Of a reward, policy or filter.
    pub rows: Vec<usize>,
    /// One per row (policy) or per environment (env).
    pub seeds: Vec<u64>,
    pub variant: String,
    pub auto_reset: bool,
}

/// Every case of a project, by name.
///
/// # Errors
/// If a file cannot be read or understood.
pub fn read(project: &Path) -> Result<Vec<Case>> {
    let folder = project.join("cases");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).during("list", &folder)?.flatten().map(|e| e.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    files.iter().map(|file| read_case(file)).collect()
}

fn read_case(file: &Path) -> Result<Case> {
    let text = std::fs::read_to_string(file).during("read", file)?;
    let mut case: Case = serde_json::from_str(&text).map_err(|e| Error::Project(format!("{}: {e}", file.display())))?;
    if !(0.0..=f64::MAX).contains(&case.tolerance) {
        return Err(Error::Project(format!("{}: field `tolerance`: must be a number >= 0, got {}", file.display(), case.tolerance)));
    }
    case.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(case)
}

/// The features of a call.
///
/// # Errors
/// A sentence with the feature's name, if its values are no tensor.
pub fn batch(features: &Map<String, Value>) -> Result<Batch, String> {
    let mut batch = Batch::new();
    for (name, value) in features {
        match value.as_array().filter(|items| !items.is_empty() && items.iter().all(Value::is_string)) {
            Some(texts) => batch.insert_text(name, texts.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect()),
            None => batch.insert(name, tensor(value).map_err(|e| format!("feature `{name}`: {e}"))?),
        }
    }
    Ok(batch)
}

/// A nested list as a tensor.
///
/// # Errors
/// If its parts have different lengths or kinds.
pub fn tensor(value: &Value) -> Result<Tensor, String> {
    let (dtype, values) = match value.as_object() {
        Some(object) => {
            let dtype = object.get("dtype").and_then(|d| serde_json::from_value::<DType>(d.clone()).ok());
            let dtype = dtype.ok_or("`dtype` must be one of F32, F64, I32, I64, U8, Bool")?;
            (Some(dtype), object.get("values").ok_or("has a `dtype` and no `values`")?)
        }
        None => (None, value),
    };
    let mut shape = Vec::new();
    let mut flat = Vec::new();
    flatten(values, 0, &mut shape, &mut flat)?;
    let dtype = dtype.unwrap_or(if flat.first().is_some_and(Value::is_boolean) { DType::Bool } else { DType::F32 });
    let number = |v: &Value| match v {
        Value::Number(n) => n.as_f64().ok_or_else(|| format!("{n} is too large")),
        Value::String(s) if s == "NaN" => Ok(f64::NAN),
        other => Err(format!("{other} is not a number (NaN is written \"NaN\")")),
    };
    let whole = |v: &Value| v.as_i64().ok_or_else(|| format!("{v} is not a whole number"));
    let numbers = || flat.iter().map(number).collect::<Result<Vec<f64>, String>>();
    Ok(match dtype {
        DType::F32 => Tensor::from_vec(numbers()?.iter().map(|&v| v as f32).collect(), &shape),
        DType::F64 => Tensor::from_vec(numbers()?, &shape),
        DType::I64 => Tensor::from_vec(flat.iter().map(whole).collect::<Result<Vec<_>, _>>()?, &shape),
        DType::I32 => Tensor::from_vec(flat.iter().map(|v| narrow(whole(v)?)).collect::<Result<Vec<i32>, _>>()?, &shape),
        DType::U8 => Tensor::from_vec(flat.iter().map(|v| narrow(whole(v)?)).collect::<Result<Vec<u8>, _>>()?, &shape),
        DType::Bool => {
            let truth = |v: &Value| v.as_bool().ok_or_else(|| format!("{v} is neither true nor false"));
            Tensor::from_vec(flat.iter().map(truth).collect::<Result<Vec<_>, _>>()?, &shape)
        }
        DType::F16 | DType::BF16 => return Err("half precision cannot be written here".into()),
    })
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, String> {
    T::try_from(value).map_err(|_| format!("{value} is out of range"))
}

fn flatten(value: &Value, depth: usize, shape: &mut Vec<usize>, flat: &mut Vec<Value>) -> Result<(), String> {
    let Some(items) = value.as_array() else {
        if depth < shape.len() {
            return Err(format!("{value} stands where a list should"));
        }
        flat.push(value.clone());
        return Ok(());
    };
    match shape.get(depth) {
        None if flat.is_empty() => shape.push(items.len()),
        Some(&length) if length == items.len() => {}
        _ => return Err(format!("lists of different lengths at depth {depth}")),
    }
    items.iter().try_for_each(|item| flatten(item, depth + 1, shape, flat))
}

/// The first difference between what came and what was expected, as a sentence.
pub fn difference(expected: &Map<String, Value>, got: &Batch, tolerance: f64) -> Option<String> {
    let differs = |name: &str, value: &Value| -> Result<Option<String>, String> {
        let want = tensor(value)?;
        let have = got.get(name).map_err(|e| e.to_string())?;
        if have.shape() != want.shape() {
            return Ok(Some(format!("has shape {:?}, expected {:?}", have.shape(), want.shape())));
        }
        let (have, want) = (numbers(have)?, numbers(&want)?);
        // Written so that NaN differs.
        let far = |(a, b): (&f64, &f64)| !(0.0..=tolerance * b.abs().max(1.0)).contains(&(a - b).abs());
        let at = have.iter().zip(&want).position(far);
        Ok(at.map(|at| format!("is {} at element {at}, expected {}", have[at], want[at])))
    };
    expected.iter().find_map(|(name, value)| match differs(name, value) {
        Ok(found) => found.map(|sentence| format!("`{name}` {sentence}")),
        Err(sentence) => Some(format!("`{name}`: {sentence}")),
    })
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>, String> {
    let numbers = match tensor.dtype() {
        DType::F32 => tensor.as_slice::<f32>().map(|v| v.iter().map(|&v| f64::from(v)).collect()),
        DType::F64 => tensor.as_slice::<f64>().map(<[f64]>::to_vec),
        DType::I32 => tensor.as_slice::<i32>().map(|v| v.iter().map(|&v| f64::from(v)).collect()),
        DType::I64 => tensor.as_slice::<i64>().map(|v| v.iter().map(|&v| v as f64).collect()),
        DType::U8 => tensor.as_slice::<u8>().map(|v| v.iter().map(|&v| f64::from(v)).collect()),
        DType::Bool => tensor.as_slice::<bool>().map(|v| v.iter().map(|&v| f64::from(u8::from(v))).collect()),
        DType::F16 | DType::BF16 => return Err("half precision cannot be compared here".into()),
    };
    numbers.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_become_tensors() {
        let check = |json: &str, expect: &str| {
            let told = match tensor(&serde_json::from_str(json).unwrap()) {
                Ok(t) => format!("{:?} {:?} {:?}", t.dtype(), t.shape(), numbers(&t).unwrap()),
                Err(e) => e,
            };
            assert!(told.contains(expect), "{json} became {told}");
        };
        check("[[1, 2.5], [3, 4]]", "F32 [2, 2] [1.0, 2.5, 3.0, 4.0]");
        check("[[true], [false]]", "Bool [2, 1] [1.0, 0.0]");
        check(r#"{"dtype": "U8", "values": [[1, 255]]}"#, "U8 [1, 2] [1.0, 255.0]");
        check("[]", "F32 [0] []");
        check("[[1, 2], [3]]", "different lengths");
        check("[[1], 2]", "stands where a list");
        check(r#"[1, "x"]"#, "not a number");
        check(r#"{"dtype": "U8", "values": [256]}"#, "out of range");
        check(r#"["NaN"]"#, "[NaN]");
    }

    #[test]
    fn differences_name_feature_and_place() {
        let got = Batch::new().with("r", Tensor::from_vec(vec![1.0f32, 2.0], &[1, 2]));
        let check = |json: &str, tolerance: f64, expect: Option<&str>| {
            let found = difference(serde_json::from_str::<Value>(json).unwrap().as_object().unwrap(), &got, tolerance);
            assert_eq!(found.is_some(), expect.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(expect.unwrap_or_default()));
        };
        check(r#"{"r": [[1.0, 2.0]]}"#, 0.0, None);
        // The tolerance grows with the number: 0.01 of 2.
        check(r#"{"r": [[1.0, 2.02]]}"#, 0.0100001, None);
        check(r#"{"r": [[1.0, 2.5]]}"#, 0.01, Some("`r` is 2 at element 1, expected 2.5"));
        check(r#"{"r": [[1.0]]}"#, 1.0, Some("shape"));
        check(r#"{"q": [[1.0]]}"#, 1.0, Some("no feature `q`"));
        check(r#"{"r": [["NaN", 2.0]]}"#, 1.0, Some("expected NaN"));
    }
}
