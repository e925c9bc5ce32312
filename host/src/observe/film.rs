//! Films of episodes: a small looping GIF for the report and a PNG filmstrip for print and papers.
//!
//! A GIF frame stores only the pixels that changed visibly since the last one (the rest is transparent), which suits a fixed camera: an
//! 80-step episode stays well below the 300 KB that a self-contained report can afford. If it does not, frames are dropped, then halved.

use color_quant::NeuQuant;
use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use twinhost_plugin_api::Tensor;

use super::durable;
use super::error::{Error, Result};

/// Largest animation that [`write_film`] aims for.
pub const ANIMATION_BYTES: usize = 300_000;
/// How long the last frame stays before the loop starts again, so that one sees how the episode ended.
const FINAL_HOLD_SECONDS: f64 = 1.2;
/// A GIF's sides are 16-bit numbers; nobody films an episode in more than this.
const MAX_SIDE: usize = 4096;
const STRIP_FRAMES: usize = 8;
const STRIP_GAP: u32 = 2;
/// (largest change of a channel that is not drawn, every how many frames one is kept), from best to smallest.
const QUALITY: [(u8, usize); 5] = [(5, 1), (10, 1), (10, 2), (18, 2), (24, 4)];

/// What [`write_film`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilmFiles {
    pub animation: PathBuf,
    pub strip: PathBuf,
}

/// Writes `STEM.gif` and `STEM.png` from frames u8 `[H, W, 3]`, of which one is shown per `frame_seconds`.
///
/// # Errors
/// If there is no frame, a frame is no RGB image or has another size than the first, or writing fails.
pub fn write_film(frames: &[Tensor], frame_seconds: f64, stem: &Path) -> Result<FilmFiles> {
    let images = frames.iter().map(rgb_image).collect::<Result<Vec<_>>>()?;
    let first = images.first().ok_or_else(|| Error::Refused(format!("the film {} has no frames", stem.display())))?;
    if let Some(odd) = images.iter().find(|i| i.dimensions() != first.dimensions()) {
        return Err(Error::Refused(format!("a film's frames must have one size, got {:?} and {:?}", first.dimensions(), odd.dimensions())));
    }
    let with_extension = |e: &str| PathBuf::from(format!("{}.{e}", stem.display()));
    let files = FilmFiles { animation: with_extension("gif"), strip: with_extension("png") };
    let animation = animation(&images, frame_seconds, ANIMATION_BYTES).map_err(|e| cannot_encode(&files.animation, &e))?;
    durable::write_file(&files.animation, &animation)?;
    durable::write_file(&files.strip, &strip(&images).map_err(|e| cannot_encode(&files.strip, &e))?)?;
    Ok(files)
}

fn cannot_encode(path: &Path, cause: &dyn std::error::Error) -> Error {
    Error::format(path, 0, format!("cannot be encoded: {cause}"))
}

fn rgb_image(frame: &Tensor) -> Result<RgbImage> {
    let refused = || Error::Refused(format!("a film's frame must be u8 [height, width, 3] with sides of 1 to {MAX_SIDE}, got {frame:?}"));
    let [height, width, 3] = frame.shape()[..] else { return Err(refused()) };
    let pixels = frame.as_slice::<u8>().map_err(|_| refused())?;
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(refused());
    }
    RgbImage::from_raw(width as u32, height as u32, pixels.to_vec()).ok_or_else(refused)
}

/// The best quality that fits the budget, or the smallest there is.
fn animation(images: &[RgbImage], frame_seconds: f64, budget: usize) -> Result<Vec<u8>, gif::EncodingError> {
    let mut images = images.to_vec();
    loop {
        let palette = Palette::of(&images);
        let mut gif = Vec::new();
        for (tolerance, stride) in QUALITY {
            gif = encode_gif(&images, &palette, frame_seconds, tolerance, stride)?;
            if gif.len() <= budget {
                return Ok(gif);
            }
        }
        let (width, height) = (images[0].width() / 2, images[0].height() / 2);
        if width.min(height) < 32 {
            return Ok(gif);
        }
        images = images.iter().map(|i| imageops::resize(i, width, height, FilterType::Triangle)).collect();
    }
}

/// Up to 255 colours shared by all frames, so that none needs a table of its own; index 255 is the transparent one.
enum Palette {
    Exact(BTreeMap<[u8; 3], u8>),
    Quantised(NeuQuant),
}

