//! Keeps freed tensor memory in the process.
//!
//! A training step frees and takes hundreds of megabytes. glibc would give blocks above 128 KiB back to the kernel each time and
//! fault every page in again: measured, a sixth of a step's processor time.

use std::sync::Once;

/// The largest block that glibc lets the threshold rise to.
const LARGEST_KEPT_BLOCK: i32 = 32 << 20;

/// Sets glibc's thresholds, once per process.
pub fn keep_freed_memory() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: `mallopt` takes two integers, locks the allocator itself and touches no memory of ours. A refusal (0) leaves the
        // default in place, which is only slower.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT_BLOCK);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        }
    });
}
