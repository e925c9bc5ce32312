//! Metrics of a run: `metrics.jsonl` is the truth, TensorBoard events are a view of it.
//!
//! One line per record, its deterministic part first and everything that depends on the clock in `time`:
//!
//! ```json
//! {"global_step":17,"arm":"rlco","stage":"rl","step":3,"values":{"env/success_once":0.5,"train/ppo_loss":0.01},"time":{"time/sim":1.2}}
//! ```
//!
//! `global_step` counts the records of the run. A checkpoint stores it; on resume, later records are cut off, so the file of a run that was
//! killed and resumed equals that of the undisturbed run but for `time` ([`metrics_digest`] hashes the rest).
//! Names are RLinf's where they exist: `env/success_once`, `train/ppo_loss`, `train/sft_loss`, `train/loss_ratio`, `time/...` (seconds).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::clock;
use super::durable;
use super::error::{Error, Result};
use super::run_dir::RunLayout;
use super::tensorboard::EventTree;

/// Prefix of values that depend on the clock.
pub const TIME_PREFIX: &str = "time/";
/// Seconds since the previous record (or since the sink was opened). Their sum over a stage is the time spent on it, also across resumes.
pub const SINCE_PREVIOUS: &str = "time/since_previous";
/// Seconds since 1970-01-01 UTC.
pub const UNIX: &str = "time/unix";

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number of records before this one; assigned by the sink.
    pub global_step: u64,
    /// Empty for what all arms share.
    pub arm: String,
    pub stage: String,
    /// Step within the stage (SFT step, RL iteration, ...).
    pub step: u64,
    #[serde(with = "numbers")]
    pub values: BTreeMap<String, f64>,
    #[serde(with = "numbers")]
    pub time: BTreeMap<String, f64>,
}

/// JSON has no NaN and no infinities, yet a diverged run must be able to say so: they are written as the texts `NaN`, `inf` and `-inf`.
mod numbers {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        Special(String),
    }

    pub fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(values.iter().map(|(k, &v)| (k, if v.is_finite() { Number::Finite(v) } else { Number::Special(v.to_string()) })))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let raw = BTreeMap::<String, Number>::deserialize(d)?;
        let read = |(k, v)| match v {
            Number::Finite(f) => Ok((k, f)),
            Number::Special(t) => t.parse().map(|f| (k, f)).map_err(|_| D::Error::custom(format!("`{t}` is not a number"))),
        };
        raw.into_iter().map(read).collect()
    }
}

/// Appends records to `metrics.jsonl` and to the TensorBoard events.
#[derive(Debug)]
pub struct MetricSink {
    path: PathBuf,
    file: File,
    /// Length of the file up to the last whole record.
    end: u64,
    events: EventTree,
    next: u64,
    previous: Instant,
}

impl MetricSink {
    /// Opens the metrics of a run that continues after its first `global_step` records (0 for a new run): later ones, and a line cut short
    /// by a crash, are removed, and the TensorBoard events are rebuilt from what remains.
    ///
    /// # Errors
    /// If a line before the last is damaged, if fewer than `global_step` records are there, or if writing fails.
    pub fn open(layout: &RunLayout, global_step: u64) -> Result<Self> {
        let path = layout.metrics();
        let mut records = if path.exists() { read_records(&path)? } else { Vec::new() };
        records.retain(|r| r.global_step < global_step);
        if records.len() as u64 != global_step {
            return Err(Error::format(
                &path,
                0,
                format!(
                    "holds {} records, but the checkpoint to resume from was made after {global_step}; the file was changed by hand",
                    records.len()
                ),
            ));
        }
        let mut text = Vec::new();
        for record in &records {
            write_line(&mut text, record).map_err(|e| Error::format(&path, 0, e.to_string()))?;
        }
        durable::write_file(&path, &text)?;

        let mut events = EventTree::rebuild(&layout.tensorboard())?;
        for record in &records {
            events.append(record)?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io("write", &path))?;
        Ok(Self { path, file, end: text.len() as u64, events, next: global_step, previous: Instant::now() })
    }

