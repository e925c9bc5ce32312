//! Episodes: determinism, chunks, auto-reset, final observations, saving and loading.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use twinhost_plugin_api::{Batch, ComponentConfig, Env, EnvKind, HostServices, ResetRequest, Tensor, names};
use twinhost_sim_tabletop::Tabletop;

fn create(text: &str, threads: u32) -> Tabletop {
    Tabletop::create(ComponentConfig::new(text), HostServices::standalone(threads, 0)).unwrap()
}

/// Wild but reproducible actions of one row: the same for a seed wherever the row stands.
fn wild(seed: u64, step: u64, chunk: usize) -> Vec<f32> {
    (0..chunk * 7)
        .map(|i| {
            let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (step * 1000 + i as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z ^= z >> 31;
            z = z.wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect()
}

fn actions(seeds: &[u64], step: u64, chunk: usize) -> Tensor {
    Tensor::from_vec(seeds.iter().flat_map(|s| wild(*s, step, chunk)).collect(), &[seeds.len(), chunk, 7])
}

/// All bytes of one row, features in order, prefixed by their names.
fn row_bytes(batch: &Batch, row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, tensor) in batch.iter() {
        out.extend(name.bytes());
        out.extend(tensor.gather_rows(&[row]).unwrap().bytes().unwrap());
    }
    for (name, texts) in batch.iter_texts() {
        out.extend(name.bytes());
        out.extend(texts[row].bytes());
    }
    out
}

/// Everything every row observes over a few chunks.
fn run(env: &mut Tabletop, seeds: &[u64], steps: u64) -> Vec<Vec<u8>> {
    let request = ResetRequest::new(seeds.to_vec()).auto_reset().privileged();
    let first = env.reset(&request).unwrap();
    let mut rows: Vec<Vec<u8>> = (0..seeds.len()).map(|r| row_bytes(&first, r)).collect();
    for step in 0..steps {
        let mut batch = env.step(&actions(seeds, step, 2)).unwrap();
        // Present whenever any row ended, so not a property of one row.
        let finals: Vec<String> = batch.iter().map(|(n, _)| n.to_string()).filter(|n| n.starts_with("final.")).collect();
        finals.iter().for_each(|n| drop(batch.remove(n)));
        for (row, bytes) in rows.iter_mut().enumerate() {
            for (name, tensor) in batch.iter() {
                bytes.extend(name.bytes());
                bytes.extend(tensor.gather_rows(&[row]).unwrap().bytes().unwrap());
            }
            bytes.extend(batch.texts(names::TASK).unwrap()[row].bytes());
        }
    }
    rows
}

#[test]
fn a_row_depends_on_its_seed_only() {
    for twin in ["Sim", "Real"] {
        let config = |b: usize| format!("(twin: {twin}, num_envs: {b}, max_episode_steps: 7, width: 32, height: 32)");
        let seeds = [11, 12, 13, 14, 15];
        let reference = run(&mut create(&config(5), 1), &seeds, 6);
        assert_eq!(reference, run(&mut create(&config(5), 3), &seeds, 6), "{twin}: thread count matters");
        let reversed: Vec<u64> = seeds.iter().rev().copied().collect();
        let mut backwards = run(&mut create(&config(5), 2), &reversed, 6);
        backwards.reverse();
        assert_eq!(reference, backwards, "{twin}: order matters");
        assert_eq!(reference[2], run(&mut create(&config(1), 1), &[13], 6)[0], "{twin}: company matters");
        assert_ne!(reference[0], reference[1]);
    }
}

#[test]
fn a_loaded_state_continues_bit_for_bit() {
    for (twin, task) in [("Sim", "PickPlace"), ("Real", "PickPlace"), ("Real", "CloseDrawer")] {
        let text = format!("(task: {task}, twin: {twin}, num_envs: 3, max_episode_steps: 9, width: 32, height: 32)");
        let seeds = [5, 6, 7];
        let mut env = create(&text, 2);
        env.reset(&ResetRequest::new(seeds.to_vec()).auto_reset().privileged()).unwrap();
        for step in 0..6 {
            env.step(&actions(&seeds, step, 1)).unwrap();
        }
        let state = env.save_state().unwrap();
        let follow = |env: &mut Tabletop| -> Vec<Vec<u8>> {
            (6..14)
                .flat_map(|step| {
                    let b = env.step(&actions(&seeds, step, 1)).unwrap();
                    (0..3).map(move |r| row_bytes(&b, r))
                })
                .collect()
        };
        let undisturbed = follow(&mut env);
        let mut fresh = create(&text, 1);
        fresh.load_state(&state).unwrap();
        assert_eq!(fresh.save_state().unwrap(), state, "{twin} {task}: saving what was loaded changes it");
        assert!(follow(&mut fresh) == undisturbed, "{twin} {task}: a fresh environment continues differently");
        env.load_state(&state).unwrap();
        assert!(follow(&mut env) == undisturbed, "{twin} {task}: going back in time continues differently");
    }
}

#[test]
fn the_time_limit_truncates_and_auto_reset_begins_the_next_episode() {
    let mut env = create("(num_envs: 2, cameras: [], max_episode_steps: 5)", 1);
    let first = env.reset(&ResetRequest::new(vec![1, 2]).auto_reset()).unwrap();
    let batch = env.step(&actions(&[1, 2], 0, 3)).unwrap();
    assert_eq!(batch.get(names::TRUNCATED).unwrap().shape(), [2, 3]);
    assert!(batch.slice::<bool>(names::TRUNCATED).unwrap().iter().all(|t| !t));
    assert!(batch.find("final.observation.state").is_none());
    // Two more steps reach the limit; the third of the chunk is not executed.
    let batch = env.step(&actions(&[1, 2], 1, 3)).unwrap();
    assert_eq!(batch.slice::<bool>(names::TRUNCATED).unwrap(), [false, true, false, false, true, false]);
    assert!(batch.slice::<bool>(names::TERMINATED).unwrap().iter().all(|t| !t));
    let (last, next) = (batch.slice::<f32>("final.observation.state").unwrap(), batch.slice::<f32>(names::STATE).unwrap());
    assert_ne!(last, next);
    assert_eq!(batch.texts("final.task").unwrap(), first.texts(names::TASK).unwrap());
    assert_ne!(next, first.slice::<f32>(names::STATE).unwrap(), "the next episode repeats the first");
}

#[test]
fn without_auto_reset_an_ended_environment_waits() {
    let mut env = create("(num_envs: 1, cameras: [], max_episode_steps: 3, reward: Dense)", 1);
    env.reset(&ResetRequest::new(vec![4])).unwrap();
    let ended = env.step(&actions(&[4], 0, 4)).unwrap();
    assert_eq!(ended.slice::<bool>(names::TRUNCATED).unwrap(), [false, false, true, false]);
    let rewards = ended.slice::<f32>(names::REWARD).unwrap();
    assert!(rewards[2] > 0.0 && rewards[3] == 0.0, "{rewards:?}");
    assert_eq!(ended.slice::<f32>("final.observation.state").unwrap(), ended.slice::<f32>(names::STATE).unwrap());
    let waiting = env.step(&actions(&[4], 1, 2)).unwrap();
    assert_eq!(waiting.slice::<f32>(names::REWARD).unwrap(), [0.0, 0.0]);
    assert!(waiting.slice::<bool>(names::TRUNCATED).unwrap().iter().all(|t| !t));
    assert_eq!(waiting.slice::<f32>(names::STATE).unwrap(), ended.slice::<f32>(names::STATE).unwrap());
    assert!(waiting.find("final.observation.state").is_none());
}

#[test]
fn a_chunk_equals_its_steps() {
    let mut whole = create("(num_envs: 1, cameras: [], reward: Dense)", 1);
    let mut single = create("(num_envs: 1, cameras: [], reward: Dense)", 1);
    for env in [&mut whole, &mut single] {
        env.reset(&ResetRequest::new(vec![9]).privileged()).unwrap();
    }
    let chunk = wild(9, 0, 4);
    let together = whole.step(&Tensor::from_vec(chunk.clone(), &[1, 4, 7])).unwrap();
    let mut rewards = Vec::new();
    let mut last = None;
    for action in chunk.chunks_exact(7) {
        let batch = single.step(&Tensor::from_vec(action.to_vec(), &[1, 1, 7])).unwrap();
        rewards.extend_from_slice(batch.slice::<f32>(names::REWARD).unwrap());
        last = Some(batch);
    }
    assert_eq!(together.slice::<f32>(names::REWARD).unwrap(), rewards);
    let last = last.unwrap();
    assert_eq!(together.slice::<f32>(names::STATE).unwrap(), last.slice::<f32>(names::STATE).unwrap());
    assert_eq!(together.slice::<f64>("privileged.object_poses").unwrap(), last.slice::<f64>("privileged.object_poses").unwrap());
}

#[test]
fn observations_match_the_spec() {
    for (twin, kind) in [("Sim", EnvKind::Simulated), ("Real", EnvKind::StandIn)] {
        let mut env = create(&format!("(twin: {twin}, num_envs: 2, cameras: [\"wrist\", \"base\"], width: 48, height: 32)"), 2);
        let spec = env.spec();
        assert_eq!(spec.kind, kind);
        let plain = env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
        let with_truth = env.reset(&ResetRequest::new(vec![1, 2]).privileged()).unwrap();
        assert_eq!(plain.iter().count(), spec.observation.len(), "privileged features must be asked for");
        for feature in spec.observation.iter().chain(&spec.privileged) {
            let tensor = with_truth.get(&feature.name).unwrap();
            assert_eq!(tensor.shape(), [&[2], &feature.shape[..]].concat(), "{}", feature.name);
            assert_eq!(tensor.dtype(), feature.dtype, "{}", feature.name);
        }
        let names: Vec<_> = spec.observation.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["observation.state", "observation.images.wrist", "observation.images.base"]);
        let film = env.render(1, "", 100, 80).unwrap();
        assert_eq!(film.shape(), [80, 100, 3]);
    }
}

#[test]
fn variants_draw_from_disjoint_distributions() {
    let mut env = create("(num_envs: 40, cameras: [])", 2);
    let seeds: Vec<u64> = (0..40).collect();
    let mut draw = |variant: &str| {
        let batch = env.reset(&ResetRequest::new(seeds.clone()).variant(variant).privileged()).unwrap();
        let words: Vec<String> = batch.texts(names::TASK).unwrap().iter().map(|t| t.to_string()).collect();
        let objects: Vec<(f64, f64)> =
            batch.slice::<f64>("privileged.object_poses").unwrap().chunks_exact(32).map(|m| (m[3], m[7])).collect();
        (words, objects)
    };
    let inside = |(x, y): &(f64, f64)| (x + 0.098).abs() <= 0.1 + 1e-9 && (y + 0.165).abs() <= 0.1 + 1e-9;
    let unseen = |text: &String| ["orange", "purple", "cyan", "pink"].iter().any(|c| text.contains(c));
    let (words, places) = draw("train");
    assert!(places.iter().all(inside) && !words.iter().any(unseen));
    let (words, places) = draw("ood_object");
    assert!(places.iter().all(inside) && words.iter().all(unseen));
    let (words, places) = draw("ood_start");
    assert!(!places.iter().any(inside) && !words.iter().any(unseen));
}