const TRANSPARENT: u8 = 255;
/// Pixels from which a quantised palette is learned.
const PALETTE_SAMPLE: usize = 1 << 17;

impl Palette {
    fn of(images: &[RgbImage]) -> Self {
        let pixels = || images.iter().flat_map(|i| i.pixels().map(|p| p.0));
        let mut colours = BTreeSet::new();
        for colour in pixels() {
            colours.insert(colour);
            if colours.len() > usize::from(TRANSPARENT) {
                let total: usize = images.iter().map(|i| i.as_raw().len() / 3).sum();
                // An odd step, so that the sample does not follow the columns of even-sized images.
                let step = (total / PALETTE_SAMPLE) | 1;
                let sample: Vec<u8> = pixels().step_by(step).flat_map(|[r, g, b]| [r, g, b, 255]).collect();
                return Self::Quantised(NeuQuant::new(4, usize::from(TRANSPARENT), &sample));
            }
        }
        Self::Exact(colours.into_iter().zip(0..TRANSPARENT).collect())
    }

    fn index(&self, colour: [u8; 3]) -> u8 {
        let [r, g, b] = colour;
        match self {
            Self::Exact(map) => map.get(&colour).copied().unwrap_or(TRANSPARENT),
            Self::Quantised(quantiser) => quantiser.index_of(&[r, g, b, 255]) as u8,
        }
    }

    /// 256 RGB entries.
    fn table(&self) -> Vec<u8> {
        let mut table = match self {
            Self::Exact(map) => map.keys().copied().flatten().collect(),
            Self::Quantised(quantiser) => quantiser.color_map_rgb(),
        };
        table.resize(256 * 3, 0);
        table
    }
}

fn encode_gif(
    images: &[RgbImage],
    palette: &Palette,
    frame_seconds: f64,
    tolerance: u8,
    stride: usize,
) -> Result<Vec<u8>, gif::EncodingError> {
    let last = images.len() - 1;
    let kept: Vec<usize> = (0..last).step_by(stride).chain([last]).collect();
    let (width, height) = images[0].dimensions();
    let mut out = Vec::new();
    let mut encoder = gif::Encoder::new(&mut out, width as u16, height as u16, &palette.table())?;
    encoder.set_repeat(gif::Repeat::Infinite)?;
    let mut shown: Option<RgbImage> = None;
    for (i, &at) in kept.iter().enumerate() {
        let seconds = kept.get(i + 1).map_or(FINAL_HOLD_SECONDS, |next| (next - at) as f64 * frame_seconds);
        encoder.write_frame(&gif::Frame {
            width: width as u16,
            height: height as u16,
            // Hundredths of a second; browsers slow films down that ask for less than two.
            delay: (seconds * 100.0).round().clamp(2.0, 6000.0) as u16,
            dispose: gif::DisposalMethod::Keep,
            transparent: Some(TRANSPARENT),
            buffer: Cow::Owned(changed_pixels(&images[at], &mut shown, palette, tolerance)),
            ..gif::Frame::default()
        })?;
    }
    drop(encoder);
    Ok(out)
}

/// Palette indices of `image` where it differs from what the viewer already shows, which is updated, so that differences never accumulate.
fn changed_pixels(image: &RgbImage, shown: &mut Option<RgbImage>, palette: &Palette, tolerance: u8) -> Vec<u8> {
    let Some(shown) = shown else {
        *shown = Some(image.clone());
        return image.pixels().map(|p| palette.index(p.0)).collect();
    };
    let draw = |(new, old): (&Rgb<u8>, &mut Rgb<u8>)| {
        if new.0.iter().zip(old.0).all(|(n, o)| n.abs_diff(o) <= tolerance) {
            return TRANSPARENT;
        }
        *old = *new;
        palette.index(new.0)
    };
    image.pixels().zip(shown.pixels_mut()).map(draw).collect()
}