    /// Appends one record. `values` named `time/...` go to the part that no digest sees.
    ///
    /// # Errors
    /// If writing fails (disk full); the file then still ends with the last whole record.
    pub fn log(&mut self, arm: &str, stage: &str, step: u64, values: impl IntoIterator<Item = (String, f64)>) -> Result<()> {
        let (mut time, values): (BTreeMap<_, _>, BTreeMap<_, _>) = values.into_iter().partition(|(name, _)| name.starts_with(TIME_PREFIX));
        let now = Instant::now();
        time.insert(SINCE_PREVIOUS.into(), (now - self.previous).as_secs_f64());
        time.insert(UNIX.into(), clock::unix_now());
        let record = Record { global_step: self.next, arm: arm.into(), stage: stage.into(), step, values, time };

        let mut line = Vec::new();
        write_line(&mut line, &record).map_err(|e| Error::format(&self.path, 0, e.to_string()))?;
        if let Err(e) = self.file.write_all(&line) {
            // Best effort: if even this fails, opening the file repairs it.
            let _ = self.file.set_len(self.end);
            return Err(Error::io("write", &self.path)(e));
        }
        self.end += line.len() as u64;
        self.next += 1;
        self.previous = now;
        self.events.append(&record)
    }

    /// Number of records so far: what a checkpoint stores and [`MetricSink::open`] takes.
    pub fn global_step(&self) -> u64 {
        self.next
    }

    /// Makes the records durable; call it before a checkpoint that counts them is published.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }
}

fn write_line(out: &mut Vec<u8>, record: &Record) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.push(b'\n');
    Ok(())
}

/// The whole records of a metrics file. A last line without its end (a crash while writing) is left out.
///
/// # Errors
/// If the file cannot be read, or a line before the last is damaged or out of order.
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let mut records = Vec::new();
    for (i, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        let Some(whole) = line.strip_suffix(b"\n") else { break };
        let record: Record = serde_json::from_slice(whole).map_err(|e| Error::format(path, i + 1, e.to_string()))?;
        if record.global_step != i as u64 {
            return Err(Error::format(path, i + 1, format!("expected global_step {i}, found {}", record.global_step)));
        }
        records.push(record);
    }
    Ok(records)
}

