//! What a sandboxed component may be given beyond its arguments, if it asks and the user allows it.
//!
//! Only functions that return at once: nothing here lets a guest wait, reach a file or reach the network.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};

use super::sandbox::Allowance;
use crate::recipe::Permission;

/// The interfaces behind a permission: our own (`plugin-api/wit/grants`), and those of WASI for components from other tools than ours.
const INTERFACES: [(&str, Family, Permission); 8] = [
    ("twinhost:grants/clock", OURS, Permission::Clock),
    ("twinhost:grants/random", OURS, Permission::Random),
    ("twinhost:grants/log", OURS, Permission::Log),
    ("wasi:clocks/monotonic-clock", WASI, Permission::Clock),
    ("wasi:clocks/wall-clock", WASI, Permission::Clock),
    ("wasi:random/random", WASI, Permission::Random),
    ("wasi:random/insecure", WASI, Permission::Random),
    ("wasi:random/insecure-seed", WASI, Permission::Random),
];

/// Versions that fit one another: later ones only add to it.
#[derive(Clone, Copy)]
struct Family {
    first: &'static str,
    begins: &'static str,
}

const OURS: Family = Family { first: "1.0.0", begins: "1." };
const WASI: Family = Family { first: "0.2.0", begins: "0.2." };

/// Most random bytes in one call.
const MOST_BYTES: u64 = 1 << 20;

const MOST_LINES: usize = 100;
/// In all calls of a component together.
const MOST_LINES_IN_ALL: usize = 10_000;
const LONGEST_LINE: usize = 1000;

/// The permission that an import needs; `None` if there is none for it.
pub fn needed(import: &str) -> Option<Permission> {
    let (interface, version) = import.split_once('@')?;
    let (_, family, permission) = INTERFACES.iter().find(|(name, ..)| *name == interface)?;
    version.starts_with(family.begins).then_some(*permission)
}

/// Seconds and nanoseconds since 1970.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl Datetime {
    fn nanoseconds(&self) -> u64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(u64::from(self.nanoseconds))
    }
}

/// Nanoseconds since this process first asked.
fn monotonic() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn wall() -> Datetime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

/// Random numbers of one instance.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Drawn from the component's own seed, so that a run repeats bit for bit, and for that reason no secrets.
    pub fn of(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn bytes(&mut self, count: u64) -> wasmtime::Result<Vec<u8>> {
        if count > MOST_BYTES {
            return Err(wasmtime::Error::msg(format!("asked for {count} random bytes at once, more than {MOST_BYTES}")));
        }
        let mut bytes = vec![0; count as usize];
        self.0.fill(bytes.as_mut_slice());
        Ok(bytes)
    }

    fn word(&mut self) -> u64 {
        self.0.random()
    }
}

/// What an instance writes into the log.
pub struct Lines {
    component: String,
    /// Written in the present call.
    count: usize,
    /// Shown so far, by former instances too.
    shown: usize,
}

impl Lines {
    pub fn of(component: &str, shown: usize) -> Self {
        Self { component: component.replace(char::is_control, " "), count: 0, shown }
    }

    pub fn shown(&self) -> usize {
        self.shown
    }

    /// Whether one more may be shown.
    fn next(&mut self) -> bool {
        self.count += 1;
        let may = self.count <= MOST_LINES && self.shown < MOST_LINES_IN_ALL;
        self.shown += usize::from(may);
        may
    }

    fn show(&self, text: &str) {
        let text = text.replace(char::is_control, " ");
        tracing::info!("{}: {text}", self.component);
        if self.shown == MOST_LINES_IN_ALL {
            tracing::warn!("{}: has written {MOST_LINES_IN_ALL} lines; no more are shown", self.component);
        }
    }

    /// The call is over.
    pub fn end(&mut self) {
        let left_out = std::mem::take(&mut self.count).saturating_sub(MOST_LINES);
        if left_out > 0 && self.shown < MOST_LINES_IN_ALL {
            tracing::info!("{}: {left_out} more lines in one call are left out", self.component);
        }
    }
}

