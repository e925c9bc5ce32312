//! Damaged files: many mutations of sound components and manifests are fed to the loader, and those that still load are called.
//!
//! None may crash the process, hang, or leave its memory behind. Mutation number n is a function of n alone, so a failure can be repeated. An ordinary
//! test run does a short count; `TWINHOST_MUTATIONS=100000 cargo test -p twinhost --test sandbox mutations` does the long one and prints what it saw.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use twinhost::loader::{Catalog, Kind, Loader, Terms, host_services};
use twinhost::recipe::Limits;
use twinhost_plugin_api::{ActMode, ActRequest, Env as _, Policy as _, ResetRequest, Reward as _, Tensor};

use super::guests::{component, environment, manifest, misbehaving, reward_with, transition, with_manifest};

/// A mutation that needs longer hangs: a sound one takes some milliseconds, compilation included.
const HANG: Duration = Duration::from_secs(120);
/// What the process may hold more at the end than at the beginning, MiB.
const MOST_GROWTH: u64 = 256;

/// Sound files of every kind, and the beginning of a native library.
fn seeds() -> Vec<Vec<u8>> {
    let world = |kind: &str, bytes: Vec<u8>| with_manifest(bytes, &manifest(kind, "x"));
    let clock = wat::parse_str(misbehaving("undeclared_import")).unwrap();
    let mut executable = vec![0; 16 * 1024];
    std::fs::File::open(std::env::current_exe().unwrap()).unwrap().read_exact(&mut executable).unwrap();
    vec![
        world("Reward", reward_with("")),
        world("Filter", component("filter", include_str!("filter.wat"))),
        world("Policy", component("policy", include_str!("policy.wat"))),
        world("Env", component("env", include_str!("env.wat"))),
        world("Reward", clock),
        executable,
    ]
}

fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..bytes.len().max(1));
        let end = (at + random.random_range(1..=32)).min(bytes.len());
        match random.random_range(0..9) {
            0 => bytes.truncate(at.max(8)),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, copy);
            }
            3 => {
                let donor = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..donor.len());
                let part = donor[from..(from + random.random_range(1..=200)).min(donor.len())].to_vec();
                bytes.splice(at..end, part);
            }
            // Values that numbers in the format like to go wrong at.
            4 => bytes[at] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x40, 0x0b][random.random_range(0..7)],
            5 if end - at >= 5 => bytes[at..at + 5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]),
            _ => bytes[at..end.min(at + 2)].iter_mut().for_each(|b| *b ^= 1 << random.random_range(0..8)),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Loads a file and calls what it offers once; returns how far it came.
fn feed(file: &Path) -> &'static str {
    let loader = Loader::of(Catalog::only(&[file.to_path_buf()])).keeping_code(None);
    let Some(bundle) = loader.catalog.bundles.first() else { return "refused when looked at" };
    if !bundle.sandboxed {
        return "a sound library";
    }
    let (kind, name) = (bundle.manifest.components[0].kind, bundle.manifest.components[0].name.clone());
    let limits = Limits { fuel: Some(1_000_000), memory_mib: 8, ..Limits::default() };
    let terms = Terms { limits: limits.clone(), environment: Some(environment()) };
    let services = host_services(1, 0);
    let transition = transition(1.0, 2.0);
    let called = match kind {
        Kind::Reward => loader.reward(&name, "", services, &terms).map(|mut r| r.score(&transition).is_ok()),
        Kind::Filter => {
            loader.filter(&name, "", services, &terms).map(|mut f| f.review(&transition, &Tensor::zeros::<f32>(&[2, 1, 2])).is_ok())
        }
        Kind::Policy => loader.policy(&name, "", services, &terms).map(|mut p| {
            let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 1, training: false };
            p.act(&transition, &request).is_ok()
        }),
        _ => loader.env(&name, "", services).map(|mut e| {
            let started = e.reset(&ResetRequest::new(vec![1, 2])).is_ok();
            // The number of environments may be one that no machine has room for.
            let envs = e.spec().num_envs;
            started && envs < 1000 && e.step(&Tensor::zeros::<f32>(&[envs, 1, 1])).is_ok()
        }),
    };
    match called {
        Err(_) => "refused when loaded",
        Ok(false) => "failed when called",
        Ok(true) => "answered",
    }
}

/// Resident memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn mutations_do_no_harm() {
    let count: u64 = std::env::var("TWINHOST_MUTATIONS").map_or(400, |n| n.parse().unwrap());
    let seeds = seeds();
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("x.wasm");
    // Engines and caches of the process are there before memory is measured.
    std::fs::write(&file, &seeds[0]).unwrap();
    assert_eq!(feed(&file), "answered", "a sound component works");
    let before = resident();
    let (done, results) = channel();
    let worker = std::thread::spawn(move || {
        for number in 0..count {
            std::fs::write(&file, mutated(&seeds, number)).unwrap();
            let started = Instant::now();
            let result = feed(&file);
            done.send((number, result, started.elapsed())).unwrap();
        }
    });
    let (mut seen, mut slowest, mut next) = (BTreeMap::<&str, u64>::new(), (Duration::ZERO, 0), 0);
    loop {
        match results.recv_timeout(HANG) {
            Ok((number, result, time)) => {
                *seen.entry(result).or_default() += 1;
                slowest = slowest.max((time, number));
                next = number + 1;
            }
            Err(RecvTimeoutError::Timeout) => panic!("mutation {next} hangs"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    assert!(worker.join().is_ok(), "mutation {next} panics");
    let growth = resident().saturating_sub(before);
    println!(
        "{count} mutations: {seen:?}; slowest {:?} (number {}); memory {before} MiB, {growth} MiB more at the end",
        slowest.0, slowest.1
    );
    assert_eq!(seen.values().sum::<u64>(), count);
    assert!(growth < MOST_GROWTH, "the process has grown by {growth} MiB");
    // Some of each, or the mutations do not reach what they are meant to reach.
    for way in ["refused when looked at", "refused when loaded", "answered"] {
        assert!(seen.contains_key(way), "{seen:?}");
    }
}
