//! Whether two batches are the same, bit for bit.

use super::examination::{Checked, fail};
use crate::v1::Batch;

/// Fails with the first difference.
pub fn same(what: &str, one: &Batch, other: &Batch) -> Checked<()> {
    let names = |b: &Batch| b.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    let (mut ours, mut theirs) = (names(one), names(other));
    ours.sort();
    theirs.sort();
    if ours != theirs {
        return fail(format!("{what}: once {}, once {}", ours.join(", "), theirs.join(", ")));
    }
    for (name, tensor) in one.iter() {
        let twin = other.get(name)?;
        if tensor.dtype() != twin.dtype() || tensor.shape() != twin.shape() {
            return fail(format!("{what}: `{name}` is once {tensor:?}, once {twin:?}"));
        }
        let (a, b) = (tensor.bytes()?, twin.bytes()?);
        if let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) {
            let element = at / tensor.dtype().size();
            let values = tensor.as_slice::<f32>().and_then(|v| Ok((v[element], twin.as_slice::<f32>()?[element])));
            let values = values.map_or(String::new(), |(a, b)| format!(", {a} and {b}"));
            return fail(format!("{what}: `{name}` differs at element {element} of {:?}{values}", tensor.shape()));
        }
    }
    for (name, texts) in one.iter_texts() {
        if other.texts(name)? != texts {
            return fail(format!("{what}: the texts `{name}` differ"));
        }
    }
    Ok(())
}
