//! What a sandboxed component may be given beyond its arguments, if it asks and the user allows it.
//!
//! Only functions that return at once: nothing here lets a guest wait, reach a file or reach the network.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::sandbox::Allowance;
use crate::recipe::Permission;

/// The interfaces of WASI 0.2 behind a permission.
const INTERFACES: [(&str, Permission); 5] = [
    ("wasi:clocks/monotonic-clock", Permission::Clock),
    ("wasi:clocks/wall-clock", Permission::Clock),
    ("wasi:random/random", Permission::Random),
    ("wasi:random/insecure", Permission::Random),
    ("wasi:random/insecure-seed", Permission::Random),
];
/// Whatever 0.2.x a component was built against: later ones only add to it.
const MAJOR_MINOR: &str = "0.2.";
const VERSION: &str = "0.2.0";

/// Most random bytes in one call.
const MOST_BYTES: u64 = 1 << 20;

/// The permission that an import needs; `None` if there is none for it.
pub fn needed(import: &str) -> Option<Permission> {
    let (interface, version) = import.split_once('@')?;
    let found = INTERFACES.iter().find(|(name, _)| *name == interface)?;
    version.starts_with(MAJOR_MINOR).then_some(found.1)
}

/// Seconds and nanoseconds since 1970.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
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

/// Defines what was granted, and nothing else.
///
/// # Errors
/// Never, unless the runtime changes its mind about names.
pub fn define(linker: &mut Linker<Allowance>, granted: &[Permission]) -> wasmtime::Result<()> {
    let name = |interface: &str| format!("{interface}@{VERSION}");
    if granted.contains(&Permission::Clock) {
        let mut clock = linker.instance(&name("wasi:clocks/monotonic-clock"))?;
        clock.func_wrap("now", |_, (): ()| Ok((monotonic(),)))?;
        clock.func_wrap("resolution", |_, (): ()| Ok((1u64,)))?;
        let mut clock = linker.instance(&name("wasi:clocks/wall-clock"))?;
        clock.func_wrap("now", |_, (): ()| Ok((wall(),)))?;
        clock.func_wrap("resolution", |_, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))?;
    }
    if granted.contains(&Permission::Random) {
        for (interface, bytes, word) in [
            ("wasi:random/random", "get-random-bytes", "get-random-u64"),
            ("wasi:random/insecure", "get-insecure-random-bytes", "get-insecure-random-u64"),
        ] {
            let mut random = linker.instance(&name(interface))?;
            random.func_wrap(bytes, |mut store, (count,): (u64,)| Ok((store.data_mut().dice.bytes(count)?,)))?;
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
