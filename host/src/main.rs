//! The `host` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Read by OpenMP and Mesa when they are loaded. Spinning OpenMP threads would starve the simulation's threads on small
    // machines, and every environment worker rasterises in its own thread.
    for (name, value) in [("GOMP_SPINCOUNT", "1000"), ("LP_NUM_THREADS", "0")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the process has a single thread here.
            unsafe { std::env::set_var(name, value) };
        }
    }
    twinhost::cli::main()
}
