//! Between parquet columns and tensors: numbers as (nested) lists, images as PNG files inside the table.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int32Type, Int64Type, UInt8Type};
use std::sync::Arc;
use twinhost_plugin_api::{DType, Element, Tensor};

/// Where each row of a parquet batch belongs in the tensor being filled; `None` rows are not wanted.
pub type Targets<'a> = &'a [Option<usize>];

fn arrow_type(dtype: DType) -> Result<DataType, String> {
    Ok(match dtype {
        DType::Bool => DataType::Boolean,
        DType::U8 => DataType::UInt8,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::F32 => DataType::Float32,
        DType::F64 => DataType::Float64,
        DType::F16 | DType::BF16 => return Err(format!("{dtype:?} cannot be stored")),
    })
}

fn element(inner: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", inner, true))
}

/// A tensor `[T, ...]` as a parquet column of T rows.
pub fn encode(tensor: &Tensor) -> Result<ArrayRef, String> {
    let leaf = match tensor.dtype() {
        DType::Bool => Arc::new(BooleanArray::from(values::<bool>(tensor)?.to_vec())) as ArrayRef,
        DType::U8 => primitive::<UInt8Type>(tensor)?,
        DType::I32 => primitive::<Int32Type>(tensor)?,
        DType::I64 => primitive::<Int64Type>(tensor)?,
        DType::F32 => primitive::<Float32Type>(tensor)?,
        DType::F64 => primitive::<Float64Type>(tensor)?,
        DType::F16 | DType::BF16 => return Err(format!("{:?} cannot be stored", tensor.dtype())),
    };
    let shape = tensor.shape();
    Ok(match shape.get(1..).unwrap_or_default() {
        [] | [1] => leaf,
        [n] => Arc::new(FixedSizeListArray::new(element(leaf.data_type().clone()), *n as i32, leaf, None)),
        _ => as_lists(leaf, &shape),
    })
}

/// A tensor f64 `[T, ...]` as T rows of (nested) variable-length lists, one level for each further axis.
pub fn encode_as_lists(tensor: &Tensor) -> Result<ArrayRef, String> {
    Ok(as_lists(primitive::<Float64Type>(tensor)?, &tensor.shape()))
}

fn as_lists(leaf: ArrayRef, shape: &[usize]) -> ArrayRef {
    (1..shape.len()).rev().fold(leaf, |inner, axis| {
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(shape[axis], shape[..axis].iter().product()));
        Arc::new(ListArray::new(element(inner.data_type().clone()), offsets, inner, None))
    })
}

fn values<T: Element>(tensor: &Tensor) -> Result<&[T], String> {
    tensor.as_slice::<T>().map_err(|e| e.to_string())
}

fn primitive<P: ArrowPrimitiveType>(tensor: &Tensor) -> Result<ArrayRef, String>
where
    P::Native: Element,
{
    Ok(Arc::new(PrimitiveArray::<P>::from_iter_values(values::<P::Native>(tensor)?.iter().copied())))
}

/// Copies a column's rows to their targets in `out` (`[N, ...]`, whose dtype and shape the column must have or be castable to).
pub fn decode(column: &ArrayRef, targets: Targets<'_>, out: &mut Tensor) -> Result<(), String> {
    let shape = out.shape();
    let leaf = flatten(column, shape.get(1..).unwrap_or_default())?;
    if leaf.null_count() > 0 {
        return Err(format!("{} values are null", leaf.null_count()));
    }
    let leaf = cast(&leaf, &arrow_type(out.dtype())?).map_err(|e| e.to_string())?;
    match out.dtype() {
        DType::Bool => scatter(&leaf.as_boolean().values().iter().collect::<Vec<bool>>(), targets, out),
        DType::U8 => scatter(leaf.as_primitive::<UInt8Type>().values(), targets, out),
        DType::I32 => scatter(leaf.as_primitive::<Int32Type>().values(), targets, out),
        DType::I64 => scatter(leaf.as_primitive::<Int64Type>().values(), targets, out),
        DType::F32 => scatter(leaf.as_primitive::<Float32Type>().values(), targets, out),
        DType::F64 => scatter(leaf.as_primitive::<Float64Type>().values(), targets, out),
        DType::F16 | DType::BF16 => Err(format!("{:?} cannot be read", out.dtype())),
    }
}

