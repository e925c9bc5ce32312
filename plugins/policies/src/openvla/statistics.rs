//! Dataset statistics in the public form, `{<dataset>: {action: {...}, proprio: {...}, num_transitions, num_trajectories}}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use twinhost_plugin_api::{DatasetStatistics, Error, FeatureStatistics, Result};

/// The key under which statistics of the host's own data are saved.
pub const OWN_KEY: &str = "twinhost";

/// One dataset's entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatisticsEntry {
    pub action: Columns,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proprio: Option<Columns>,
    #[serde(default)]
    pub num_transitions: u64,
    #[serde(default)]
    pub num_trajectories: u64,
}

/// Per-dimension statistics; public files leave `mask` out where every dimension is normalised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    pub q01: Vec<f64>,
    pub q99: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Vec<bool>>,
}

impl From<&FeatureStatistics> for Columns {
    fn from(s: &FeatureStatistics) -> Self {
        Self {
            mean: s.mean.clone(),
            std: s.std.clone(),
            min: s.min.clone(),
            max: s.max.clone(),
            q01: s.q01.clone(),
            q99: s.q99.clone(),
            mask: Some(s.mask.clone()),
        }
    }
}

impl From<&Columns> for FeatureStatistics {
    fn from(c: &Columns) -> Self {
        Self {
            mean: c.mean.clone(),
            std: c.std.clone(),
            min: c.min.clone(),
            max: c.max.clone(),
            q01: c.q01.clone(),
            q99: c.q99.clone(),
            mask: c.mask.clone().unwrap_or_else(|| vec![true; c.q01.len()]),
        }
    }
}

impl From<&DatasetStatistics> for StatisticsEntry {
    fn from(s: &DatasetStatistics) -> Self {
        Self {
            action: (&s.action).into(),
            proprio: Some((&s.state).into()),
            num_transitions: s.num_transitions,
            num_trajectories: s.num_trajectories,
        }
    }
}

/// The entry to use: the one named, or the only one; `None` if there are no statistics at all.
///
/// # Errors
/// If the key is unknown or needed but not given, or an entry is malformed.
pub fn choose(all: Value, key: Option<&str>) -> Result<Option<(String, StatisticsEntry)>> {
    let Value::Object(mut entries) = all else {
        return Err(Error::input("expected an object of dataset statistics"));
    };
    let known = entries.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let key = match key {
        Some(key) => key.to_string(),
        None if entries.len() > 1 => {
            return Err(Error::config("statistics_key", format!("the checkpoint has statistics of several datasets, name one: {known}")));
        }
        None => match entries.keys().next() {
            Some(only) => only.clone(),
            None => return Ok(None),
        },
    };
    let entry =
        entries.remove(&key).ok_or_else(|| Error::config("statistics_key", format!("no statistics of `{key}` (there are: {known})")))?;
    let entry = serde_json::from_value(entry).map_err(|e| Error::input(format!("statistics of `{key}`: {e}")))?;
    Ok(Some((key, entry)))
}
