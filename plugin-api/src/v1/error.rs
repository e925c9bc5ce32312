//! The one error type that crosses the plugin boundary.

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RString};

/// What went wrong, so that the host can decide what to do without reading the message.
#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The component's own configuration is wrong; `field`, `line` and `column` say where.
    InvalidConfig,
    /// A caller passed a tensor, path or value that does not fit the component's specification.
    InvalidInput,
    /// Reading or writing a file or device failed.
    Io,
    /// A number became NaN or infinite.
    Numerical,
    /// The component does not implement this call.
    Unsupported,
    /// The host asked for cancellation and the component obeyed.
    Cancelled,
    /// The component panicked; the panic was caught at the boundary.
    Panic,
    /// Anything else.
    Internal,
}

/// An error of one component. The message is one sentence that names the cause and, where there is one, the remedy.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: RString,
    /// Path of the offending field inside the component's configuration, e.g. `reward.weights[2]`.
    pub field: ROption<RString>,
    /// 1-based position inside the component's configuration text (0 = unknown).
    pub line: u32,
    pub column: u32,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into(), field: ROption::RNone, line: 0, column: 0 }
    }
    pub fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: ROption::RSome(field.into().into()), ..Self::new(ErrorKind::InvalidConfig, message) }
    }
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }
    pub fn numerical(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Numerical, message)
    }
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }
    /// Prefixes the message, e.g. with the name of the file or component at fault.
    #[must_use]
    pub fn context(mut self, what: impl AsRef<str>) -> Self {
        self.message = format!("{}: {}", what.as_ref(), self.message).into();
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let ROption::RSome(field) = &self.field {
            write!(f, "field `{field}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::io(e.to_string())
    }
}
