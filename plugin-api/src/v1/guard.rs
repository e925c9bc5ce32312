//! Nothing unwinds across the boundary: every exported method runs under [`guard`].

use abi_stable::std_types::{RResult, RString};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{Error, ErrorKind, Result};

/// Runs `call`, turning a panic into an [`ErrorKind::Panic`] error with the panic's own message.
pub fn guard<T>(call: impl FnOnce() -> Result<T>) -> RResult<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.into(),
        Err(payload) => {
            let text = payload
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "panic without a message".into());
            RResult::RErr(Error::new(ErrorKind::Panic, format!("panicked: {text}")))
        }
    }
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<RString> {
    serde_json::to_string(value).map(Into::into).map_err(|e| Error::internal(e.to_string()))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|e| Error::input(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let r: RResult<(), Error> = guard(|| panic!("gripper {} jammed", 2));
        let e = r.into_result().unwrap_err();
        assert_eq!(e.kind, ErrorKind::Panic);
        assert_eq!(e.to_string(), "panicked: gripper 2 jammed");
    }
}
