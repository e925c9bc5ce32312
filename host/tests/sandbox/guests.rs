//! Guests made from text at test time, and a loader that sees them.

use std::path::Path;
use twinhost::loader::{Catalog, Loader, RewardHandle, Terms, host_services};
use twinhost::recipe::Limits;
use twinhost_plugin_api::{ActionSpec, Batch, DType, EnvKind, EnvSpec, FeatureSpec, Result, Tensor, names};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

pub const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/wit/v1");
const MISBEHAVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/misbehave/wasm");

/// A component of a world, from the text of a core module that follows the canonical ABI.
pub fn component(world: &str, wat: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(WIT).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(wat).unwrap_or_else(|e| panic!("{e}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap_or_else(|e| panic!("{e:#}"))
}

/// Text of a file in `plugins/misbehave/wasm`.
pub fn misbehaving(file: &str) -> String {
    std::fs::read_to_string(Path::new(MISBEHAVE).join(format!("{file}.wat"))).unwrap()
}

/// The well-behaved reward with a fault in its `score`; an empty name means none.
pub fn reward_with(fault: &str) -> Vec<u8> {
    let reward = misbehaving("reward");
    assert!(reward.contains(";; FAULT"));
    let fault = if fault.is_empty() { String::new() } else { misbehaving(fault) };
    component("reward", &reward.replace(";; FAULT", &fault))
}

pub fn manifest(kind: &str, name: &str) -> String {
    format!("(name: \"{name}s\", version: \"0.1.0\", library: \"{name}.wasm\", components: [(kind: {kind}, name: \"{name}\")])")
}

/// Appends the manifest as the custom section `twinhost.manifest`.
pub fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    let name = b"twinhost.manifest";
    let body: Vec<u8> = [&leb(name.len()), name.as_slice(), manifest.as_bytes()].concat();
    component.push(0);
    component.extend(leb(body.len()));
    component.extend(body);
    component
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A folder with one component file in it and a loader that sees no other; compiled code is not kept.
pub struct Shelf {
    _folder: tempfile::TempDir,
    pub loader: Loader,
}

impl Shelf {
    pub fn new(kind: &str, name: &str, component: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("{name}.wasm"));
        std::fs::write(&file, with_manifest(component, &manifest(kind, name))).unwrap();
        let loader = Loader::of(Catalog::only(&[file])).keeping_code(None);
        Self { _folder: folder, loader }
    }

    pub fn reward(&self, name: &str, config: &str, limits: Limits) -> Result<RewardHandle> {
        let terms = Terms { limits, environment: Some(environment()) };
        self.loader.reward(name, config, host_services(1, 7), &terms)
    }
}

/// Two environments with a state of three numbers and an action of two, the second a gripper.
pub fn environment() -> EnvSpec {
    EnvSpec {
        kind: EnvKind::Simulated,
        num_envs: 2,
        observation: vec![FeatureSpec::new(names::STATE, DType::F32, &[3])],
        privileged: Vec::new(),
        action: ActionSpec {
            names: vec!["x".into(), "gripper".into()],
            low: vec![-1.0, -1.0],
            high: vec![1.0, 1.0],
            discrete: vec![false, true],
        },
        control_hz: 10.0,
        max_episode_steps: 20,
        variants: vec!["train".into()],
        subtasks: Vec::new(),
        pose_delta_scale: None,
    }
}

/// What a reward is given after a chunk of two steps.
pub fn transition(first: f32, second: f32) -> Batch {
    let mut batch = Batch::new()
        .with(names::STATE, Tensor::from_vec(vec![first, 9.0, 9.0, second, 9.0, 9.0], &[2, 3]))
        .with(names::ACTION, Tensor::from_vec(vec![0.5f32; 8], &[2, 2, 2]))
        .with(names::REWARD, Tensor::zeros::<f32>(&[2, 2]))
        .with(names::TERMINATED, Tensor::zeros::<bool>(&[2, 2]))
        .with(names::TRUNCATED, Tensor::zeros::<bool>(&[2, 2]))
        .with(names::SUCCESS, Tensor::zeros::<bool>(&[2]));
    batch.insert_text(names::TASK, vec!["reach".into(), "reach".into()]);
    batch
}
