//! The scripted expert solves every task on both twins, in every variant, and varies like a person.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, Env, HostServices, Policy, ResetRequest, names};
use twinhost_sim_tabletop::{Expert, Tabletop};

const EPISODES: usize = 20;

fn request(seed: u64) -> ActRequest {
    ActRequest { mode: ActMode::Sample, temperature: 1.0, seed, training: false }
}

/// Share of episodes solved, driving the environment in chunks.
fn success_rate(task: &str, twin: &str, variant: &str, chunk: usize) -> f64 {
    let services = HostServices::standalone(2, 0);
    let text = format!("(task: {task}, twin: {twin}, num_envs: {EPISODES}, cameras: [])");
    let mut env = Tabletop::create(ComponentConfig::new(&text), services).unwrap();
    let mut expert = Expert::create(ComponentConfig::new(&format!("(chunk: {chunk})")), services).unwrap();
    let seeds: Vec<u64> = (100..100 + EPISODES as u64).collect();
    expert.reset(&(0..EPISODES).collect::<Vec<_>>(), &seeds).unwrap();
    let mut observed = env.reset(&ResetRequest::new(seeds).variant(variant).privileged()).unwrap();
    for _ in 0..env.spec().max_episode_steps.div_ceil(chunk) {
        let action = expert.act(&observed, &request(0)).unwrap();
        observed = env.step(action.get(names::ACTION).unwrap()).unwrap();
    }
    let success = observed.slice::<bool>(names::SUCCESS).unwrap();
    success.iter().filter(|s| **s).count() as f64 / EPISODES as f64
}

#[test]
fn every_task_is_solved_on_both_twins() {
    for task in ["PickPlace", "PushCube", "OpenDrawer", "CloseDrawer"] {
        for twin in ["Sim", "Real"] {
            for variant in ["train", "ood_object", "ood_start"] {
                let rate = success_rate(task, twin, variant, 1);
                assert!(rate >= 0.9, "{task} {twin} {variant}: {rate}");
            }
        }
    }
}

#[test]
fn chunks_of_actions_still_solve_the_task() {
    for twin in ["Sim", "Real"] {
        let rate = success_rate("PickPlace", twin, "train", 4);
        assert!(rate >= 0.8, "{twin}: {rate}");
    }
}

#[test]
fn equal_seeds_act_equally_and_others_differ() {
    let services = HostServices::standalone(1, 0);
    let mut env = Tabletop::create(ComponentConfig::new("(num_envs: 1, cameras: [])"), services).unwrap();
    let observed = env.reset(&ResetRequest::new(vec![3]).privileged()).unwrap();
    let first_action = |seed: u64| {
        let mut expert = Expert::create(ComponentConfig::new(""), services).unwrap();
        expert.reset(&[0], &[seed]).unwrap();
        expert.act(&observed, &request(0)).unwrap().slice::<f32>(names::ACTION).unwrap().to_vec()
    };
    assert_eq!(first_action(1), first_action(1));
    assert_ne!(first_action(1), first_action(2));
}

#[test]
fn the_expert_says_what_it_needs() {
    let services = HostServices::standalone(1, 0);
    let mut env = Tabletop::create(ComponentConfig::new("(num_envs: 1, cameras: [])"), services).unwrap();
    let observed = env.reset(&ResetRequest::new(vec![3])).unwrap();
    let mut expert = Expert::create(ComponentConfig::new(""), services).unwrap();
    let message = expert.act(&observed, &request(0)).err().unwrap().to_string();
    assert!(message.contains("privileged"), "{message}");
}
