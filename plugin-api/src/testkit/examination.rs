//! One examination: runs checks, survives their panics, writes the card.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::card::{Check, Outcome, ScoreCard};
use super::{Settings, memory};
use crate::v1::services::std_clock;
use crate::v1::{Error, ErrorKind, HostServices, LogLevel, Result};
use abi_stable::std_types::RStr;

/// How a check ends that did not fail.
pub enum Verdict {
    Pass(String),
    Skip(String),
}

pub const PASS: Verdict = Verdict::Pass(String::new());

/// Why a check failed, in a sentence.
#[derive(Debug)]
pub struct Complaint(pub String);

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

pub type Checked<T = Verdict> = std::result::Result<T, Complaint>;

/// Fails a check.
pub fn fail<T>(sentence: impl Into<String>) -> Checked<T> {
    Err(Complaint(sentence.into()))
}

/// The process' memory and the wish to stop are shared, so one component is examined at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static CANCELLED: AtomicBool = AtomicBool::new(false);

extern "C" fn log(_: LogLevel, _: RStr<'_>, _: RStr<'_>) {}
extern "C" fn cancelled() -> bool {
    CANCELLED.load(Ordering::Relaxed)
}

/// The host's services for a test of one's own: a clock, a log that nobody reads, one thread, seed 0, and nobody who wants to stop.
pub fn services() -> HostServices {
    extern "C" fn never() -> bool {
        false
    }
    HostServices::new(log, never, std_clock, 1, 0)
}

pub struct Examination<'a> {
    pub settings: &'a Settings,
    card: ScoreCard,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Examination<'a> {
    pub fn begin(kind: &str, name: &str, settings: &'a Settings) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        CANCELLED.store(false, Ordering::Relaxed);
        Self { settings, card: ScoreCard { component: format!("{kind} `{name}`"), checks: Vec::new() }, _alone: alone }
    }

    /// Services whose wish to stop the examination controls.
    pub fn services(&self) -> HostServices {
        HostServices::new(log, cancelled, std_clock, self.settings.threads, self.settings.seed)
    }

    pub fn check(&mut self, name: &'static str, run: impl FnOnce() -> Checked) {
        let outcome = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(Verdict::Pass(remark))) => Outcome::Passed(remark),
            Ok(Ok(Verdict::Skip(why))) => Outcome::Skipped(why),
            Ok(Err(Complaint(sentence))) => Outcome::Failed(sentence),
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().map(ToString::to_string).or_else(|| payload.downcast_ref::<String>().cloned());
                Outcome::Failed(format!("panicked: {}", text.unwrap_or_else(|| "without a message".into())))
            }
        };
        self.card.checks.push(Check { name, outcome });
    }

    /// Calls again and again and watches the memory in use.
    pub fn memory(&mut self, mut call: impl FnMut(u64) -> Checked<()>) {
        let (steps, limit) = (self.settings.steps, self.settings.leak_time);
        self.check("memory stays where it is", || memory::search_for_leaks(steps, limit, &mut call));
    }

    /// Asks the component to stop and measures how long its longest call then takes.
    pub fn cancellation(&mut self, prepare: impl FnOnce() -> Checked<Box<dyn FnOnce() -> Result<()>>>) {
        let within = self.settings.cancel_within;
        self.check("a wish to stop is heeded", || {
            let call = prepare()?;
            CANCELLED.store(true, Ordering::Relaxed);
            let started = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(call));
            let took = started.elapsed();
            CANCELLED.store(false, Ordering::Relaxed);
            match result {
                Err(payload) => std::panic::resume_unwind(payload),
                Ok(Err(e)) if e.kind != ErrorKind::Cancelled => return Err(e.into()),
                Ok(_) => {}
            }
            if took > within {
                let (took, within) = (took.as_secs_f64(), within.as_secs_f64());
                return fail(format!("a call took {took:.2} s after the host asked to stop (at most {within:.2} s)"));
            }
            Ok(Verdict::Pass(format!("{:.1} ms", 1e3 * took.as_secs_f64())))
        });
    }

    pub fn end(self) -> ScoreCard {
        self.card
    }
}

/// A call with wrong input: it must return an error, and not panic.
pub fn refused<T>(what: &str, result: Result<T>) -> Checked<()> {
    match result {
        Ok(_) => fail(format!("{what} was accepted")),
        Err(e) if e.kind == ErrorKind::Panic => fail(format!("{what}: {e}")),
        Err(e) if e.message.trim().is_empty() => fail(format!("{what} was refused without a word")),
        Err(_) => Ok(()),
    }
}

/// A call that need not succeed, but must not panic.
pub fn survived<T>(what: &str, result: Result<T>) -> Checked<()> {
    match result {
        Err(e) if e.kind == ErrorKind::Panic => fail(format!("{what}: {e}")),
        _ => Ok(()),
    }
}
