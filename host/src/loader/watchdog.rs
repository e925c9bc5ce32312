//! Notices calls into components that do not return, and says so while they hang: which component, which call, for how long.
//!
//! A handle marks the beginning and end of every call in a counter (odd while inside), which costs two stores. A thread looks at all
//! counters now and then and remembers when it first saw each value, so no clock is read on the way of a call.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Calls the host makes into a component; also the operation codes towards a component in a process of its own.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    Reset,
    Step,
    Render,
    SaveState,
    LoadState,
    Act,
    SetStatistics,
    Save,
    Load,
    Digest,
    Differentiable,
    Update,
    Score,
    Connect,
    Enable,
    Disable,
    Observe,
    Command,
    EmergencyStop,
    Start,
    Latest,
    Poll,
    Stop,
}

impl Call {
    const WORDS: [(Call, &'static str); 24] = [
        (Call::Create, "create"),
        (Call::Reset, "reset"),
        (Call::Step, "step"),
        (Call::Render, "render"),
        (Call::SaveState, "save_state"),
        (Call::LoadState, "load_state"),
        (Call::Act, "act"),
        (Call::SetStatistics, "set_statistics"),
        (Call::Save, "save"),
        (Call::Load, "load"),
        (Call::Digest, "digest"),
        (Call::Differentiable, "differentiable"),
        (Call::Update, "update"),
        (Call::Score, "score"),
        (Call::Connect, "connect"),
        (Call::Enable, "enable"),
        (Call::Disable, "disable"),
        (Call::Observe, "observe"),
        (Call::Command, "command"),
        (Call::EmergencyStop, "emergency_stop"),
        (Call::Start, "start"),
        (Call::Latest, "latest"),
        (Call::Poll, "poll"),
        (Call::Stop, "stop"),
    ];

    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].1
    }

    /// The call of that number, if there is one.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::WORDS.get(usize::from(number)).map(|(call, _)| *call)
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// What a handle and the watchdog know of each other.
struct Slot {
    component: String,
    limit: Duration,
    /// Odd while a call is under way.
    calls: AtomicU64,
    call: AtomicU8,
}

/// A component's end: marks its calls.
pub struct Watch(Arc<Slot>);

impl Watch {
    /// Watches a component from now on; its calls are reported after `limit`.
    pub fn new(component: &str, limit: Duration) -> Self {
        let slot = Arc::new(Slot { component: component.into(), limit, calls: AtomicU64::new(0), call: AtomicU8::new(0) });
        let mut patrol = PATROL.lock().unwrap_or_else(PoisonError::into_inner);
        patrol.watched.push(Watched { slot: Arc::downgrade(&slot), calls: 0, since: None, next: limit });
        drop(patrol);
        start();
        Self(slot)
    }

    /// Runs a call under observation. A component has one caller at a time, so plain loads and stores are enough.
    pub fn during<T>(&self, call: Call, run: impl FnOnce() -> T) -> T {
        let calls = self.0.calls.load(Ordering::Relaxed);
        self.0.call.store(call as u8, Ordering::Relaxed);
        self.0.calls.store(calls + 1, Ordering::Release);
        let out = run();
        self.0.calls.store(calls + 2, Ordering::Release);
        out
    }
}

/// What the watchdog remembers of one component.
struct Watched {
    slot: Weak<Slot>,
    calls: u64,
    /// When `calls` was first seen, if a call is under way.
    since: Option<Instant>,
    /// Age at which the call is reported next.
    next: Duration,
}

struct Patrol {
    watched: Vec<Watched>,
}

static PATROL: Mutex<Patrol> = Mutex::new(Patrol { watched: Vec::new() });

impl Patrol {
    /// One look at every component: what to report now. Ages double from report to report.
    fn look(&mut self, now: Instant) -> Vec<String> {
        self.watched.retain(|w| w.slot.strong_count() > 0);
        self.watched.iter_mut().filter_map(|w| w.look(now)).collect()
    }
}

impl Watched {
    fn look(&mut self, now: Instant) -> Option<String> {
        let slot = self.slot.upgrade()?;
        let calls = slot.calls.load(Ordering::Acquire);
        if calls != self.calls || self.since.is_none() {
            let came_back = self.since.filter(|_| self.next > slot.limit && calls != self.calls);
            self.calls = calls;
            self.next = slot.limit;
            self.since = (calls % 2 == 1).then_some(now);
            return came_back.map(|since| format!("{} has returned after {:.1} s", slot.component, (now - since).as_secs_f64()));
        }
        let age = now - self.since?;
        if age < self.next {
            return None;
        }
        self.next = age.saturating_mul(2);
        let call = Call::numbered(slot.call.load(Ordering::Relaxed))?;
        Some(format!(
            "{} has not returned from `{call}` for {:.1} s: it hangs or is slow; a component with `isolation: Process` in the recipe is \
             ended instead of waited for",
            slot.component,
            age.as_secs_f64()
        ))
    }
}

fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let patrol = || {
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let reports = PATROL.lock().unwrap_or_else(PoisonError::into_inner).look(Instant::now());
                for report in reports {
                    tracing::warn!("{report}");
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(patrol) {
            tracing::warn!("calls that hang will not be reported: {error}");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_calls_correspond() {
        for (number, (call, _)) in Call::WORDS.iter().enumerate() {
            assert_eq!(*call as usize, number);
            assert_eq!(Call::numbered(number as u8), Some(*call));
        }
        assert_eq!(Call::numbered(24), None);
    }

    #[test]
    fn a_call_is_reported_while_it_hangs_at_growing_intervals_and_when_it_returns() {
        let limit = Duration::from_secs(2);
        let slot = Arc::new(Slot { component: "env `slow`".into(), limit, calls: AtomicU64::new(0), call: AtomicU8::new(0) });
        let mut patrol = Patrol { watched: vec![Watched { slot: Arc::downgrade(&slot), calls: 0, since: None, next: limit }] };
        let watch = Watch(slot);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(patrol.look(at(0)).is_empty());
        watch.during(Call::Step, || {
            assert!(patrol.look(at(1)).is_empty(), "seen for the first time");
            assert!(patrol.look(at(2)).is_empty(), "one second old");
            let report = patrol.look(at(4)).concat();
            assert!(report.contains("env `slow` has not returned from `step` for 3.0 s"), "{report}");
            assert!(patrol.look(at(6)).is_empty(), "the next report comes at twice the age, 6 s");
            assert_eq!(patrol.look(at(7)).len(), 1);
        });
        assert_eq!(patrol.look(at(8)), ["env `slow` has returned after 7.0 s"]);
        watch.during(Call::Reset, || assert!(patrol.look(at(100)).is_empty(), "a new call has a new age"));
        drop(watch);
        assert!(patrol.look(at(200)).is_empty() && patrol.watched.is_empty());
    }
}
