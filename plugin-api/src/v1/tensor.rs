//! Tensors as they cross the boundary: a typed, shaped view of memory whose owner is known.

use abi_stable::StableAbi;
use abi_stable::std_types::RVec;
use std::ffi::c_void;

use super::error::{Error, Result};

#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum DType {
    Bool,
    U8,
    I32,
    I64,
    F32,
    F64,
    F16,
    BF16,
}

impl DType {
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 => 1,
            DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }
}

/// Rust types that a tensor can hold.
pub trait Element: Copy + Default + Send + 'static {
    const DTYPE: DType;
}
macro_rules! element {
    ($($t:ty => $d:ident),*) => { $(impl Element for $t { const DTYPE: DType = DType::$d; })* };
}
element!(u8 => U8, i32 => I32, i64 => I64, f32 => F32, f64 => F64, bool => Bool);

/// Where the memory lives. v1 hosts and plugins exchange CPU memory; the field is there so that v1 can grow.
#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    Cuda,
}

/// A dense tensor that owns its memory through a deleter (the layout follows DLPack).
///
/// A `&Tensor` passed into a call is a borrowed view that lives for that call only.
/// `strides` count elements; tensors made by this crate are contiguous in row-major order.
#[repr(C)]
#[derive(StableAbi)]
pub struct Tensor {
    data: *mut u8,
    elements: usize,
    dtype: DType,
    device: Device,
    shape: RVec<i64>,
    strides: RVec<i64>,
    owner: *mut c_void,
    deleter: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: a tensor is the only handle to its memory, `Element` types are `Send`, and `&Tensor` gives read access only.
unsafe impl Send for Tensor {}
// SAFETY: see above; there is no interior mutability.
unsafe impl Sync for Tensor {}

unsafe extern "C" fn drop_vec<T>(owner: *mut c_void) {
    // SAFETY: `owner` came from `Box::into_raw(Box<Vec<T>>)` in `Tensor::from_vec::<T>` and is dropped exactly once.
    drop(unsafe { Box::from_raw(owner.cast::<Vec<T>>()) });
}

fn row_major(shape: &[usize]) -> RVec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i].max(1) as i64;
    }
    strides.into()
}

