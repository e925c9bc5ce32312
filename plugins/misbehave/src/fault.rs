//! What goes wrong, in which call, and from which call on.

use serde::Deserialize;
use std::time::Duration;
use twinhost_plugin_api::{Error, HostServices, Result};

/// The call in which the fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum When {
    Create,
    Spec,
    Reset,
    /// `step`, `score`, `act` or `command`.
    Main,
}

/// The fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Fault {
    Nothing,
    Panic,
    Error,
    /// Does not return for `seconds`, and does not ask whether it should.
    Hang,
    /// A result that is not a number.
    Nan,
    /// A result with a row too many.
    WrongShape,
    /// A result without the feature it must have.
    Missing,
    /// Memory that is never given back, 256 bytes a call.
    Leak,
    /// Results that differ from one instance to the next.
    Dice,
    /// Accepts what it must refuse.
    Careless,
    /// Allocates where it must not.
    Allocate,
    Abort,
    Segfault,
    Exit,
}

/// Configuration of every component here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub fault: Fault,
    pub when: When,
    /// The fault shows after this many calls of its kind that go well.
    pub after: u64,
    /// How long `Hang` hangs.
    pub seconds: f64,
    /// A file: the fault shows only while it does not exist, and makes it.
    pub once: String,
    pub num_envs: usize,
    /// Length of an episode, control steps.
    pub episode: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { fault: Fault::Nothing, when: When::Main, after: 0, seconds: 1.0, once: String::new(), num_envs: 2, episode: 20 }
    }
}

/// The fault with its count of calls.
pub struct Trigger {
    pub config: Config,
    pub services: HostServices,
    calls: u64,
}

impl Trigger {
    pub fn new(config: Config, services: HostServices) -> Result<Self> {
        let mut trigger = Self { config, services, calls: 0 };
        trigger.pull(When::Create)?;
        Ok(trigger)
    }

    /// Is this fault due in this call?
    pub fn is(&self, fault: Fault) -> bool {
        self.config.fault == fault && self.calls > self.config.after
    }

    /// Called at the beginning of every call.
    pub fn pull(&mut self, when: When) -> Result<()> {
        if when != self.config.when {
            return Ok(());
        }
        self.calls += 1;
        if self.calls <= self.config.after {
            return Ok(());
        }
        act(&self.config)
    }

    /// For calls that may not change anything.
    pub fn spec(&self) {
        if self.config.when == When::Spec {
            // `spec` cannot return an error.
            let _ = act(&self.config);
        }
    }
}

fn act(config: &Config) -> Result<()> {
    if !config.once.is_empty() && std::fs::File::create_new(&config.once).is_err() {
        return Ok(());
    }
    match config.fault {
        Fault::Panic => panic!("the gripper is jammed"),
        Fault::Error => return Err(Error::internal("the gripper is jammed")),
        Fault::Hang => std::thread::sleep(Duration::from_secs_f64(config.seconds)),
        Fault::Leak => {
            // An allocation that nobody could see would be left out by the compiler.
            std::hint::black_box(Box::leak(vec![1u8; 256].into_boxed_slice()));
        }
        // SAFETY: ends the process, which is the misbehaviour.
        Fault::Abort => unsafe { libc::abort() },
        // SAFETY: none, it reads where nothing is mapped; that is the misbehaviour, and the process it happens in ends.
        Fault::Segfault => drop(unsafe { std::ptr::without_provenance::<u8>(16).read_volatile() }),
        Fault::Exit => std::process::exit(7),
        _ => {}
    }
    Ok(())
}
