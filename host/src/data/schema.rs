//! What a dataset holds: `meta/info.json` and the meaning of its feature entries (LeRobot v3.0, and v2.1 for reading).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use twinhost_plugin_api::{DType, EnvSpec, FeatureSpec, names};

use super::error::{Error, Result};

/// Columns that every LeRobot dataset has besides its own features.
pub const BOOKKEEPING: [(&str, &str); 5] =
    [("timestamp", "float32"), ("frame_index", "int64"), ("episode_index", "int64"), ("index", "int64"), ("task_index", "int64")];

/// Data files in one `chunk-NNN` folder.
pub const FILES_PER_CHUNK: usize = 1000;

/// Most numbers in one frame of one feature; more means a damaged file, not a camera.
const LARGEST_VALUE: usize = 1 << 26;

/// One entry of `features` in info.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureEntry {
    pub dtype: String,
    /// Without the frame axis; `[1]` is a scalar, images are `[height, width, channels]`.
    pub shape: Vec<usize>,
    /// Names of the last axis' entries; foreign datasets put other JSON here, which is kept as it is.
    #[serde(default)]
    pub names: serde_json::Value,
}

/// How the values of a feature are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A parquet column of numbers, read as this dtype.
    Numbers(DType),
    /// A parquet column of PNG files.
    Images,
    /// MP4 files beside the tables; not decoded by this host.
    Video,
    /// Texts and other things that are not tensors.
    Other,
}

impl FeatureEntry {
    pub fn new(dtype: &str, shape: &[usize], labels: &[String]) -> Self {
        let names = if labels.is_empty() { serde_json::Value::Null } else { labels.into() };
        Self { dtype: dtype.into(), shape: shape.to_vec(), names }
    }

    pub fn storage(&self) -> Storage {
        match self.dtype.as_str() {
            "bool" => Storage::Numbers(DType::Bool),
            "uint8" => Storage::Numbers(DType::U8),
            "int8" | "int16" | "uint16" | "int32" => Storage::Numbers(DType::I32),
            "uint32" | "int64" => Storage::Numbers(DType::I64),
            "float16" | "float32" => Storage::Numbers(DType::F32),
            "float64" => Storage::Numbers(DType::F64),
            "image" => Storage::Images,
            "video" => Storage::Video,
            _ => Storage::Other,
        }
    }

    /// The shape of one frame's value as this host hands it out: images always as `[height, width, 3]`.
    pub fn frame_shape(&self) -> Vec<usize> {
        match (self.storage(), self.shape.as_slice()) {
            (Storage::Images | Storage::Video, &[a, b, c]) => {
                let channels_first = self.names.get(0).and_then(|n| n.as_str()).is_some_and(|n| n.starts_with("channel"));
                if channels_first { vec![b, c, 3] } else { vec![a, b, 3] }
            }
            (_, shape) => shape.to_vec(),
        }
    }

    /// From a feature of an environment: u8 `[H, W, 3]` under `observation.images.` becomes PNG, all else numbers.
    ///
    /// # Errors
    /// If the dtype has no LeRobot name.
    pub fn of(feature: &FeatureSpec) -> Result<Self> {
        if feature.name.starts_with(names::IMAGES) {
            if feature.dtype != DType::U8 || feature.shape.len() != 3 || feature.shape[2] != 3 {
                return Err(Error::refused(format!(
                    "camera feature `{}` must be u8 [height, width, 3] to be stored, but it is {:?} {:?}",
                    feature.name, feature.dtype, feature.shape
                )));
            }
            return Ok(Self::new("image", &feature.shape, &["height", "width", "channels"].map(String::from)));
        }
        let dtype = match feature.dtype {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::F16 | DType::BF16 => {
                return Err(Error::refused(format!(
                    "feature `{}` has dtype {:?}, which cannot be stored; use F32",
                    feature.name, feature.dtype
                )));
            }
        };
        let shape: &[usize] = if feature.shape.is_empty() { &[1] } else { &feature.shape };
        Ok(Self::new(dtype, shape, &feature.names))
    }
}

/// `meta/info.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    pub codebase_version: String,
    #[serde(default)]
    pub robot_type: Option<String>,
    /// Frames per second.
    #[serde(serialize_with = "whole_if_whole")]
    pub fps: f64,
    pub total_episodes: usize,
    pub total_frames: usize,
    pub total_tasks: usize,
    pub chunks_size: usize,
    #[serde(default = "data_file_limit")]
    pub data_files_size_in_mb: u64,
    #[serde(default = "video_file_limit")]
    pub video_files_size_in_mb: u64,
    pub data_path: String,
    pub video_path: Option<String>,
    #[serde(default)]
    pub splits: BTreeMap<String, String>,
    pub features: BTreeMap<String, FeatureEntry>,
}

fn data_file_limit() -> u64 {
    100
}
fn video_file_limit() -> u64 {
    200
}

/// LeRobot's own tools expect an integer `fps`.
fn whole_if_whole<S: serde::Serializer>(fps: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if fps.fract() == 0.0 { serializer.serialize_u64(*fps as u64) } else { serializer.serialize_f64(*fps) }
}

