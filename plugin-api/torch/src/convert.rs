//! Host tensors to torch tensors and back.
//!
//! Both directions copy. A host tensor is borrowed for one call, while the autograd graph built from it lives until `backward`; and a
//! torch tensor may share its storage with the policy's own buffers. A copy costs far less than the forward pass that follows.

use super::TorchResult;
use tch::{Kind, Tensor as Torch};

use twinhost_plugin_api::v1::{DType, Error, Result, Tensor};

fn kind_of(dtype: DType) -> Kind {
    match dtype {
        DType::Bool => Kind::Bool,
        DType::U8 => Kind::Uint8,
        DType::I32 => Kind::Int,
        DType::I64 => Kind::Int64,
        DType::F32 => Kind::Float,
        DType::F64 => Kind::Double,
        DType::F16 => Kind::Half,
        DType::BF16 => Kind::BFloat16,
    }
}

/// A torch tensor in CPU memory with the same dtype, shape and values.
///
/// # Errors
/// If `tensor` is not contiguous CPU memory.
pub fn to_torch(tensor: &Tensor) -> Result<Torch> {
    let shape: Vec<i64> = tensor.shape().iter().map(|&d| d as i64).collect();
    Torch::f_from_data_size(tensor.bytes()?, &shape, kind_of(tensor.dtype())).or_error()
}

/// The values of a torch tensor from any device, without its graph. Half precision becomes f32, which holds every such value.
///
/// # Errors
/// If the dtype has no counterpart on the host.
pub fn from_torch(tensor: &Torch) -> Result<Tensor> {
    let shape: Vec<usize> = tensor.size().iter().map(|&d| d as usize).collect();
    let host = tensor.detach().f_to_device(tch::Device::Cpu).or_error()?;
    fn read<T: twinhost_plugin_api::v1::Element + tch::kind::Element>(host: &Torch, shape: &[usize]) -> Result<Tensor> {
        let mut values = vec![T::default(); host.numel()];
        host.f_contiguous().or_error()?.f_copy_data(&mut values, host.numel()).or_error()?;
        Ok(Tensor::from_vec(values, shape))
    }
    match host.f_kind().or_error()? {
        Kind::Bool => read::<bool>(&host, &shape),
        Kind::Uint8 => read::<u8>(&host, &shape),
        Kind::Int => read::<i32>(&host, &shape),
        Kind::Int64 => read::<i64>(&host, &shape),
        Kind::Float => read::<f32>(&host, &shape),
        Kind::Double => read::<f64>(&host, &shape),
        Kind::Half | Kind::BFloat16 => read::<f32>(&host.f_to_kind(Kind::Float).or_error()?, &shape),
        other => Err(Error::unsupported(format!("a torch tensor of {other:?} has no counterpart on the host"))),
    }
}

/// Refuses NaN and infinity.
///
/// # Errors
/// `Numerical`, naming `what` and the first offending position (row-major).
pub fn check_finite(tensor: &Tensor, what: &str) -> Result<()> {
    let first = match tensor.dtype() {
        DType::F32 => tensor.as_slice::<f32>()?.iter().position(|v| !v.is_finite()),
        DType::F64 => tensor.as_slice::<f64>()?.iter().position(|v| !v.is_finite()),
        _ => None,
    };
    match first {
        None => Ok(()),
        Some(at) => Err(Error::numerical(format!("`{what}` of shape {:?} is not finite at element {at}", tensor.shape()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_round_trip() {
        let t = Tensor::from_vec(vec![1.5f32, -2.0, 3.25, 0.0, 7.0, -0.5], &[2, 3]);
        let back = from_torch(&to_torch(&t).unwrap()).unwrap();
        assert_eq!(back.shape(), [2, 3]);
        assert_eq!(back.as_slice::<f32>().unwrap(), t.as_slice::<f32>().unwrap());
        let b = Tensor::from_vec(vec![true, false, true], &[3]);
        assert_eq!(from_torch(&to_torch(&b).unwrap()).unwrap().as_slice::<bool>().unwrap(), [true, false, true]);
    }

    #[test]
    fn a_transposed_torch_tensor_is_read_row_major() {
        let t = Torch::from_slice(&[1i64, 2, 3, 4, 5, 6]).view([2, 3]).transpose(0, 1);
        let host = from_torch(&t).unwrap();
        assert_eq!(host.shape(), [3, 2]);
        assert_eq!(host.as_slice::<i64>().unwrap(), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn half_precision_widens_and_empty_is_fine() {
        let half = Torch::from_slice(&[0.5f32, -3.0]).to_kind(Kind::BFloat16);
        assert_eq!(from_torch(&half).unwrap().as_slice::<f32>().unwrap(), [0.5, -3.0]);
        assert_eq!(to_torch(&Tensor::zeros::<f32>(&[0, 7])).unwrap().size(), [0, 7]);
    }

    #[test]
    fn the_first_non_finite_value_is_named() {
        let t = Tensor::from_vec(vec![0f32, f32::INFINITY, f32::NAN], &[3]);
        let e = check_finite(&t, "action").unwrap_err().to_string();
        assert!(e.contains("`action`") && e.contains("element 1"), "{e}");
    }
}