impl Tensor {
    /// Takes ownership of `values`, laid out row-major as `shape`.
    ///
    /// # Panics
    /// If the number of values is not the product of `shape`: that is a bug in the calling component.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        assert_eq!(values.len(), count, "{} values do not fill the shape {shape:?}", values.len());
        let mut owner = Box::new(values);
        Self {
            data: owner.as_mut_ptr().cast(),
            elements: count,
            dtype: T::DTYPE,
            device: Device::Cpu,
            shape: shape.iter().map(|&d| d as i64).collect(),
            strides: row_major(shape),
            owner: Box::into_raw(owner).cast(),
            deleter: drop_vec::<T>,
        }
    }

    pub fn zeros<T: Element>(shape: &[usize]) -> Self {
        Self::from_vec(vec![T::default(); shape.iter().product()], shape)
    }

    pub fn scalar<T: Element>(value: T) -> Self {
        Self::from_vec(vec![value], &[1])
    }

    /// Zero-filled tensor of a dtype known only at run time.
    ///
    /// # Errors
    /// `F16`/`BF16` have no Rust element type and are refused.
    pub fn zeros_of(dtype: DType, shape: &[usize]) -> Result<Self> {
        Ok(match dtype {
            DType::Bool => Self::zeros::<bool>(shape),
            DType::U8 => Self::zeros::<u8>(shape),
            DType::I32 => Self::zeros::<i32>(shape),
            DType::I64 => Self::zeros::<i64>(shape),
            DType::F32 => Self::zeros::<f32>(shape),
            DType::F64 => Self::zeros::<f64>(shape),
            DType::F16 | DType::BF16 => return Err(Error::unsupported(format!("tensors of {dtype:?} cannot be made on the CPU side"))),
        })
    }

    /// A tensor of a dtype known only at run time, from its raw bytes in this machine's order.
    ///
    /// # Errors
    /// If the bytes do not fill the shape, a boolean is neither 0 nor 1, or the dtype is `F16`/`BF16`.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self> {
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements.and_then(|n| n.checked_mul(dtype.size())) != Some(bytes.len()) {
            return Err(Error::input(format!("{} bytes do not fill a tensor of {dtype:?} {shape:?}", bytes.len())));
        }
        macro_rules! numbers {
            ($t:ty) => {{
                let values = bytes.chunks_exact(size_of::<$t>()).map(|b| <$t>::from_ne_bytes(b.try_into().expect("chunks have that size")));
                Ok(Self::from_vec(values.collect(), shape))
            }};
        }
        match dtype {
            DType::U8 => Ok(Self::from_vec(bytes.to_vec(), shape)),
            DType::I32 => numbers!(i32),
            DType::I64 => numbers!(i64),
            DType::F32 => numbers!(f32),
            DType::F64 => numbers!(f64),
            DType::Bool if bytes.iter().all(|b| *b <= 1) => Ok(Self::from_vec(bytes.iter().map(|b| *b == 1).collect(), shape)),
            DType::Bool => Err(Error::input("a boolean is neither 0 nor 1")),
            DType::F16 | DType::BF16 => Err(Error::unsupported(format!("tensors of {dtype:?} cannot be made on the CPU side"))),
        }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }
    pub fn device(&self) -> Device {
        self.device
    }
    pub fn shape(&self) -> Vec<usize> {
        self.shape.iter().map(|&d| d as usize).collect()
    }
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }
    pub fn dim(&self, axis: usize) -> usize {
        self.shape.get(axis).map_or(1, |&d| d as usize)
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.elements
    }
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }
    /// Elements in one entry of the first axis.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).map(|&d| d as usize).product()
    }

    fn check<T: Element>(&self) -> Result<()> {
        if self.dtype != T::DTYPE {
            return Err(Error::input(format!("expected a tensor of {:?}, got {:?} with shape {:?}", T::DTYPE, self.dtype, self.shape)));
        }
        self.check_host()
    }

    fn check_host(&self) -> Result<()> {
        if self.device != Device::Cpu {
            return Err(Error::input("expected a tensor in CPU memory, got one on a GPU"));
        }
        if !self.is_contiguous() {
            return Err(Error::input(format!(
                "tensor of shape {:?} is not contiguous (strides {:?}, {} elements)",
                self.shape, self.strides, self.elements
            )));
        }
        Ok(())
    }

    /// Row-major without gaps, with as many elements as the shape says. Allocates nothing: robots read their commands through this.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1i64;
        let strides_fit = self.shape.iter().zip(&self.strides).rev().all(|(&length, &stride)| {
            let fits = stride == expected;
            expected = expected.wrapping_mul(length.max(1));
            fits
        });
        let elements = self.shape.iter().try_fold(1usize, |n, &length| n.checked_mul(usize::try_from(length).ok()?));
        strides_fit && self.shape.len() == self.strides.len() && elements == Some(self.elements)
    }

    /// The elements, row-major.
    ///
    /// # Errors
    /// If the dtype differs, the memory is not on the CPU or not contiguous.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.check::<T>()?;
        if self.elements == 0 {
            return Ok(&[]);
        }
        // SAFETY: dtype, device and contiguity were checked; `data` points to `elements` initialised values that live as long as self.
        Ok(unsafe { std::slice::from_raw_parts(self.data.cast::<T>(), self.elements) })
    }

    /// # Errors
    /// As [`Tensor::as_slice`].
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T]> {
        self.check::<T>()?;
        if self.elements == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `as_slice`, and `&mut self` is the only access.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.data.cast::<T>(), self.elements) })
    }

    /// The raw bytes, for hashing, storage and copies that do not care about the dtype.
    ///
    /// # Errors
    /// If the memory is not contiguous CPU memory.
    pub fn bytes(&self) -> Result<&[u8]> {
        self.check_host()?;
        if self.elements == 0 {
            return Ok(&[]);
        }
        // SAFETY: contiguous CPU memory of `elements * size` bytes, all initialised.
        Ok(unsafe { std::slice::from_raw_parts(self.data, self.elements * self.dtype.size()) })
    }

    fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        self.check_host()?;
        if self.elements == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `bytes`; only called by this crate with bytes that came from a tensor of the same dtype.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.data, self.elements * self.dtype.size()) })
    }

    /// # Errors
    /// If the memory is not contiguous CPU memory, or of a dtype without a Rust element type.
    pub fn try_clone(&self) -> Result<Self> {
        let mut out = Self::zeros_of(self.dtype, &self.shape())?;
        out.bytes_mut()?.copy_from_slice(self.bytes()?);
        Ok(out)
    }

    /// Same memory, another shape.
    ///
    /// # Errors
    /// If the number of elements differs.
    pub fn reshape(mut self, shape: &[usize]) -> Result<Self> {
        self.check_host()?;
        if shape.iter().product::<usize>() != self.elements {
            return Err(Error::input(format!("cannot view {:?} as {shape:?}", self.shape)));
        }
        self.shape = shape.iter().map(|&d| d as i64).collect();
        self.strides = row_major(shape);
        Ok(self)
    }

    /// A copy of the given entries of the first axis, in that order.
    ///
    /// # Errors
    /// If an index is out of range.
    pub fn gather_rows(&self, rows: &[usize]) -> Result<Self> {
        let mut shape = self.shape();
        let available = *shape.first().ok_or_else(|| Error::input("a scalar has no rows to gather"))?;
        shape[0] = rows.len();
        let mut out = Self::zeros_of(self.dtype, &shape)?;
        let width = self.row_len() * self.dtype.size();
        let source = self.bytes()?;
        for (target, &row) in out.bytes_mut()?.chunks_exact_mut(width.max(1)).zip(rows) {
            if row >= available {
                return Err(Error::input(format!("row {row} is out of range for a tensor with {available} rows")));
            }
            target.copy_from_slice(&source[row * width..(row + 1) * width]);
        }
        Ok(out)
    }

    /// Joins tensors along the first axis.
    ///
    /// # Errors
    /// If `parts` is empty or dtypes or trailing shapes differ.
    pub fn concat_rows(parts: &[&Tensor]) -> Result<Self> {
        let first = parts.first().ok_or_else(|| Error::input("nothing to concatenate"))?;
        let mut shape = first.shape();
        shape[0] = 0;
        for part in parts {
            if part.dtype != first.dtype || part.shape[1..] != first.shape[1..] {
                return Err(Error::input(format!(
                    "cannot concatenate {:?} {:?} with {:?} {:?}",
                    first.dtype, first.shape, part.dtype, part.shape
                )));
            }
            shape[0] += part.dim(0);
        }
        let mut out = Self::zeros_of(first.dtype, &shape)?;
        let mut at = 0;
        let target = out.bytes_mut()?;
        for part in parts {
            let bytes = part.bytes()?;
            target[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        }
        Ok(out)
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: `owner` and `deleter` were paired by the constructor, and a tensor is dropped once.
        unsafe { (self.deleter)(self.owner) }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({:?} {:?})", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gather_and_concat_copy_whole_rows() {
        let t = Tensor::from_vec((0..6).map(|v| v as f32).collect(), &[3, 2]);
        let g = t.gather_rows(&[2, 0]).unwrap();
        assert_eq!(g.as_slice::<f32>().unwrap(), &[4.0, 5.0, 0.0, 1.0]);
        let c = Tensor::concat_rows(&[&g, &t]).unwrap();
        assert_eq!(c.shape(), [5, 2]);
        assert_eq!(c.as_slice::<f32>().unwrap()[4..], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(t.gather_rows(&[3]).unwrap_err().to_string().contains("row 3"));
    }

    #[test]
    fn a_wrong_dtype_is_named() {
        let e = Tensor::zeros::<u8>(&[2, 2]).as_slice::<f32>().unwrap_err().to_string();
        assert!(e.contains("F32") && e.contains("U8") && e.contains("[2, 2]"), "{e}");
    }

    #[test]
    fn bytes_become_the_tensor_they_came_from_or_nothing() {
        let t = Tensor::from_vec(vec![1.5f32, -2.0], &[1, 2]);
        let again = Tensor::from_bytes(DType::F32, &[1, 2], t.bytes().unwrap()).unwrap();
        assert_eq!(again.as_slice::<f32>().unwrap(), [1.5, -2.0]);
        assert!(Tensor::from_bytes(DType::F32, &[3], t.bytes().unwrap()).is_err());
        assert!(Tensor::from_bytes(DType::F32, &[usize::MAX, 8], t.bytes().unwrap()).is_err());
        assert!(Tensor::from_bytes(DType::Bool, &[1], &[2]).is_err());
    }

    #[test]
    fn empty_tensors_are_fine() {
        let t = Tensor::zeros::<i64>(&[0, 4]);
        assert_eq!(t.as_slice::<i64>().unwrap(), &[] as &[i64]);
        assert_eq!(t.gather_rows(&[]).unwrap().shape(), [0, 4]);
    }
}
