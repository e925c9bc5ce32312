//! The host's end of [`HostServices`]: logging into `tracing`, the cancel flag, the clock.

use abi_stable::std_types::RStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use twinhost_plugin_api::{HostServices, LogLevel};

static CANCELLED: AtomicBool = AtomicBool::new(false);
/// In a component's own process: where the host's wish to stop can be read.
static HOSTS_WISH: OnceLock<&'static AtomicU32> = OnceLock::new();

extern "C" fn log(level: LogLevel, component: RStr<'_>, message: RStr<'_>) {
    let (component, message) = (component.as_str(), message.as_str());
    match level {
        LogLevel::Error => tracing::error!(component, "{message}"),
        LogLevel::Warn => tracing::warn!(component, "{message}"),
        LogLevel::Info => tracing::info!(component, "{message}"),
        LogLevel::Debug => tracing::debug!(component, "{message}"),
    }
}

extern "C" fn cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed) || HOSTS_WISH.get().is_some_and(|wish| wish.load(Ordering::Relaxed) != 0)
}

extern "C" fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Asks every component to return as soon as it can.
pub fn cancel_now() {
    CANCELLED.store(true, Ordering::Relaxed);
}

/// From now on this process' components stop when the host's do.
pub(super) fn obey(wish: &'static AtomicU32) {
    // A process serves one host.
    let _ = HOSTS_WISH.set(wish);
}

pub fn is_cancelled() -> bool {
    cancelled()
}

/// Services with a thread budget and a seed.
pub fn host_services(threads: u32, seed: u64) -> HostServices {
    HostServices::new(log, cancelled, monotonic_ns, threads, seed)
}