/// The numbers inside (nested) lists, whose lengths must be those of `shape`.
fn flatten(column: &ArrayRef, shape: &[usize]) -> Result<ArrayRef, String> {
    let mut array = column.clone();
    let mut axis = 0;
    loop {
        if array.data_type().is_nested() && array.null_count() > 0 {
            return Err(format!("{} rows are null", array.null_count()));
        }
        let expected = shape.get(axis).copied().unwrap_or(1);
        let wrong = |found: usize| format!("a list has {found} entries where the feature's shape {shape:?} says {expected}");
        array = match array.data_type() {
            DataType::FixedSizeList(_, n) if *n as usize != expected => return Err(wrong(*n as usize)),
            DataType::FixedSizeList(..) => array.as_fixed_size_list().values().clone(),
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                check_lengths(lists.offsets().lengths(), expected).map_err(wrong)?;
                let (from, to) = (lists.value_offsets()[0] as usize, lists.value_offsets()[lists.len()] as usize);
                lists.values().slice(from, to - from)
            }
            DataType::LargeList(_) => {
                let lists = array.as_list::<i64>();
                check_lengths(lists.offsets().lengths(), expected).map_err(wrong)?;
                let (from, to) = (lists.value_offsets()[0] as usize, lists.value_offsets()[lists.len()] as usize);
                lists.values().slice(from, to - from)
            }
            _ => break,
        };
        axis += 1;
    }
    let expected = column.len() * shape.iter().product::<usize>();
    if array.len() == expected {
        Ok(array)
    } else {
        Err(format!("{} values in {} rows do not fill the feature's shape {shape:?}", array.len(), column.len()))
    }
}

fn check_lengths(mut lengths: impl Iterator<Item = usize>, expected: usize) -> Result<(), usize> {
    lengths.find(|&n| n != expected).map_or(Ok(()), Err)
}

fn scatter<T: Element>(values: &[T], targets: Targets<'_>, out: &mut Tensor) -> Result<(), String> {
    let width = out.row_len().max(1);
    let rows = out.as_mut_slice::<T>().map_err(|e| e.to_string())?;
    for (value, target) in values.chunks_exact(width).zip(targets) {
        if let Some(row) = *target {
            rows[row * width..(row + 1) * width].copy_from_slice(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(tensor: &Tensor) -> Tensor {
        let column = encode(tensor).unwrap();
        let mut shape = tensor.shape();
        assert_eq!(column.len(), shape[0]);
        // Backwards, with a row that nobody wants, into a larger tensor.
        let rows = shape[0];
        let targets: Vec<Option<usize>> = (0..rows).map(|r| (r != 1).then_some(rows - r)).collect();
        shape[0] += 1;
        let mut out = Tensor::zeros_of(tensor.dtype(), &shape).unwrap();
        decode(&column, &targets, &mut out).unwrap();
        out
    }

    proptest! {
        #[test]
        fn every_shape_survives_a_round_trip(rows in 1usize..5, dims in prop::collection::vec(1usize..4, 1..4)) {
            let shape: Vec<usize> = std::iter::once(rows).chain(dims.iter().copied()).collect();
            let count: usize = shape.iter().product();
            let t = Tensor::from_vec((0..count).map(|v| v as f64 + 0.5).collect(), &shape);
            let back = round_trip(&t);
            let width = t.row_len();
            let (source, found) = (t.as_slice::<f64>().unwrap(), back.as_slice::<f64>().unwrap());
            for r in (0..rows).filter(|&r| r != 1) {
                prop_assert_eq!(&source[r * width..(r + 1) * width], &found[(rows - r) * width..(rows - r + 1) * width]);
            }
            if rows > 1 {
                prop_assert!(found[(rows - 1) * width..rows * width].iter().all(|&v| v == 0.0));
            }
        }
    }

    #[test]
    fn booleans_and_bytes_too() {
        let t = round_trip(&Tensor::from_vec(vec![true, true], &[2, 1]));
        assert_eq!(t.as_slice::<bool>().unwrap(), [false, false, true]);
        let t = round_trip(&Tensor::from_vec(vec![7u8, 8, 9, 10], &[2, 2]));
        assert_eq!(t.as_slice::<u8>().unwrap(), [0, 0, 0, 0, 7, 8]);
    }

    #[test]
    fn a_list_of_the_wrong_length_and_nulls_are_refused() {
        let column = encode(&Tensor::zeros::<f32>(&[2, 3])).unwrap();
        let e = decode(&column, &[Some(0), Some(1)], &mut Tensor::zeros::<f32>(&[2, 4])).unwrap_err();
        assert!(e.contains("3 entries") && e.contains("[4]"), "{e}");
        let nulls = Arc::new(PrimitiveArray::<Float32Type>::from(vec![Some(1.0), None])) as ArrayRef;
        let e = decode(&nulls, &[Some(0), Some(1)], &mut Tensor::zeros::<f32>(&[2, 1])).unwrap_err();
        assert!(e.contains("null"), "{e}");
    }
}