/// Up to eight evenly spaced frames side by side, first and last included.
fn strip(images: &[RgbImage]) -> image::ImageResult<Vec<u8>> {
    let count = images.len().min(STRIP_FRAMES);
    let (width, height) = images[0].dimensions();
    let mut sheet = RgbaImage::new((width + STRIP_GAP) * count as u32 - STRIP_GAP, height);
    for slot in 0..count {
        let image = &images[if count == 1 { 0 } else { slot * (images.len() - 1) / (count - 1) }];
        let left = slot as u32 * (width + STRIP_GAP);
        for (x, y, pixel) in image.enumerate_pixels() {
            let [r, g, b] = pixel.0;
            sheet.put_pixel(left + x, y, Rgba([r, g, b, 255]));
        }
    }
    let mut out = Vec::new();
    PngEncoder::new(&mut out).write_image(sheet.as_raw(), sheet.width(), sheet.height(), ExtendedColorType::Rgba8)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::gif::GifDecoder;
    use image::{AnimationDecoder, Frame};

    /// A 12-pixel square that moves over a gradient, with a little sensor noise (a hash, so that the test is reproducible).
    fn moving_square(frames: usize, size: usize, noise: u32) -> Vec<Tensor> {
        let hash = |v: usize| ((v as u32).wrapping_mul(2_654_435_761) >> 24) * noise / 256;
        let frame = |t: usize| {
            let pixel = |i: usize| {
                let (x, y) = (i % size, i / size);
                let n = hash(i + t * size * size) as u8;
                if (x + size - t % size) % size < 12 && (20..32).contains(&y) {
                    [220, 40 + n, 30]
                } else {
                    [x as u8 + n, y as u8 + n, 90 + n]
                }
            };
            Tensor::from_vec((0..size * size).flat_map(pixel).collect(), &[size, size, 3])
        };
        (0..frames).map(frame).collect()
    }

    fn decode(path: &Path) -> Vec<Frame> {
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap()
    }

    #[test]
    fn the_animation_shows_the_frames_within_its_tolerance() {
        let dir = tempfile::tempdir().unwrap();
        let frames = moving_square(20, 64, 4);
        let files = write_film(&frames, 0.1, &dir.path().join("episode.7")).unwrap();
        assert_eq!(files.animation.file_name().unwrap(), "episode.7.gif");
        let decoded = decode(&files.animation);
        assert_eq!(decoded.len(), 20);
        assert_eq!(decoded[0].delay().numer_denom_ms(), (100, 1));
        assert_eq!(decoded[19].delay().numer_denom_ms(), (1200, 1));
        for (t, frame) in decoded.iter().enumerate() {
            let wanted = frames[t].as_slice::<u8>().unwrap();
            let error: u64 = frame
                .buffer()
                .pixels()
                .zip(wanted.chunks(3))
                .map(|(p, w)| (0..3).map(|c| u64::from(p.0[c].abs_diff(w[c]))).sum::<u64>())
                .sum();
            let mean = error as f64 / wanted.len() as f64;
            assert!(mean < 4.0, "frame {t} differs by {mean} on average");
            let (x, y) = ((t + 6) as u32 % 64, 26);
            assert!(frame.buffer().get_pixel(x, y).0[0] > 180, "the square is where it should be in frame {t}");
        }
    }

    #[test]
    fn long_noisy_films_stay_within_the_budget() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_film(&moving_square(80, 128, 30), 0.1, &dir.path().join("noisy")).unwrap();
        let bytes = std::fs::metadata(&files.animation).unwrap().len() as usize;
        assert!(bytes <= ANIMATION_BYTES, "{bytes}");
    }

    #[test]
    fn the_strip_runs_from_the_first_to_the_last_frame() {
        let dir = tempfile::tempdir().unwrap();
        let frames = moving_square(30, 48, 0);
        let files = write_film(&frames, 0.1, &dir.path().join("strip")).unwrap();
        let strip = image::open(&files.strip).unwrap().to_rgb8();
        assert_eq!(strip.dimensions(), (8 * 50 - 2, 48));
        for (slot, t) in [(0, 0), (7, 29)] {
            let wanted = rgb_image(&frames[t]).unwrap();
            let part = imageops::crop_imm(&strip, slot * 50, 0, 48, 48).to_image();
            assert!(part == wanted, "slot {slot} is not frame {t}");
        }
    }

    #[test]
    fn odd_frames_are_refused_by_shape() {
        let stem = Path::new("film");
        let text = |frames: &[Tensor]| write_film(frames, 0.1, stem).unwrap_err().to_string();
        assert!(text(&[]).contains("has no frames"));
        assert!(text(&[Tensor::zeros::<u8>(&[4, 4])]).contains("[4, 4]"));
        assert!(text(&[Tensor::zeros::<f32>(&[4, 4, 3])]).contains("F32"));
        assert!(text(&[Tensor::zeros::<u8>(&[4, 4, 3]), Tensor::zeros::<u8>(&[5, 4, 3])]).contains("(4, 5)"));
    }
}
