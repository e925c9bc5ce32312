//! What went wrong inside the sandbox, in one sentence, with the guest's own backtrace below it.

use twinhost_plugin_api::Error;
use wasmtime::{Trap, WasmBacktrace};

use super::engine::Metering;
use super::sandbox::{Allowance, Bounds};

/// The sentence for a call that did not come back with an answer within `bounds`.
pub fn explain(error: &wasmtime::Error, allowance: &Allowance, bounds: &Bounds) -> Error {
    let mut message = sentence(error, allowance, bounds);
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>().filter(|b| !b.frames().is_empty()) {
        let text = backtrace.to_string();
        // The first line says that a backtrace follows.
        message.extend(text.lines().skip(1).map(|line| format!("\n  {}", line.trim_end())));
    }
    Error::internal(message)
}

fn sentence(error: &wasmtime::Error, allowance: &Allowance, bounds: &Bounds) -> String {
    match (error.downcast_ref::<Trap>(), allowance.denied()) {
        (Some(Trap::OutOfFuel | Trap::Interrupt), _) => match bounds.metering {
            Metering::Fuel(fuel) => {
                format!("used up its fuel of {fuel} instructions: it does not end, or it needs a higher `limits.fuel`")
            }
            Metering::Deadline(ms) => format!("did not end within {ms} ms: it does not end, or it needs a longer `limits.deadline_ms`"),
        },
        // A guest that is refused memory mostly aborts at once, so this is why.
        (_, Some(wanted)) => {
            format!("wanted {wanted} of memory, and may have {} MiB: it leaks, or it needs a higher `limits.memory_mib`", bounds.memory_mib)
        }
        (Some(Trap::StackOverflow), _) => "recursed until its stack was full".to_owned(),
        (Some(Trap::UnreachableCodeReached), _) => "gave up: it panicked or aborted".to_owned(),
        (Some(trap), _) => format!("trapped: {trap}"),
        // No trap, so it is what the guest handed over or exports.
        (None, None) if error.downcast_ref::<WasmBacktrace>().is_some() => {
            format!("does not keep to the interface: {}", error.root_cause())
        }
        // Found before anything ran, so every link of the chain says where.
        (None, None) => format!("does not keep to the interface: {error:#}"),
    }
}