/// SHA-256 (hex) over everything in a metrics file that recipe and seed determine, i.e. all but `time`.
///
/// # Errors
/// As [`read_records`].
pub fn metrics_digest(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let text = |hash: &mut Sha256, t: &str| {
        hash.update((t.len() as u64).to_le_bytes());
        hash.update(t);
    };
    for record in read_records(path)? {
        hash.update(record.global_step.to_le_bytes());
        text(&mut hash, &record.arm);
        text(&mut hash, &record.stage);
        hash.update(record.step.to_le_bytes());
        hash.update((record.values.len() as u64).to_le_bytes());
        for (name, value) in &record.values {
            text(&mut hash, name);
            hash.update(value.to_bits().to_le_bytes());
        }
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> (tempfile::TempDir, RunLayout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(dir.path());
        (dir, layout)
    }

    fn log_steps(sink: &mut MetricSink, steps: std::ops::Range<u64>) {
        for step in steps {
            let loss = (step as f64 * 0.37).sin() / 3.0;
            sink.log("rlco", "rl", step, [("train/ppo_loss".into(), loss), ("time/sim".into(), step as f64)]).unwrap();
        }
    }

    #[test]
    fn a_killed_and_resumed_run_has_the_digest_of_the_undisturbed_one() {
        let (_keep, whole) = layout();
        log_steps(&mut MetricSink::open(&whole, 0).unwrap(), 0..9);

        let (_keep, killed) = layout();
        let mut sink = MetricSink::open(&killed, 0).unwrap();
        log_steps(&mut sink, 0..5);
        let checkpoint = sink.global_step();
        log_steps(&mut sink, 5..7); // lost: after the checkpoint
        drop(sink);
        fs::OpenOptions::new().append(true).open(killed.metrics()).unwrap().write_all(b"{\"global_step\":7,\"arm\":\"rl").unwrap();
        let mut sink = MetricSink::open(&killed, checkpoint).unwrap();
        log_steps(&mut sink, 5..9);

        assert_eq!(metrics_digest(&whole.metrics()).unwrap(), metrics_digest(&killed.metrics()).unwrap());
        let (a, b) = (read_records(&whole.metrics()).unwrap(), read_records(&killed.metrics()).unwrap());
        assert_eq!(a.len(), 9);
        assert!(a.iter().zip(&b).all(|(a, b)| a.values == b.values && a.step == b.step));
    }

    #[test]
    fn the_digest_sees_values_but_not_the_clock() {
        let digest_of = |value: f64, time: f64| {
            let (_keep, run) = layout();
            MetricSink::open(&run, 0).unwrap().log("", "sft", 0, [("train/sft_loss".into(), value), ("time/sim".into(), time)]).unwrap();
            metrics_digest(&run.metrics()).unwrap()
        };
        assert_eq!(digest_of(0.1, 1.0), digest_of(0.1, 2.0));
        assert_ne!(digest_of(0.1, 1.0), digest_of(0.1f64.next_up(), 1.0));
    }

    #[test]
    fn numbers_survive_the_file_exactly_also_those_that_json_lacks() {
        let (_keep, run) = layout();
        let values =
            [("a", 0.1 + 0.2), ("b", f64::NAN), ("c", f64::NEG_INFINITY), ("d", 5e-324), ("e", 1.7976931348623157e308), ("f", 3.0)];
        let mut sink = MetricSink::open(&run, 0).unwrap();
        sink.log("", "sft", 0, values.map(|(k, v)| (k.to_owned(), v))).unwrap();
        let read = read_records(&run.metrics()).unwrap();
        for (name, value) in values {
            assert_eq!(read[0].values[name].to_bits(), value.to_bits(), "{name}");
        }
    }

    #[test]
    fn a_line_cut_short_is_repaired_but_damage_inside_is_located() {
        let (_keep, run) = layout();
        log_steps(&mut MetricSink::open(&run, 0).unwrap(), 0..3);
        let text = fs::read_to_string(run.metrics()).unwrap();
        fs::write(run.metrics(), &text[..text.len() - 10]).unwrap();
        assert_eq!(read_records(&run.metrics()).unwrap().len(), 2);
        MetricSink::open(&run, 2).unwrap().log("rlco", "rl", 2, []).unwrap();
        assert_eq!(read_records(&run.metrics()).unwrap().len(), 3);

        fs::write(run.metrics(), text.replacen("\"step\":1", "\"step\":x", 1)).unwrap();
        let error = read_records(&run.metrics()).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl, line 2"), "{error}");
    }

    #[test]
    fn missing_records_are_not_papered_over() {
        let (_keep, run) = layout();
        log_steps(&mut MetricSink::open(&run, 0).unwrap(), 0..3);
        let error = MetricSink::open(&run, 5).unwrap_err().to_string();
        assert!(error.contains("holds 3 records") && error.contains("after 5"), "{error}");
    }

    #[test]
    fn a_full_disk_is_an_error_and_the_record_is_not_counted() {
        let (_keep, run) = layout();
        let mut sink = MetricSink::open(&run, 0).unwrap();
        log_steps(&mut sink, 0..1);
        let real = std::mem::replace(&mut sink.file, OpenOptions::new().append(true).open("/dev/full").unwrap());
        let error = sink.log("rlco", "rl", 1, []).unwrap_err();
        assert!(error.is_storage_full() && error.to_string().contains("metrics.jsonl"), "{error}");
        assert_eq!(sink.global_step(), 1);
        sink.file = real; // space again
        log_steps(&mut sink, 1..2);
        assert_eq!(read_records(&run.metrics()).unwrap().len(), 2);
    }
}
