//! The two engines of the sandbox. Both compile to code whose results do not depend on the machine or the moment; they differ in how a call that
//! does not end is stopped.

use std::sync::OnceLock;
use std::time::Duration;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

/// Stack of a guest. Deeper recursion is a failure of the component; a host thread has at least four times as much.
const GUEST_STACK: usize = 512 * 1024;

/// Period of the clock behind [`Metering::Deadline`].
pub const TICK: Duration = Duration::from_millis(1);

/// How a call that takes too long is stopped, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metering {
    /// After this many instructions: the same in every run, so it decides nothing that a repetition would decide otherwise.
    Fuel(u64),
    /// After this many milliseconds: cheaper per instruction, but whether a slow call fails depends on the machine's load.
    Deadline(u64),
}

impl Metering {
    /// What as many calls together may have.
    #[must_use]
    pub fn times(self, calls: u64) -> Self {
        match self {
            Self::Fuel(instructions) => Self::Fuel(instructions.saturating_mul(calls)),
            Self::Deadline(ms) => Self::Deadline(ms.saturating_mul(calls)),
        }
    }
}

/// The engine for a kind of metering, made on first use and kept for the life of the process.
///
/// # Errors
/// If this machine cannot run compiled WebAssembly at all.
pub fn engine(metering: Metering) -> Result<&'static Engine, String> {
    static FUEL: OnceLock<Result<Engine, String>> = OnceLock::new();
    static DEADLINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = match metering {
        Metering::Fuel(_) => FUEL.get_or_init(|| make(metering)),
        Metering::Deadline(_) => DEADLINE.get_or_init(|| make(metering).and_then(ticking)),
    };
    made.as_ref().map_err(Clone::clone)
}

fn make(metering: Metering) -> Result<Engine, String> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // No 64-bit memories: their bounds checks are slower, and no guest comes near 4 GiB.
        .wasm_memory64(false)
        .shared_memory(false)
        // The same bits on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(GUEST_STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .consume_fuel(matches!(metering, Metering::Fuel(_)))
        .epoch_interruption(matches!(metering, Metering::Deadline(_)));
    Engine::new(&config).map_err(|e| format!("this machine cannot run sandboxed components: {e:#}"))
}

/// Starts the clock of an engine that stops calls by deadline.
fn ticking(engine: Engine) -> Result<Engine, String> {
    let clock = engine.clone();
    let tick = move || {
        loop {
            std::thread::sleep(TICK);
            clock.increment_epoch();
        }
    };
    std::thread::Builder::new()
        .name("sandbox clock".to_owned())
        .spawn(tick)
        .map_err(|e| format!("the clock of sandboxed components does not start: {e}"))?;
    Ok(engine)
}