impl Info {
    /// An empty v3.0 dataset of the given features.
    ///
    /// # Errors
    /// If `fps` is not a positive number, or a feature uses a reserved name.
    pub fn new(fps: f64, robot_type: &str, features: BTreeMap<String, FeatureEntry>) -> Result<Self> {
        if !(fps > 0.0 && fps.is_finite()) {
            return Err(Error::refused(format!("a dataset needs a positive number of frames per second, got {fps}")));
        }
        let mut all = features;
        for (name, dtype) in BOOKKEEPING {
            if all.insert(name.into(), FeatureEntry::new(dtype, &[1], &[])).is_some() {
                return Err(Error::refused(format!("`{name}` is one of LeRobot's own columns and cannot be a feature")));
            }
        }
        Ok(Self {
            codebase_version: "v3.0".into(),
            robot_type: Some(robot_type.into()),
            fps,
            total_episodes: 0,
            total_frames: 0,
            total_tasks: 0,
            chunks_size: FILES_PER_CHUNK,
            data_files_size_in_mb: data_file_limit(),
            video_files_size_in_mb: video_file_limit(),
            data_path: "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet".into(),
            video_path: None,
            splits: BTreeMap::new(),
            features: all,
        })
    }

    /// What an environment's episodes hold: its observations, with `privileged` its ground truth, the action, `next.reward`,
    /// `next.done` and `next.success`.
    ///
    /// # Errors
    /// As [`Info::new`] and [`FeatureEntry::of`].
    pub fn of_env(spec: &EnvSpec, robot_type: &str, privileged: bool) -> Result<Self> {
        let mut features = BTreeMap::new();
        let ground_truth = spec.privileged.iter().filter(|_| privileged);
        for feature in spec.observation.iter().chain(ground_truth) {
            features.insert(feature.name.clone(), FeatureEntry::of(feature)?);
        }
        features.insert(names::ACTION.into(), FeatureEntry::new("float32", &[spec.action.dim()], &spec.action.names));
        features.insert(names::REWARD.into(), FeatureEntry::new("float32", &[1], &[]));
        features.insert(names::DONE.into(), FeatureEntry::new("bool", &[1], &[]));
        features.insert(names::SUCCESS.into(), FeatureEntry::new("bool", &[1], &[]));
        Self::new(spec.control_hz, robot_type, features)
    }

    /// The dataset's own features, without LeRobot's bookkeeping columns.
    pub fn own_features(&self) -> impl Iterator<Item = (&str, &FeatureEntry)> {
        self.features.iter().filter(|(name, _)| BOOKKEEPING.iter().all(|(b, _)| b != name)).map(|(n, f)| (n.as_str(), f))
    }

    /// # Errors
    /// If the file is missing, not JSON, or of a version that this host cannot read.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("meta/info.json");
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::refused(format!("{} is not a LeRobot dataset: it has no meta/info.json", root.display()))
            }
            _ => Error::io("read", &path)(e),
        })?;
        let info: Self = serde_json::from_str(&text).map_err(|e| Error::format(&path, e.to_string()))?;
        if !matches!(info.codebase_version.as_str(), "v3.0" | "v2.1") {
            return Err(Error::format(
                &path,
                format!(
                    "version `{}` is not supported; convert the dataset to v3.0 (or v2.1) with LeRobot's own converter",
                    info.codebase_version
                ),
            ));
        }
        if !info.fps.is_normal() || info.fps < 0.0 || info.chunks_size == 0 {
            return Err(Error::format(&path, format!("fps ({}) and chunks_size ({}) must be positive", info.fps, info.chunks_size)));
        }
        for (name, entry) in &info.features {
            let size = entry.shape.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
            if !size.is_some_and(|size| (1..=LARGEST_VALUE).contains(&size)) {
                return Err(Error::format(&path, format!("feature `{name}` has the impossible shape {:?}", entry.shape)));
            }
        }
        Ok(info)
    }

    /// True for the read-only older layout.
    pub fn is_v21(&self) -> bool {
        self.codebase_version == "v2.1"
    }
}

/// Fills a LeRobot path template such as `data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet`.
pub fn fill_template(template: &str, fields: &[(&str, usize)]) -> String {
    let mut out = template.to_string();
    for (field, value) in fields {
        for width in 0..=9 {
            out = out.replace(&format!("{{{field}:0{width}d}}"), &format!("{value:0width$}"));
        }
        out = out.replace(&format!("{{{field}}}"), &value.to_string());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_templates_are_filled_as_python_would() {
        let v30 = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
        assert_eq!(fill_template(v30, &[("chunk_index", 2), ("file_index", 41)]), "data/chunk-002/file-041.parquet");
        let v21 = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet";
        assert_eq!(fill_template(v21, &[("episode_chunk", 0), ("episode_index", 1234567)]), "data/chunk-000/episode_1234567.parquet");
    }

    #[test]
    fn fps_is_written_as_an_integer_when_it_is_one() {
        let info = Info::new(5.0, "arm", BTreeMap::new()).unwrap();
        assert!(serde_json::to_string(&info).unwrap().contains("\"fps\":5,"));
        let e = Info::new(f64::NAN, "arm", BTreeMap::new()).unwrap_err().to_string();
        assert!(e.contains("NaN"), "{e}");
    }

    #[test]
    fn channels_first_images_are_handed_out_channels_last() {
        let labels = ["channels", "height", "width"].map(String::from);
        assert_eq!(FeatureEntry::new("video", &[3, 48, 64], &labels).frame_shape(), [48, 64, 3]);
    }
}
