//! TensorBoard event files, written by hand: TFRecord frames around protobuf `Event` messages with scalar summaries.
//!
//! Frame: `length u64 | masked crc32c(length) u32 | data | masked crc32c(data) u32`, little-endian (tensorflow/core/lib/io/record_writer.h).
//! Messages: `Event {1: wall_time double, 2: step int64, 3: file_version string, 5: Summary {1: Value {1: tag string, 2: simple_value float}}}`
//! (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::metrics::{Record, UNIX};

/// The event files of a run: one per arm and stage (`tensorboard/ARM/STAGE/`), so that every curve's step is the stage's own.
#[derive(Debug)]
pub struct EventTree {
    root: PathBuf,
    files: BTreeMap<PathBuf, EventFile>,
}

impl EventTree {
    /// Starts an empty tree; earlier event files are removed, for the metrics file is their source.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn rebuild(root: &Path) -> Result<Self> {
        match fs::remove_dir_all(root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", root)(e)),
            _ => {}
        }
        fs::create_dir_all(root).map_err(Error::io("create the folder", root))?;
        Ok(Self { root: root.into(), files: BTreeMap::new() })
    }

    /// Adds every value and time of a record.
    ///
    /// # Errors
    /// If writing fails.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let wall_time = record.time.get(UNIX).copied().unwrap_or(0.0);
        let folder = self.root.join(folder_name(&record.arm)).join(folder_name(&record.stage));
        let file = match self.files.entry(folder) {
            std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
            std::collections::btree_map::Entry::Vacant(e) => {
                let file = EventFile::create(e.key(), wall_time)?;
                e.insert(file)
            }
        };
        let scalars = record.values.iter().chain(record.time.iter().filter(|(name, _)| *name != UNIX));
        file.scalars(wall_time, record.step, scalars.map(|(name, &value)| (name.as_str(), value)))
    }
}

/// A name from a recipe as one path component.
fn folder_name(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    if safe.trim_matches('.').is_empty() { "run".into() } else { safe }
}

#[derive(Debug)]
struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    fn create(folder: &Path, wall_time: f64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
        let path = folder.join(format!("events.out.tfevents.{:010}.twinhost", wall_time.max(0.0) as u64));
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io("write", &path))?;
        let mut this = Self { path, file };
        let mut event = event_header(wall_time, 0);
        put_bytes(&mut event, 3, b"brain.Event:2");
        this.write(&event)?;
        Ok(this)
    }

    fn scalars<'a>(&mut self, wall_time: f64, step: u64, values: impl Iterator<Item = (&'a str, f64)>) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, tag.as_bytes());
            put_tag(&mut entry, 2, WIRE_FIXED32);
            entry.extend((value as f32).to_le_bytes());
            put_bytes(&mut summary, 1, &entry);
        }
        let mut event = event_header(wall_time, step);
        put_bytes(&mut event, 5, &summary);
        self.write(&event)
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        // One system call per event: a reader never sees half a frame unless the host dies inside it.
        self.file.write_all(&frame(event)).map_err(Error::io("write", &self.path))
    }
}

const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_FIXED32: u64 = 5;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_tag(out: &mut Vec<u8>, field: u64, wire: u64) {
    put_varint(out, field << 3 | wire);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_tag(out, field, WIRE_BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn event_header(wall_time: f64, step: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_tag(&mut out, 1, WIRE_FIXED64);
    out.extend(wall_time.to_le_bytes());
    put_tag(&mut out, 2, WIRE_VARINT);
    put_varint(&mut out, step);
    out
}

/// CRC-32C, rotated and offset so that a CRC stored inside data does not spoil the CRC of that data (tensorflow/core/lib/hash/crc32c.h).
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-32C bit by bit from its definition (RFC 3720: reflected polynomial 0x82F63B78), independent of the crate.
    fn crc32c_by_definition(data: &[u8]) -> u32 {
        let mut crc = !0u32;
        for &byte in data {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    }

    fn masked(data: &[u8]) -> u32 {
        let crc = crc32c_by_definition(data);
        crc.rotate_right(15).wrapping_add(0xa282_ead8)
    }

    /// Splits frames, checking both CRCs.
    fn events(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(u32::from_le_bytes(bytes[8..12].try_into().unwrap()), masked(&bytes[..8]));
            let data = &bytes[12..12 + length];
            assert_eq!(u32::from_le_bytes(bytes[12 + length..16 + length].try_into().unwrap()), masked(data));
            out.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        out
    }

    #[test]
    fn crc_agrees_with_the_published_vector() {
        assert_eq!(crc32c_by_definition(&[0; 32]), 0x8a91_36aa); // RFC 3720, B.4
        assert_eq!(masked_crc(b"123456789"), masked(b"123456789"));
    }

    #[test]
    fn the_file_is_byte_for_byte_what_the_protocol_says() {
        let dir = tempfile::tempdir().unwrap();
        let mut tree = EventTree::rebuild(dir.path()).unwrap();
        let record = Record {
            global_step: 0,
            arm: "rlco".into(),
            stage: "rl/1".into(),
            step: 300,
            values: [("a".to_owned(), 1.0)].into(),
            time: [(UNIX.to_owned(), 2.0)].into(),
        };
        tree.append(&record).unwrap();
        let bytes = fs::read(dir.path().join("rlco/rl_1/events.out.tfevents.0000000002.twinhost")).unwrap();

        // field 1 (double) = 0x09, 2.0 = 0x4000000000000000; field 2 (varint) = 0x10; field 3 (bytes) = 0x1a; field 5 (bytes) = 0x2a.
        let two = [0, 0, 0, 0, 0, 0, 0, 0x40];
        let version = [&[0x09][..], &two, &[0x10, 0, 0x1a, 13], b"brain.Event:2"].concat();
        // 300 = 0b10_0101100 -> 0xac 0x02. Value {tag "a": 0a 01 61, simple_value 1.0f: 15 0000803f} is 8 bytes, in Summary: 0a 08.
        let scalar = [&[0x09][..], &two, &[0x10, 0xac, 0x02, 0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f]].concat();
        assert_eq!(events(&bytes), [version, scalar]);
    }

    #[test]
    fn rebuilding_forgets_what_was_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let record = |step| Record {
            global_step: step,
            arm: String::new(),
            stage: "sft".into(),
            step,
            values: [("x".to_owned(), 0.5)].into(),
            time: [].into(),
        };
        let mut tree = EventTree::rebuild(dir.path()).unwrap();
        (0..5).for_each(|s| tree.append(&record(s)).unwrap());
        let mut tree = EventTree::rebuild(dir.path()).unwrap();
        (0..2).for_each(|s| tree.append(&record(s)).unwrap());
        let bytes = fs::read(dir.path().join("run/sft/events.out.tfevents.0000000000.twinhost")).unwrap();
        assert_eq!(events(&bytes).len(), 1 + 2);
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        for (name, folder) in [("..", "run"), ("", "run"), ("a/../b", "a_.._b"), ("π0.5", "π0.5")] {
            assert_eq!(folder_name(name), folder);
        }
    }
}
