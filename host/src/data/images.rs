//! Camera frames as PNG files inside a table, encoded and decoded on all cores.

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageFormat};
use std::sync::Arc;
use twinhost_plugin_api::Tensor;

use super::columns::Targets;

/// As HuggingFace's `Image` feature is stored.
fn fields() -> Fields {
    vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into()
}

/// Runs `work` on every job, shared out to all cores; the first error in job order is returned.
fn on_all_cores<J: Send, R: Send>(jobs: Vec<J>, work: impl Fn(J) -> Result<R, String> + Sync) -> Result<Vec<R>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = jobs.len().div_ceil(threads).max(1);
    let mut jobs = jobs.into_iter();
    let shares: Vec<Vec<J>> = std::iter::from_fn(|| Some(jobs.by_ref().take(share).collect()).filter(|s: &Vec<J>| !s.is_empty())).collect();
    let work = &work;
    std::thread::scope(|scope| {
        let handles: Vec<_> =
            shares.into_iter().map(|s| scope.spawn(move || s.into_iter().map(work).collect::<Result<Vec<R>, String>>())).collect();
        let mut all = Vec::new();
        for handle in handles {
            all.extend(handle.join().map_err(|_| "an image worker panicked".to_string())??);
        }
        Ok(all)
    })
}

/// u8 `[height, width, 3]` as a PNG file.
pub fn encode_png(pixels: &[u8], height: usize, width: usize) -> Result<Vec<u8>, String> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, width as u32, height as u32, ExtendedColorType::Rgb8)
        .map_err(|e| e.to_string())?;
    Ok(png)
}

/// A tensor u8 `[T, H, W, 3]` as a column of T PNG files.
pub fn encode(frames: &Tensor) -> Result<ArrayRef, String> {
    let shape = frames.shape();
    let &[rows, height, width, 3] = shape.as_slice() else {
        return Err(format!("images must be [frames, height, width, 3], got {shape:?}"));
    };
    let pixels = frames.as_slice::<u8>().map_err(|e| e.to_string())?;
    let jobs: Vec<&[u8]> = pixels.chunks_exact((height * width * 3).max(1)).collect();
    let files = on_all_cores(jobs, |frame| encode_png(frame, height, width))?;
    let mut bytes = BinaryBuilder::with_capacity(rows, files.iter().map(Vec::len).sum());
    let mut paths = StringBuilder::new();
    for (t, file) in files.iter().enumerate() {
        bytes.append_value(file);
        paths.append_value(format!("frame-{t:06}.png"));
    }
    Ok(Arc::new(StructArray::new(fields(), vec![Arc::new(bytes.finish()), Arc::new(paths.finish())], None)))
}

/// Decodes the wanted rows of a PNG column into `out`, u8 `[N, H, W, 3]`.
pub fn decode(column: &ArrayRef, targets: Targets<'_>, out: &mut Tensor) -> Result<(), String> {
    let files = match column.data_type() {
        DataType::Struct(_) => column.as_struct().column_by_name("bytes").cloned().ok_or("an image column without `bytes`")?,
        _ => column.clone(),
    };
    let file = |row: usize| -> Option<&[u8]> {
        match files.data_type() {
            _ if files.is_null(row) => None,
            DataType::Binary => Some(files.as_binary::<i32>().value(row)),
            DataType::LargeBinary => Some(files.as_binary::<i64>().value(row)),
            _ => None,
        }
    };
    let shape = out.shape();
    let (height, width, row_len) = (shape[1], shape[2], out.row_len().max(1));
    let mut slots: Vec<Option<&mut [u8]>> =
        out.as_mut_slice::<u8>().map_err(|e| e.to_string())?.chunks_exact_mut(row_len).map(Some).collect();
    let mut jobs = Vec::new();
    for (row, target) in targets.iter().enumerate() {
        let Some(slot) = target.and_then(|t| slots.get_mut(t)).and_then(Option::take) else { continue };
        let png = file(row).ok_or_else(|| format!("row {row} holds no PNG bytes (images stored as separate files are not supported)"))?;
        jobs.push((row, png, slot));
    }
    on_all_cores(jobs, |(row, png, slot)| decode_png(png, height, width, slot).map_err(|e| format!("row {row}: {e}")))?;
    Ok(())
}

fn decode_png(png: &[u8], height: usize, width: usize, out: &mut [u8]) -> Result<(), String> {
    let image = image::load_from_memory_with_format(png, ImageFormat::Png).map_err(|e| format!("not a readable PNG image: {e}"))?;
    if (image.height() as usize, image.width() as usize) != (height, width) {
        return Err(format!("the image is {}x{} but the feature says {height}x{width} (height x width)", image.height(), image.width()));
    }
    out.copy_from_slice(&image.into_rgb8());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_a_round_trip_in_any_order() {
        let frames = Tensor::from_vec((0..5 * 4 * 6 * 3).map(|v| (v * 7 % 251) as u8).collect(), &[5, 4, 6, 3]);
        let column = encode(&frames).unwrap();
        let mut back = Tensor::zeros::<u8>(&[4, 4, 6, 3]);
        decode(&column, &[Some(3), None, Some(0), Some(1), Some(2)], &mut back).unwrap();
        let expected = frames.gather_rows(&[2, 3, 4, 0]).unwrap();
        assert_eq!(back.as_slice::<u8>().unwrap(), expected.as_slice::<u8>().unwrap());
    }

    #[test]
    fn a_frame_of_another_size_is_refused_with_both_sizes() {
        let column = encode(&Tensor::zeros::<u8>(&[1, 4, 6, 3])).unwrap();
        let e = decode(&column, &[Some(0)], &mut Tensor::zeros::<u8>(&[1, 6, 4, 3])).unwrap_err();
        assert!(e.contains("4x6") && e.contains("6x4"), "{e}");
    }
}
