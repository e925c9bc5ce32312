//! Calls and answers as bytes: numbers little-endian, texts and tensors with their length first.
//!
//! The reader trusts nothing: whatever the other side wrote, it returns an error and never reads past the end.

use twinhost_plugin_api::{Batch, DType, Error, ErrorKind, Result, Tensor};

const DTYPES: [DType; 8] = [DType::Bool, DType::U8, DType::I32, DType::I64, DType::F32, DType::F64, DType::F16, DType::BF16];
const KINDS: [ErrorKind; 8] = [
    ErrorKind::InvalidConfig,
    ErrorKind::InvalidInput,
    ErrorKind::Io,
    ErrorKind::Numerical,
    ErrorKind::Unsupported,
    ErrorKind::Cancelled,
    ErrorKind::Panic,
    ErrorKind::Internal,
];
/// More axes than any tensor here has.
const MOST_AXES: u64 = 16;

pub struct Writer<'a> {
    lane: &'a mut [u8],
    at: usize,
    /// The message does not fit.
    over: bool,
}

impl<'a> Writer<'a> {
    pub fn new(lane: &'a mut [u8]) -> Self {
        Self { lane, at: 0, over: false }
    }

    /// Length of the message.
    ///
    /// # Errors
    /// If it did not fit into the lane.
    pub fn finish(self) -> Result<usize> {
        if self.over {
            return Err(Error::unsupported(format!("the message is larger than the {} MiB a call may have", self.lane.len() >> 20)));
        }
        Ok(self.at)
    }

    fn raw(&mut self, bytes: &[u8]) {
        match self.lane.get_mut(self.at..self.at + bytes.len()) {
            Some(target) if !self.over => {
                target.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            _ => self.over = true,
        }
    }

    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.raw(bytes);
    }
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
    pub fn numbers(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.u64(numbers.len() as u64);
        numbers.for_each(|n| self.u64(n));
    }

    /// # Errors
    /// If the tensor is not contiguous CPU memory.
    pub fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let bytes = tensor.bytes()?;
        let rank = tensor.strides().len();
        self.u64(DTYPES.iter().position(|d| *d == tensor.dtype()).map_or(0, |i| i as u64));
        self.numbers((0..rank).map(|axis| tensor.dim(axis) as u64));
        self.bytes(bytes);
        Ok(())
    }

    /// # Errors
    /// As [`Writer::tensor`].
    pub fn batch(&mut self, batch: &Batch) -> Result<()> {
        self.u64(batch.iter().count() as u64);
        for (name, tensor) in batch.iter() {
            self.text(name);
            self.tensor(tensor)?;
        }
        self.u64(batch.iter_texts().count() as u64);
        for (name, texts) in batch.iter_texts() {
            self.text(name);
            self.u64(texts.len() as u64);
            texts.iter().for_each(|text| self.text(text));
        }
        Ok(())
    }

    pub fn error(&mut self, error: &Error) {
        self.u64(KINDS.iter().position(|k| *k == error.kind).map_or(7, |i| i as u64));
        self.text(&error.message);
        self.text(error.field.as_ref().map_or("", |f| f.as_str()));
        self.u64(u64::from(error.field.is_some()));
        self.u64(u64::from(error.line));
        self.u64(u64::from(error.column));
    }
}

pub struct Reader<'a>(&'a [u8]);

