//! One instance in a store of its own, and what it may use there.

use twinhost_plugin_api::{Error, Result};
use wasmtime::component::{Component, Linker};
use wasmtime::{ResourceLimiter, Store};

use super::engine::{Metering, TICK, engine};
use super::failure::explain;
use super::grants::{self, Dice, Lines};
use super::program::Program;
use crate::recipe::Permission;

const MIB: usize = 1024 * 1024;

/// Far above what compilers of guests make: an interpreter with its libraries has some 10,000 table entries and a few dozen core instances.
const MOST_TABLE_ENTRIES: usize = 1_000_000;
const MOST_INSTANCES: usize = 1000;
const MOST_TABLES: usize = 1000;
const MOST_MEMORIES: usize = 100;

/// Starting up may cost as much as this many calls: interpreters set themselves up, configurations are read.
const START_UP_CALLS: u64 = 20;

/// What a component is told once, before anything else.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Kind and name, for the log.
    pub component: String,
    /// JSON.
    pub config: String,
    /// JSON of the environment's description, `{}` if it is not known.
    pub environment: String,
    pub seed: u64,
}

/// What an instance may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The end of a call.
    pub metering: Metering,
    /// In all, MiB.
    pub memory_mib: u64,
    pub grants: Vec<Permission>,
}

/// A world of the interface: how it is made and set up.
pub trait World: Sized + Send + 'static {
    /// # Errors
    /// If the component is not of this world, or its start-up code fails.
    fn instantiate(store: &mut Store<Allowance>, component: &Component, linker: &Linker<Allowance>) -> wasmtime::Result<Self>;

    /// Returns the component's description.
    ///
    /// # Errors
    /// The outer one if the call fails, the inner one if the component refuses its configuration.
    fn configure(&self, store: &mut Store<Allowance>, setup: &Setup) -> wasmtime::Result<Result<String>>;
}

/// Memory that the instances of a store have in all. Limits of the runtime's own would hold for each memory alone.
pub struct Allowance {
    memory: usize,
    most_memory: usize,
    table_entries: usize,
    /// The total after the request that was refused first in the present call.
    denied: Option<Denied>,
    /// Where granted random numbers come from.
    pub(super) dice: Dice,
    /// Where granted lines for the log go.
    pub(super) lines: Lines,
}

#[derive(Clone, Copy)]
enum Denied {
    Memory(usize),
    Table(usize),
}

impl Allowance {
    fn new(bounds: &Bounds, setup: &Setup, shown: usize) -> Self {
        let most_memory = usize::try_from(bounds.memory_mib).unwrap_or(usize::MAX).saturating_mul(MIB);
        Self {
            memory: 0,
            most_memory,
            table_entries: 0,
            denied: None,
            dice: Dice::of(setup.seed),
            lines: Lines::of(&setup.component, shown),
        }
    }

    /// What was asked for when the answer was no.
    pub fn denied(&self) -> Option<String> {
        self.denied.map(|denied| match denied {
            Denied::Memory(bytes) => format!("{} MiB", bytes.div_ceil(MIB)),
            Denied::Table(entries) => format!("{entries} table entries"),
        })
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.memory.saturating_sub(current).saturating_add(desired);
        if after > self.most_memory {
            self.denied.get_or_insert(Denied::Memory(after));
            return Ok(false);
        }
        self.memory = after;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.table_entries.saturating_sub(current).saturating_add(desired);
        if after > MOST_TABLE_ENTRIES {
            self.denied.get_or_insert(Denied::Table(after));
            return Ok(false);
        }
        self.table_entries = after;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }
    fn tables(&self) -> usize {
        MOST_TABLES
    }
    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}

/// A component at work. After a failure its instance is gone; the next call begins with a fresh one.
pub struct Sandbox<W> {
    program: Program,
    bounds: Bounds,
    setup: Setup,
    live: Option<Live<W>>,
    /// Lines that it has written into the log so far.
    shown: usize,
}

struct Live<W> {
    store: Store<Allowance>,
    world: W,
}

impl<W: World> Sandbox<W> {
    /// Starts the component; returns it with its description of itself.
    ///
    /// # Errors
    /// If the component does not start, or refuses its configuration.
    pub fn start(program: Program, bounds: Bounds, setup: Setup) -> Result<(Self, String)> {
        let mut sandbox = Self { program, bounds, setup, live: None, shown: 0 };
        let (live, description) = sandbox.instance()?;
        sandbox.live = Some(live);
        Ok((sandbox, description))
    }

    fn instance(&self) -> Result<(Live<W>, String)> {
        // Starting up is one call that may take longer.
        let bounds = Bounds { metering: self.bounds.metering.times(START_UP_CALLS), ..self.bounds.clone() };
        let engine = engine(bounds.metering).map_err(Error::internal)?;
        let component = self.program.component();
        let mut store = Store::new(engine, Allowance::new(&bounds, &self.setup, self.shown));
        store.limiter(|allowance| allowance);
        // What a guest hands back is copied into the host's memory; it cannot be more than the guest may have itself.
        store.set_hostcall_fuel(store.data().most_memory);
        // Unless something was granted, nothing is defined in it: a component has its arguments and nothing else.
        let mut linker = Linker::new(engine);
        grants::define(&mut linker, &bounds.grants).map_err(|e| Error::internal(format!("granting {:?}: {e:#}", bounds.grants)))?;
        meter(&mut store, bounds.metering)?;
        let world = W::instantiate(&mut store, component, &linker);
        store.data_mut().lines.end();
        let world = world.map_err(|e| explain(&e, store.data(), &bounds).context("start"))?;
        meter(&mut store, bounds.metering)?;
        let description = world.configure(&mut store, &self.setup);
        store.data_mut().lines.end();
        let description = description.map_err(|e| explain(&e, store.data(), &bounds).context("configure"))??;
        Ok((Live { store, world }, description))
    }

    /// One call. `call` returns the guest's answer or its error.
    ///
    /// # Errors
    /// Whatever the guest reports, or how it failed.
    pub fn call<T>(&mut self, call: impl FnOnce(&mut Store<Allowance>, &W) -> wasmtime::Result<Result<T>>) -> Result<T> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.instance()?.0,
        };
        meter(&mut live.store, self.bounds.metering)?;
        live.store.data_mut().denied = None;
        let outcome = call(&mut live.store, &live.world);
        let lines = &mut live.store.data_mut().lines;
        lines.end();
        self.shown = lines.shown();
        match outcome {
            Ok(answer) => {
                self.live = Some(live);
                answer
            }
            Err(e) => Err(explain(&e, live.store.data(), &self.bounds)),
        }
    }
}

/// Allows the next call its time.
fn meter(store: &mut Store<Allowance>, metering: Metering) -> Result<()> {
    match metering {
        Metering::Fuel(fuel) => store.set_fuel(fuel).map_err(|e| Error::internal(format!("the fuel gauge does not work: {e:#}"))),
        Metering::Deadline(ms) => {
            let ticks = ms.div_ceil(u64::try_from(TICK.as_millis()).unwrap_or(1));
            // The current period is already running; ticks are added to the present count, which must not wrap.
            store.set_epoch_deadline(ticks.min(u64::from(u32::MAX)) + 1);
            Ok(())
        }
    }
}
