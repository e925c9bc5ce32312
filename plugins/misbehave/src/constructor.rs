//! A constructor of the library itself: runs when the library is opened, before anyone can ask it anything.

use std::ffi::{CStr, c_char};

extern "C" fn constructor() {
    // SAFETY: reads the environment of a process that is opening a library; the name is a C string.
    let value: *const c_char = unsafe { libc::getenv(c"TWINHOST_MISBEHAVE_CONSTRUCTOR".as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: getenv returned a C string of the environment, which nobody changes meanwhile.
    match unsafe { CStr::from_ptr(value) }.to_bytes() {
        // SAFETY: ends the process, which is the misbehaviour.
        b"exit" => unsafe { libc::_exit(3) },
        // SAFETY: as above.
        b"abort" => unsafe { libc::abort() },
        _ => {}
    }
}

// Kept by `#[used]`, run by the dynamic loader.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;