fn damaged() -> Error {
    Error::internal("its process sent a damaged message")
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn raw(&mut self, count: u64) -> Result<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| damaged())?;
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(head)
    }

    pub fn u64(&mut self) -> Result<u64> {
        let bytes = self.raw(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| damaged())?))
    }
    pub fn usize(&mut self) -> Result<usize> {
        usize::try_from(self.u64()?).map_err(|_| damaged())
    }
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.u64()?;
        self.raw(count)
    }
    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| damaged())
    }
    pub fn numbers(&mut self) -> Result<Vec<u64>> {
        let count = self.u64()?;
        // Each takes eight bytes, so a count beyond them is a lie that must not be allocated for.
        if count > self.0.len() as u64 / 8 {
            return Err(damaged());
        }
        (0..count).map(|_| self.u64()).collect()
    }

    pub fn tensor(&mut self) -> Result<Tensor> {
        let dtype = *DTYPES.get(self.usize()?).ok_or_else(damaged)?;
        let shape = self.numbers()?;
        if shape.len() as u64 > MOST_AXES {
            return Err(damaged());
        }
        let shape: Vec<usize> = shape.into_iter().map(|d| d as usize).collect();
        Tensor::from_bytes(dtype, &shape, self.bytes()?).map_err(|_| damaged())
    }

    pub fn batch(&mut self) -> Result<Batch> {
        let mut batch = Batch::new();
        for _ in 0..self.u64()? {
            let name = self.text()?;
            batch.insert(name, self.tensor()?);
        }
        for _ in 0..self.u64()? {
            let name = self.text()?;
            let mut texts = Vec::new();
            for _ in 0..self.u64()? {
                texts.push(self.text()?.to_owned());
            }
            batch.insert_text(name, texts);
        }
        Ok(batch)
    }

    pub fn error(&mut self) -> Result<Error> {
        let kind = *KINDS.get(self.usize()?).ok_or_else(damaged)?;
        let message = self.text()?;
        let field = self.text()?;
        let has_field = self.u64()? != 0;
        let (line, column) = (self.u64()?, self.u64()?);
        let mut error = if has_field { Error { kind, ..Error::config(field, message) } } else { Error::new(kind, message) };
        error.line = u32::try_from(line).map_err(|_| damaged())?;
        error.column = u32::try_from(column).map_err(|_| damaged())?;
        Ok(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Batch {
        let mut batch = Batch::new()
            .with("observation.state", Tensor::from_vec(vec![1.5f32, -0.0, f32::NAN, 4.0], &[2, 2]))
            .with("next.done", Tensor::from_vec(vec![true, false], &[2]))
            .with("empty", Tensor::zeros::<i64>(&[0, 3]));
        batch.insert_text("task", vec!["pick".into(), "größer".into()]);
        batch
    }

    fn written(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut lane = vec![0; 4096];
        let mut writer = Writer::new(&mut lane);
        fill(&mut writer);
        let length = writer.finish().unwrap();
        lane.truncate(length);
        lane
    }

    #[test]
    fn batches_and_errors_come_out_as_they_went_in() {
        let batch = sample();
        let bytes = written(|w| w.batch(&batch).unwrap());
        let again = Reader::new(&bytes).batch().unwrap();
        for (name, tensor) in batch.iter() {
            let twin = again.get(name).unwrap();
            assert_eq!((twin.dtype(), twin.shape(), twin.bytes().unwrap()), (tensor.dtype(), tensor.shape(), tensor.bytes().unwrap()));
        }
        assert_eq!(again.texts("task").unwrap(), batch.texts("task").unwrap());

        for error in [Error::config("reward.weights[2]", "must be above 0"), Error::numerical("loss is NaN")] {
            let bytes = written(|w| w.error(&error));
            let again = Reader::new(&bytes).error().unwrap();
            assert_eq!((again.kind, again.to_string()), (error.kind, error.to_string()));
        }
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error() {
        let mut lane = [0; 64];
        let mut writer = Writer::new(&mut lane);
        writer.batch(&sample()).unwrap();
        assert!(writer.finish().is_err());
    }

    proptest! {
        #[test]
        fn damaged_messages_are_refused_or_read_and_nothing_worse(at in 0usize..400, value: u8, cut in 0usize..400) {
            let mut bytes = written(|w| w.batch(&sample()).unwrap());
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut % bytes.len());
            let _ = Reader::new(&bytes).batch();
            let _ = Reader::new(&bytes).error();
        }
    }
}