/// The guest pays for what the host does in its place, or it could hold up the control loop for nothing. Where there is no fuel, the clock runs.
fn charge(store: &mut StoreContextMut<'_, Allowance>, fuel: u64) -> wasmtime::Result<()> {
    match store.get_fuel() {
        Ok(left) => store.set_fuel(left.saturating_sub(fuel)),
        Err(_) => Ok(()),
    }
}

/// Defines what was granted, and nothing else.
///
/// # Errors
/// Never, unless the runtime changes its mind about names.
pub fn define(linker: &mut Linker<Allowance>, granted: &[Permission]) -> wasmtime::Result<()> {
    let ours = |interface: &str| format!("{interface}@{}", OURS.first);
    let name = |interface: &str| format!("{interface}@{}", WASI.first);
    if granted.contains(&Permission::Clock) {
        let mut clock = linker.instance(&ours("twinhost:grants/clock"))?;
        clock.func_wrap("monotonic", |_, (): ()| Ok((monotonic(),)))?;
        clock.func_wrap("wall", |_, (): ()| Ok((wall().nanoseconds(),)))?;
        let mut clock = linker.instance(&name("wasi:clocks/monotonic-clock"))?;
        clock.func_wrap("now", |_, (): ()| Ok((monotonic(),)))?;
        clock.func_wrap("resolution", |_, (): ()| Ok((1u64,)))?;
        let mut clock = linker.instance(&name("wasi:clocks/wall-clock"))?;
        clock.func_wrap("now", |_, (): ()| Ok((wall(),)))?;
        clock.func_wrap("resolution", |_, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))?;
    }
    if granted.contains(&Permission::Log) {
        let mut log = linker.instance(&ours("twinhost:grants/log"))?;
        log.func_wrap("line", |mut store, (text,): (WasmStr,)| {
            // What is not shown is not looked at either.
            if store.data_mut().lines.next() {
                let whole = text.to_str(&store)?;
                let (length, text) = (whole.len(), whole.chars().take(LONGEST_LINE).collect::<String>());
                charge(&mut store, length as u64)?;
                store.data().lines.show(&text);
            }
            Ok(())
        })?;
    }
    if granted.contains(&Permission::Random) {
        let mut random = linker.instance(&ours("twinhost:grants/random"))?;
        random.func_wrap("word", |mut store, (): ()| Ok((store.data_mut().dice.word(),)))?;
        for (interface, bytes, word) in [
            ("wasi:random/random", "get-random-bytes", "get-random-u64"),
            ("wasi:random/insecure", "get-insecure-random-bytes", "get-insecure-random-u64"),
        ] {
            let mut random = linker.instance(&name(interface))?;
            random.func_wrap(bytes, |mut store, (count,): (u64,)| {
                charge(&mut store, count)?;
                Ok((store.data_mut().dice.bytes(count)?,))
            })?;
            random.func_wrap(word, |mut store, (): ()| Ok((store.data_mut().dice.word(),)))?;
        }
        let mut random = linker.instance(&name("wasi:random/insecure-seed"))?;
        random.func_wrap("insecure-seed", |mut store, (): ()| {
            let dice = &mut store.data_mut().dice;
            Ok(((dice.word(), dice.word()),))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_limited_in_a_call_and_in_all() {
        let mut lines = Lines::of("reward `a\nb`", 0);
        assert_eq!(lines.component, "reward `a b`");
        assert_eq!((0..2 * MOST_LINES).filter(|_| lines.next()).count(), MOST_LINES);
        lines.end();
        assert!(lines.next(), "the next call begins anew");
        let mut later = Lines::of("reward", MOST_LINES_IN_ALL - 2);
        assert_eq!((0..10).filter(|_| later.next()).count(), 2);
        assert_eq!(later.shown(), MOST_LINES_IN_ALL);
    }

    #[test]
    fn times_are_whole_nanoseconds() {
        // 2001-09-09 01:46:40 UTC is 10^9 seconds after 1970.
        assert_eq!(Datetime { seconds: 1_000_000_000, nanoseconds: 7 }.nanoseconds(), 1_000_000_000_000_000_007);
        assert!(wall().nanoseconds() > 1_700_000_000_000_000_000, "the clock of this machine is wrong");
    }
}
