//! Batches on their way into and out of the sandbox.

use twinhost_plugin_api::{Batch, DType, Error, ErrorKind, Result, Tensor, names};

use super::bindings::{env_types, types};

/// Views of a batch's features in the form a guest gets them.
pub struct Outgoing<'a> {
    rows: u32,
    tensors: Vec<(&'a str, Vec<u32>, &'a Tensor)>,
    texts: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Outgoing<'a> {
    /// The features named in `needs`, in that order.
    ///
    /// # Errors
    /// If one is missing; only those of ended episodes may be.
    pub fn new(batch: &'a Batch, needs: &'a [String], rows: usize) -> Result<Self> {
        let (mut tensors, mut texts) = (Vec::with_capacity(needs.len()), Vec::new());
        for name in needs {
            if let Some(tensor) = batch.find(name) {
                let shape = tensor.shape().into_iter().map(size).collect::<Result<_>>()?;
                tensors.push((name.as_str(), shape, tensor));
            } else if let Ok(found) = batch.texts(name) {
                texts.push((name.as_str(), found.iter().map(|text| text.as_str()).collect()));
            } else if !name.starts_with(names::FINAL) {
                return Err(batch.get(name).err().unwrap_or_else(|| Error::internal("a missing feature was found")));
            }
        }
        Ok(Self { rows: size(rows)?, tensors, texts })
    }

    /// Calls `call` with the guest's view.
    ///
    /// # Errors
    /// If a tensor is not in plain host memory or of a type that guests do not have.
    pub fn with<T>(&self, call: impl FnOnce(types::Batch<'_>) -> Result<T>) -> Result<T> {
        let tensors = self
            .tensors
            .iter()
            .map(|(name, shape, tensor)| {
                let values = values(tensor).map_err(|e| e.context(format!("feature `{name}`")))?;
                Ok(types::Tensor { name, shape, values })
            })
            .collect::<Result<Vec<_>>>()?;
        let texts: Vec<_> = self.texts.iter().map(|(name, values)| types::Texts { name, values }).collect();
        call(types::Batch { rows: self.rows, tensors: &tensors, texts: &texts })
    }
}

/// A length or an index as guests count.
pub fn size(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::input(format!("{length} is more than a sandboxed component can count")))
}

pub fn sizes(rows: &[usize]) -> Result<Vec<u32>> {
    rows.iter().map(|&row| size(row)).collect()
}

fn values(tensor: &Tensor) -> Result<types::Values<'_>> {
    Ok(match tensor.dtype() {
        DType::F32 => types::Values::Float32(tensor.as_slice()?),
        DType::F64 => types::Values::Float64(tensor.as_slice()?),
        DType::I32 => types::Values::Int32(tensor.as_slice()?),
        DType::I64 => types::Values::Int64(tensor.as_slice()?),
        DType::U8 => types::Values::Uint8(tensor.as_slice()?),
        DType::Bool => types::Values::Boolean(tensor.bytes()?),
        other @ (DType::F16 | DType::BF16) => {
            return Err(Error::unsupported(format!("sandboxed components have no {other:?} values")));
        }
    })
}

/// f32 values of a stated shape.
///
/// # Errors
/// If there are more or fewer.
pub fn floats(name: &str, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    fitting(name, values.len(), shape)?;
    Ok(Tensor::from_vec(values, shape))
}

/// Truth values of a stated shape, from bytes.
///
/// # Errors
/// If there are more or fewer, or one is neither 0 nor 1.
pub fn truths(name: &str, values: &[u8], shape: &[usize]) -> Result<Tensor> {
    fitting(name, values.len(), shape)?;
    let truth = |&value: &u8| match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Error::internal(format!("returned `{name}` with the value {other}, and truth values are 0 or 1"))),
    };
    Ok(Tensor::from_vec(values.iter().map(truth).collect::<Result<Vec<bool>>>()?, shape))
}

fn fitting(name: &str, length: usize, shape: &[usize]) -> Result<()> {
    // Lengths are the guest's own words, so their product may be anything.
    let wanted = shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    if wanted == Some(length) {
        return Ok(());
    }
    Err(Error::internal(format!("returned `{name}` with {length} values, which must be {shape:?}")))
}

/// A batch that an environment made.
///
/// # Errors
/// If a tensor's values do not fit its shape, or a name comes twice.
pub fn incoming(batch: env_types::Batch) -> Result<Batch> {
    use env_types::Values;
    let mut out = Batch::new();
    for tensor in batch.tensors {
        let name = tensor.name;
        let shape: Vec<usize> = tensor.shape.iter().map(|&length| length as usize).collect();
        macro_rules! plain {
            ($values:expr) => {{
                fitting(&name, $values.len(), &shape)?;
                Tensor::from_vec($values, &shape)
            }};
        }
        let values = match tensor.values {
            Values::Float32(values) => plain!(values),
            Values::Float64(values) => plain!(values),
            Values::Int32(values) => plain!(values),
            Values::Int64(values) => plain!(values),
            Values::Uint8(values) => plain!(values),
            Values::Boolean(values) => truths(&name, &values, &shape)?,
        };
        if out.find(&name).is_some() {
            return Err(Error::internal(format!("returned `{name}` twice")));
        }
        out.insert(name, values);
    }
    for texts in batch.texts {
        out.insert_text(texts.name, texts.values);
    }
    Ok(out)
}

/// A guest's own error as the host's.
macro_rules! own_error {
    ($name:ident, $types:ident) => {
        pub fn $name(error: $types::Error) -> Error {
            let kind = match error.kind {
                $types::ErrorKind::Config => ErrorKind::InvalidConfig,
                $types::ErrorKind::Input => ErrorKind::InvalidInput,
                $types::ErrorKind::Numerical => ErrorKind::Numerical,
                $types::ErrorKind::Unsupported => ErrorKind::Unsupported,
                $types::ErrorKind::Internal => ErrorKind::Internal,
            };
            match error.field {
                Some(field) if kind == ErrorKind::InvalidConfig => Error::config(field, error.message),
                _ => Error::new(kind, error.message),
            }
        }
    };
}
own_error!(own_error, types);
own_error!(own_env_error, env_types);
