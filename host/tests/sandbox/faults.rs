//! Every fault of `plugins/misbehave/wasm` is noticed, named, and stays the component's own: the loader, other components, and the component
//! itself once it is started anew go on working.

use twinhost::loader::{Catalog, Loader, host_services, inspect};
use twinhost::recipe::Limits;
use twinhost_plugin_api::{ErrorKind, Reward as _, names};

use super::guests::{Shelf, component, manifest, misbehaving, reward_with, transition, with_manifest};

fn limits() -> Limits {
    Limits { fuel: Some(10_000_000), memory_mib: 16, ..Limits::default() }
}

/// Scores with a faulty reward and returns what the host says about it.
fn fault(name: &str, limits: Limits) -> String {
    let healthy = Shelf::new("Reward", "healthy", reward_with(""));
    let mut other = healthy.reward("healthy", "", limits.clone()).unwrap();
    let shelf = Shelf::new("Reward", "faulty", reward_with(name));
    let mut reward = shelf.reward("faulty", "", limits).unwrap();
    let first = reward.score(&transition(1.0, 2.0)).unwrap_err().to_string();
    // The rest lives on, and the fault is the same when the component is started anew.
    assert_eq!(other.score(&transition(1.0, 2.0)).unwrap().slice::<f32>(names::REWARD).unwrap(), [1.0, 1.0, 2.0, 2.0]);
    reward.reset(&[0, 1]).unwrap();
    assert_eq!(reward.score(&transition(1.0, 2.0)).unwrap_err().to_string(), first, "{name}");
    first
}

fn check(name: &str, words: &[&str]) {
    let said = fault(name, limits());
    assert!(said.starts_with("reward `faulty`"), "{said}");
    for word in words {
        assert!(said.contains(word), "{name}: {said} does not say {word}");
    }
}

#[test]
fn endless_loops_end() {
    check("endless_loop", &["used up its fuel of 10000000 instructions", "`limits.fuel`", "!score"]);
    let by_clock = fault("endless_loop", Limits { fuel: None, deadline_ms: Some(5), ..limits() });
    assert!(by_clock.contains("did not end within 5 ms") && by_clock.contains("`limits.deadline_ms`"), "{by_clock}");
}

#[test]
fn memory_and_stack_are_limited() {
    // 4 pages at first and 256 more (16 MiB) each time: the first request is for 16.25 MiB.
    check("memory_bomb", &["wanted 17 MiB of memory, and may have 16 MiB", "`limits.memory_mib`"]);
    check("deep_recursion", &["recursed until its stack was full", "endless_recursion"]);
}

#[test]
fn lists_that_are_not_there_are_not_read() {
    check("huge_list", &["does not keep to the interface"]);
    check("text_bomb", &["does not keep to the interface"]);
}

#[test]
fn traps_have_a_backtrace() {
    check("abort", &["it panicked or aborted", "!score"]);
    check("division_by_zero", &["integer divide by zero", "!score"]);
    check("wild_pointer", &["out of bounds memory access", "!score"]);
}

#[test]
fn wrong_values_are_told_with_their_place() {
    check("nan", &["NaN"]);
    check("wrong_length", &["`rewards` with 3 values, which must be [2, 2]"]);
}

#[test]
fn what_no_permission_covers_cannot_be_imported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.wasm");
    let text = misbehaving("undeclared_import").replace("wasi:clocks/monotonic-clock", "wasi:sockets/network");
    std::fs::write(&file, with_manifest(wat::parse_str(text).unwrap(), &manifest("Reward", "network"))).unwrap();
    let refusal = inspect(&file).unwrap_err().to_string();
    assert!(refusal.contains("imports `wasi:sockets/network@0.2.0`, which no sandboxed component may import"), "{refusal}");
    let loader = Loader::of(Catalog::only(&[file])).keeping_code(None);
    let e = loader.reward("network", "", host_services(1, 0), &Default::default()).err().unwrap().to_string();
    assert!(e.contains("wasi:sockets"), "why there is no such reward: {e}");
}

#[test]
fn the_limits_hold_at_the_start_too() {
    let greedy = misbehaving("reward").replace("(memory (export \"memory\") 4)", "(memory (export \"memory\") 1024)");
    let e = Shelf::new("Reward", "greedy", component("reward", &greedy)).reward("greedy", "", limits()).err().unwrap().to_string();
    assert!(e.contains("start: wanted 64 MiB of memory, and may have 16 MiB"), "{e}");
    let lost = misbehaving("reward").replace("(global.set $free (i32.const 8192))\n    (if", "(loop $forever (br $forever))\n    (if");
    let e = Shelf::new("Reward", "lost", component("reward", &lost)).reward("lost", "", limits()).err().unwrap().to_string();
    assert!(e.contains("configure: used up its fuel"), "{e}");
}

#[test]
fn a_refused_configuration_names_its_field() {
    let shelf = Shelf::new("Reward", "healthy", reward_with(""));
    assert!(shelf.reward("healthy", "(goal: 1)", limits()).is_ok());
    let e = shelf.reward("healthy", "(goal: -1)", limits()).err().unwrap();
    assert_eq!((e.kind, e.to_string().as_str()), (ErrorKind::InvalidConfig, "field `goal`: must be above 0"));
}

/// A call that is stopped by fuel is stopped at the same instruction in every run.
#[test]
fn fuel_is_counted_the_same_every_time() {
    let shelf = Shelf::new("Reward", "healthy", reward_with(""));
    let enough = |fuel: u64| {
        let mut reward = shelf.reward("healthy", "", Limits { fuel: Some(fuel), ..limits() })?;
        reward.score(&transition(1.0, 2.0)).map(drop)
    };
    // The least fuel that is enough, by bisection, twice.
    let least = || {
        let (mut short, mut enough_at) = (1u64, 1_000_000u64);
        while enough_at - short > 1 {
            let middle = u64::midpoint(short, enough_at);
            if enough(middle).is_ok() { enough_at = middle } else { short = middle }
        }
        enough_at
    };
    let first = least();
    assert!((50..10_000).contains(&first), "{first}");
    assert_eq!(first, least());
}
