//! Memory that two processes share: a page of counters and two lanes, one for each direction.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Size of a lane. Pages that were never written do not exist.
pub const LANE: usize = 1 << 30;
const HEAD: usize = 4096;
const SIZE: usize = HEAD + 2 * LANE;

/// How long to look at a counter before sleeping on it: longer than a short call takes, short enough to waste nothing.
const SPIN: Duration = Duration::from_micros(20);

/// A counter the other side waits for, and the size of what lies in the lane.
#[repr(C)]
struct Turn {
    count: AtomicU32,
    /// Not 0 while someone sleeps on `count`.
    sleepers: AtomicU32,
    bytes: AtomicU64,
}

#[repr(C)]
struct Head {
    requests: Turn,
    responses: Turn,
    /// Not 0 once the user asked to stop at once.
    cancelled: AtomicU32,
}

/// One process' view of the memory.
pub struct SharedMemory {
    base: *mut u8,
    file: File,
}

// SAFETY: the counters are atomics, and a lane is touched only by the side whose turn it is.
unsafe impl Send for SharedMemory {}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

impl SharedMemory {
    /// Fresh memory, all zero.
    ///
    /// # Errors
    /// What the system says.
    pub fn create() -> io::Result<Self> {
        // SAFETY: a valid C string and a flag; the result is checked.
        let fd = unsafe { libc::memfd_create(c"twinhost".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just created, and nobody else has it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.set_len(SIZE as u64)?;
        Self::map(file)
    }

    /// The memory behind a file that [`SharedMemory::create`] made, perhaps in another process.
    ///
    /// # Errors
    /// If the file is not of that size, or what the system says.
    pub fn map(file: File) -> io::Result<Self> {
        if file.metadata()?.len() != SIZE as u64 {
            return Err(io::Error::other("is not the shared memory of a host"));
        }
        // SAFETY: maps a file of exactly this size at an address the system chooses; the result is checked.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { base: base.cast(), file })
    }

    /// The file, to hand to another process.
    ///
    /// # Errors
    /// If the process has no file handle left.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn head(&self) -> &Head {
        // SAFETY: the first page is mapped, aligned to a page, and holds nothing but atomics, for which zero is valid.
        unsafe { &*self.base.cast::<Head>() }
    }

    fn turn(&self, direction: Direction) -> &Turn {
        match direction {
            Direction::Request => &self.head().requests,
            Direction::Response => &self.head().responses,
        }
    }

    fn lane(&self, direction: Direction) -> *mut u8 {
        // SAFETY: both offsets lie within the mapping.
        unsafe { self.base.add(HEAD + if direction == Direction::Response { LANE } else { 0 }) }
    }

    pub fn cancelled(&self) -> &AtomicU32 {
        &self.head().cancelled
    }

    /// The lane to write into. Only while it is this side's turn: that is what the protocol is for.
    pub fn write(&mut self, direction: Direction) -> &mut [u8] {
        // SAFETY: the lane is mapped; the other side reads it only after `send`, and `&mut self` excludes this side.
        unsafe { std::slice::from_raw_parts_mut(self.lane(direction), LANE) }
    }

    /// What the other side sent, after [`SharedMemory::wait`] said so.
    pub fn read(&self, direction: Direction) -> &[u8] {
        let bytes = (self.turn(direction).bytes.load(Ordering::Acquire) as usize).min(LANE);
        // SAFETY: the lane is mapped, and its writer waits for this side's answer before it writes again.
        unsafe { std::slice::from_raw_parts(self.lane(direction), bytes) }
    }

    /// The request that came, and the lane for its answer.
    pub fn answering(&mut self) -> (&[u8], &mut [u8]) {
        let (request, length) = (self.lane(Direction::Request), self.read(Direction::Request).len());
        // SAFETY: the request stays as it is until its answer is sent, and the answer goes into the other lane.
        (unsafe { std::slice::from_raw_parts(request, length) }, self.write(Direction::Response))
    }

    /// Hands the lane over: the other side may read its first `bytes` bytes.
    pub fn send(&self, direction: Direction, bytes: usize) {
        let turn = self.turn(direction);
        turn.bytes.store(bytes as u64, Ordering::Release);
        turn.count.fetch_add(1, Ordering::SeqCst);
        if turn.sleepers.load(Ordering::SeqCst) != 0 {
            // SAFETY: wakes whoever sleeps on a counter in memory that is mapped here and there.
            unsafe { libc::syscall(libc::SYS_futex, turn.count.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
        }
    }

    pub fn sent(&self, direction: Direction) -> u32 {
        self.turn(direction).count.load(Ordering::SeqCst)
    }

    /// Waits until something was sent since the counter read `seen`; false if `timeout` passes first.
    pub fn wait(&self, direction: Direction, seen: u32, timeout: Duration) -> bool {
        let count = &self.turn(direction).count;
        let started = Instant::now();
        while started.elapsed() < SPIN {
            for _ in 0..32 {
                if count.load(Ordering::SeqCst) != seen {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        let sleepers = &self.turn(direction).sleepers;
        let until = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        sleepers.fetch_add(1, Ordering::SeqCst);
        if count.load(Ordering::SeqCst) == seen {
            // SAFETY: sleeps while the counter, which is mapped, reads `seen`; waking early is fine, the caller looks again.
            unsafe { libc::syscall(libc::SYS_futex, count.as_ptr(), libc::FUTEX_WAIT, seen, &raw const until) };
        }
        sleepers.fetch_sub(1, Ordering::SeqCst);
        count.load(Ordering::SeqCst) != seen
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size, and nothing borrowed from it outlives self.
        unsafe { libc::munmap(self.base.cast(), SIZE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_take_turns() {
        let mut here = SharedMemory::create().unwrap();
        let mut there = SharedMemory::map(here.file().unwrap()).unwrap();
        let echo = std::thread::spawn(move || {
            for turn in 0..2000u32 {
                while !there.wait(Direction::Request, turn, Duration::from_secs(1)) {}
                let bytes: Vec<u8> = there.read(Direction::Request).iter().map(|b| b.wrapping_add(1)).collect();
                there.write(Direction::Response)[..bytes.len()].copy_from_slice(&bytes);
                there.send(Direction::Response, bytes.len());
            }
        });
        for turn in 0..2000u32 {
            if turn % 500 == 0 {
                // Long enough for the other side to fall asleep.
                std::thread::sleep(Duration::from_millis(2));
            }
            let length = (turn % 7) as usize;
            here.write(Direction::Request)[..length].fill(turn as u8);
            here.send(Direction::Request, length);
            while !here.wait(Direction::Response, turn, Duration::from_secs(1)) {}
            assert_eq!(here.read(Direction::Response), vec![(turn as u8).wrapping_add(1); length]);
        }
        echo.join().unwrap();
        assert!(!here.wait(Direction::Response, here.sent(Direction::Response), Duration::from_millis(1)));
    }

    #[test]
    fn another_file_is_not_taken_for_shared_memory() {
        assert!(SharedMemory::map(tempfile::tempfile().unwrap()).is_err());
    }
}
