//! The bytes of a saved state: little-endian numbers in a fixed order, with checks on the way back.

use twinhost_plugin_api::{Error, Result};

#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub fn flag(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }
    pub fn f64s(&mut self, values: &[f64]) {
        self.u64(values.len() as u64);
        for value in values {
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

pub struct Reader<'a>(pub &'a [u8]);

fn short() -> Error {
    Error::input("the saved environment state is truncated or damaged")
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.0.len() {
            return Err(short());
        }
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        Ok(head)
    }
    pub fn u64(&mut self) -> Result<u64> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| short())?))
    }
    pub fn flag(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(short()),
        }
    }
    fn length(&mut self, size: usize) -> Result<usize> {
        let count = usize::try_from(self.u64()?).map_err(|_| short())?;
        if count > self.0.len() / size { Err(short()) } else { Ok(count) }
    }
    /// Finite numbers only: a state never holds others.
    pub fn f64s(&mut self) -> Result<Vec<f64>> {
        let count = self.length(8)?;
        let bytes = self.take(8 * count)?;
        let values: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c)).collect();
        if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err(short()) }
    }
    pub fn array<const N: usize>(&mut self) -> Result<[f64; N]> {
        self.f64s()?.try_into().map_err(|_| short())
    }
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.length(1)?;
        self.take(count)
    }
    pub fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(short()) }
    }
}
