//! What a component may be given: it must ask, the user must grant, and nothing else comes along.

use twinhost::loader::{Catalog, Loader, Terms, host_services, inspect};
use twinhost::recipe::{Limits, Permission};
use twinhost_plugin_api::{Result, Reward as _, names};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::guests::{manifest, misbehaving, reward_with, transition, with_manifest};

/// The reward of `plugins/misbehave/wasm` with one import more, whose value (as f32) is added to every score.
fn importing(package: &str, interface: &str, function: &str, result: &str, call: &str) -> Vec<u8> {
    let (name, version) = package.split_once('@').unwrap();
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(super::guests::WIT).unwrap();
    resolve.push_str("wasi.wit", &format!("package {package};\ninterface {interface} {{ {function}: func() -> {result}; }}")).unwrap();
    let world = format!(
        "package test:importing;\nworld importing {{\n  import {name}/{interface}@{version};\n  export twinhost:plugin/scoring@1.0.0;\n}}"
    );
    let package = resolve.push_str("world.wit", &world).unwrap();
    let world = resolve.select_world(&[package], Some("importing")).unwrap();
    let text = misbehaving("reward")
        .replace("(module", &format!("(module\n  (import \"{name}/{interface}@{version}\" \"{function}\" (func $asked {call}))"))
        .replace(";; FAULT", "(global.set $bias (f32.convert_i64_u (i64.and (call $asked) (i64.const 0xffffff))))");
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

fn stopwatch() -> Vec<u8> {
    importing("wasi:clocks@0.2.3", "monotonic-clock", "now", "u64", "(result i64)")
}
fn dice() -> Vec<u8> {
    importing("wasi:random@0.2.0", "random", "get-random-u64", "u64", "(result i64)")
}

fn asking(permission: &str) -> String {
    manifest("Reward", "guest").replace("name: \"guest\")", &format!("name: \"guest\", asks: [{permission}])"))
}

/// Three scores in a row of a component that was granted something.
fn scores(component: Vec<u8>, manifest: &str, granted: &[Permission], seed: u64) -> Result<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.wasm");
    std::fs::write(&file, with_manifest(component, manifest)).unwrap();
    let terms = Terms { limits: Limits { grants: granted.to_vec(), ..Limits::default() }, environment: None };
    let mut reward = Loader::of(Catalog::only(&[file])).keeping_code(None).reward("guest", "", host_services(1, seed), &terms)?;
    (0..3).map(|_| Ok(reward.score(&transition(0.0, 0.0))?.slice::<f32>(names::REWARD)?[0])).collect()
}

#[test]
fn a_clock_runs_if_it_was_asked_for_and_granted() {
    let times = scores(stopwatch(), &asking("Clock"), &[Permission::Clock], 0).unwrap();
    // 24 bits of nanoseconds wrap after 17 ms, so only that time passes is certain.
    assert!(times[0] != times[1] && times[1] != times[2], "{times:?}");
}

#[test]
fn nobody_gets_what_was_not_granted() {
    let e = scores(stopwatch(), &asking("Clock"), &[Permission::Random], 0).unwrap_err().to_string();
    assert!(e.contains("asks for `Clock`, which nobody granted it: run with `--grant Clock`"), "{e}");
}

/// What is granted does not help a component that did not say what it wants.
#[test]
fn an_import_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.wasm");
    for manifest in [manifest("Reward", "guest"), asking("Random")] {
        std::fs::write(&file, with_manifest(stopwatch(), &manifest)).unwrap();
        let e = inspect(&file).unwrap_err().to_string();
        assert!(e.contains("imports `wasi:clocks/monotonic-clock@0.2.3` without saying so: write `asks: [Clock]`"), "{e}");
    }
    std::fs::write(&file, with_manifest(reward_with(""), &asking("Network"))).unwrap();
    let e = inspect(&file).unwrap_err().to_string();
    assert!(e.contains("its plugin.ron is wrong at line 1") && e.contains("Network"), "{e}");
}

/// Another major version is another interface.
#[test]
fn later_interfaces_are_not_taken_for_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guest.wasm");
    let later = importing("wasi:clocks@0.3.0", "monotonic-clock", "now", "u64", "(result i64)");
    std::fs::write(&file, with_manifest(later, &asking("Clock"))).unwrap();
    let e = inspect(&file).unwrap_err().to_string();
    assert!(e.contains("imports `wasi:clocks/monotonic-clock@0.3.0`, which no sandboxed component may import"), "{e}");
}

/// A function of a granted interface that would let the guest wait is not there, and the component is told which.
#[test]
fn waiting_is_not_part_of_a_clock() {
    let sleeper = importing("wasi:clocks@0.2.3", "monotonic-clock", "subscribe-duration", "u64", "(result i64)");
    let e = scores(sleeper, &asking("Clock"), &[Permission::Clock], 0).unwrap_err().to_string();
    assert!(e.contains("start:") && e.contains("subscribe-duration"), "{e}");
}

/// Random numbers are the run's own: equal seeds give equal ones.
#[test]
fn granted_randomness_repeats() {
    let draw = |seed| scores(dice(), &asking("Random"), &[Permission::Random], seed).unwrap();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let [first, second, third] = draw(1)[..] else { panic!("three scores") };
    assert!(first != second && second != third);
}
