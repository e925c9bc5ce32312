//! What the host offers to a component: logging, cancellation, a thread budget and its part of the run's seed.

use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// Passed by value to every constructor; valid for the life of the process.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostServices {
    log: extern "C" fn(level: LogLevel, component: RStr<'_>, message: RStr<'_>),
    cancelled: extern "C" fn() -> bool,
    monotonic_ns: extern "C" fn() -> u64,
    /// Threads this component may keep busy.
    pub threads: u32,
    /// Seed of this component, derived by the host from the run's seed.
    pub seed: u64,
}

extern "C" fn log_to_stderr(level: LogLevel, component: RStr<'_>, message: RStr<'_>) {
    eprintln!("{level:?} {component}: {message}");
}
extern "C" fn never() -> bool {
    false
}
/// Nanoseconds since the first call.
pub(crate) extern "C" fn std_clock() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
}

impl HostServices {
    pub fn new(
        log: extern "C" fn(LogLevel, RStr<'_>, RStr<'_>),
        cancelled: extern "C" fn() -> bool,
        monotonic_ns: extern "C" fn() -> u64,
        threads: u32,
        seed: u64,
    ) -> Self {
        Self { log, cancelled, monotonic_ns, threads, seed }
    }

    /// Services for a component used without a host, e.g. in its own tests.
    pub fn standalone(threads: u32, seed: u64) -> Self {
        Self::new(log_to_stderr, never, std_clock, threads, seed)
    }

    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub fn log(&self, level: LogLevel, component: &str, message: impl AsRef<str>) {
        (self.log)(level, component.into(), message.as_ref().into());
    }
    /// True once the user asked to stop *now*; long calls should return [`super::ErrorKind::Cancelled`].
    pub fn cancelled(&self) -> bool {
        (self.cancelled)()
    }
    pub fn monotonic_ns(&self) -> u64 {
        (self.monotonic_ns)()
    }
}
