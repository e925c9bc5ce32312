//! Memory: does it grow from call to call, and does a call allocate that must not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::examination::{Checked, Verdict, fail};

/// Bytes in use on the whole heap of the process, whoever allocated them; `None` where the C library does not tell.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn in_use() -> Option<usize> {
    /// `struct mallinfo2` of glibc 2.33 and later.
    #[repr(C)]
    struct MallInfo2 {
        arena: usize,
        ordblks: usize,
        smblks: usize,
        hblks: usize,
        hblkhd: usize,
        usmblks: usize,
        fsmblks: usize,
        uordblks: usize,
        fordblks: usize,
        keepcost: usize,
    }
    unsafe extern "C" {
        fn mallinfo2() -> MallInfo2;
    }
    // SAFETY: takes no arguments, only reads the allocator's own state under its locks.
    let info = unsafe { mallinfo2() };
    Some(info.uordblks + info.hblkhd)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn in_use() -> Option<usize> {
    None
}

/// Memory is looked at after each of this many equal parts.
const PARTS: u64 = 4;
/// Growth that counts: per part, and per call within it. Caches that fill up, and allocations of other threads, stay below.
const LEAST_BYTES: f64 = 16_384.0;
const LEAST_BYTES_PER_CALL: f64 = 2.0;

/// Calls `steps` times, or until the time is up. A leak is memory that grows in each of the last three quarters.
pub fn search_for_leaks(steps: u64, limit: Duration, call: &mut dyn FnMut(u64) -> Checked<()>) -> Checked {
    if in_use().is_none() {
        return Ok(Verdict::Skip("the C library of this machine does not tell how much memory is in use".into()));
    }
    let started = Instant::now();
    let mut made = 0;
    // Buffers reach their final size, and the time of a call becomes known.
    let warm_up = (steps / 20).clamp(1, 5_000);
    while made < warm_up && started.elapsed() < limit / 5 {
        call(made)?;
        made += 1;
    }
    let per_call = started.elapsed().div_f64(made as f64).max(Duration::from_nanos(1));
    let affordable = (limit.mul_f64(0.8).as_secs_f64() / per_call.as_secs_f64()) as u64;
    let part = (steps.min(affordable) / PARTS).max(1);
    let mut growth = Vec::new();
    for _ in 0..PARTS {
        let before = in_use().unwrap_or_default();
        for _ in 0..part {
            call(made)?;
            made += 1;
        }
        growth.push(in_use().unwrap_or_default() as f64 - before as f64);
    }
    let least = growth[1..].iter().copied().fold(f64::INFINITY, f64::min);
    let per_call = growth[1..].iter().sum::<f64>() / ((PARTS - 1) * part) as f64;
    if least > LEAST_BYTES.max(LEAST_BYTES_PER_CALL * part as f64) {
        return fail(format!("{per_call:.1} bytes more with every call, over {made} calls"));
    }
    Ok(Verdict::Pass(format!("{made} calls, {per_call:.1} bytes per call")))
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// The system's allocator with a count per thread. A test binary installs it so that real-time calls can be held to "allocates nothing":
///
/// ```no_run
/// #[global_allocator]
/// static ALLOCATOR: twinhost_plugin_api::testkit::CountingAllocator = twinhost_plugin_api::testkit::CountingAllocator;
/// # fn main() {}
/// ```
pub struct CountingAllocator;

fn count() {
    INSTALLED.store(true, Ordering::Relaxed);
    // A thread that is ending has no counter any more, and nobody asks for it.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: every method passes its arguments on to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations of this thread during a call; `None` without [`CountingAllocator`].
pub fn allocations(call: impl FnOnce() -> Checked<()>) -> Checked<Option<u64>> {
    let before = ALLOCATIONS.get();
    call()?;
    let after = ALLOCATIONS.get();
    Ok(INSTALLED.load(Ordering::Relaxed).then(|| after - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(bytes: usize) -> Checked {
        search_for_leaks(20_000, Duration::from_secs(20), &mut |_| {
            std::mem::forget(std::hint::black_box(Vec::<u8>::with_capacity(bytes)));
            drop(std::hint::black_box(vec![1u8; 300]));
            Ok(())
        })
    }

    #[test]
    fn a_leak_is_found_and_mere_allocation_is_not() {
        assert!(matches!(search(0), Ok(Verdict::Pass(_))));
        // 32 bytes take at least 40 with the allocator's header.
        let Err(complaint) = search(32) else { panic!("not found") };
        assert!(complaint.0.contains("bytes more with every call"), "{}", complaint.0);
    }
}
