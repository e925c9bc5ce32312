//! The four worlds behind the author-side traits.

use twinhost::loader::{FilterHandle, Terms, host_services};
use twinhost::recipe::Limits;
use twinhost::rollout::{Interventions, WatchedEnv};
use twinhost_plugin_api::{
    ActMode, ActRequest, Batch, Env, EnvSpec, ErrorKind, Policy as _, ResetRequest, Result, Reward as _, Tensor, names,
};

use super::guests::{Shelf, component, environment, reward_with, transition};

const FILTER: &str = include_str!("filter.wat");
const POLICY: &str = include_str!("policy.wat");
const ENV: &str = include_str!("env.wat");

#[test]
fn a_reward_scores_rows_and_remembers_until_reset() {
    let shelf = Shelf::new("Reward", "healthy", reward_with(""));
    let mut reward = shelf.reward("healthy", "()", Limits::default()).unwrap();
    assert_eq!(reward.spec().needs, [names::STATE]);
    let calls = |out: &Batch| out.slice::<f32>("metrics.calls").unwrap()[0];
    let scored = reward.score(&transition(1.5, -2.0)).unwrap();
    assert_eq!(scored.get(names::REWARD).unwrap().shape(), [2, 2]);
    assert_eq!(scored.slice::<f32>(names::REWARD).unwrap(), [1.5, 1.5, -2.0, -2.0]);
    assert_eq!(calls(&scored), 1.0);
    assert_eq!(calls(&reward.score(&transition(0.0, 0.0)).unwrap()), 2.0);
    reward.reset(&[0]).unwrap();
    assert_eq!(calls(&reward.score(&transition(0.0, 0.0)).unwrap()), 1.0);
    // Two instances share nothing but code.
    let mut other = shelf.reward("healthy", "", Limits { deadline_ms: Some(60_000), ..Limits::default() }).unwrap();
    assert_eq!(calls(&other.score(&transition(0.0, 0.0)).unwrap()), 1.0);
}

#[test]
fn a_reward_without_what_it_reads_says_what_is_missing() {
    let shelf = Shelf::new("Reward", "healthy", reward_with(""));
    let mut reward = shelf.reward("healthy", "", Limits::default()).unwrap();
    let mut without = transition(0.0, 0.0);
    without.remove(names::STATE);
    let e = reward.score(&without).unwrap_err().to_string();
    assert!(e.contains("no feature `observation.state`") && e.contains("next.reward"), "{e}");
}

#[test]
fn a_policy_acts() {
    let shelf = Shelf::new("Policy", "home", component("policy", POLICY));
    let mut policy = shelf.loader.policy("home", "", host_services(1, 0), &shelf.loader.terms()).unwrap();
    // Whatever it says of itself, there is nothing to train.
    assert!(!policy.spec().differentiable);
    assert!(policy.differentiable().is_none());
    policy.reset(&[0, 1], &[3, 4]).unwrap();
    let act = |policy: &mut twinhost::loader::PolicyHandle, mode, seed| -> Vec<f32> {
        let request = ActRequest { mode, temperature: 1.0, seed, training: false };
        let out = policy.act(&transition(0.5, -0.25), &request).unwrap();
        assert_eq!(out.get(names::ACTION).unwrap().shape(), [2, 1, 2]);
        out.slice::<f32>(names::ACTION).unwrap().to_vec()
    };
    assert_eq!(act(&mut policy, ActMode::Sample, 4), [-0.5, 0.0, 0.25, 0.0]);
    assert_eq!(act(&mut policy, ActMode::Greedy, 5), [-0.5, 3.0, 0.25, 3.0]);
}

#[test]
fn a_policy_is_told_of_its_environment() {
    // Refuses every configuration with the environment's description for a reason.
    let description = "(i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 16))
    (i32.store (i32.const 264) (i32.const 101))";
    let refusal = "(i32.store8 (i32.const 256) (i32.const 1))
    (i32.store8 (i32.const 260) (i32.const 4))
    (i32.store8 (i32.const 264) (i32.const 0))
    (i32.store (i32.const 276) (local.get 2))
    (i32.store (i32.const 280) (local.get 3))";
    assert!(POLICY.contains(description));
    let shelf = Shelf::new("Policy", "curious", component("policy", &POLICY.replacen(description, refusal, 1)));
    let told = |terms: &Terms| shelf.loader.policy("curious", "", host_services(1, 0), terms).err().unwrap().to_string();
    let e = told(&shelf.loader.terms_in(&environment()));
    assert!(e.contains(r#""names":["x","gripper"]"#) && e.contains(r#""control_hz":10"#), "{e}");
    let e = told(&shelf.loader.terms());
    assert!(e.contains("{}") && !e.contains("gripper"), "{e}");
}

#[test]
fn an_environment_steps_and_continues_from_a_saved_state() {
    let shelf = Shelf::new("Env", "line", component("env", ENV));
    let mut env = shelf.loader.env("line", "", host_services(1, 0)).unwrap();
    assert_eq!((env.spec().num_envs, env.spec().action.names.as_slice()), (2, ["x".to_owned()].as_slice()));
    let first = env.reset(&ResetRequest::new(vec![3, 9])).unwrap();
    assert_eq!(first.slice::<f32>(names::STATE).unwrap(), [3.0, 9.0]);
    assert_eq!(first.texts(names::TASK).unwrap().len(), 2);
    let saved = env.save_state().unwrap();
    let step = |env: &mut dyn Env| env.step(&Tensor::from_vec(vec![0.5f32, 0.5, 0.25, 1.0], &[2, 2, 1])).unwrap();
    let out = step(&mut env);
    assert_eq!(out.slice::<f32>(names::STATE).unwrap(), [4.0, 10.25]);
    assert_eq!(out.slice::<f32>(names::REWARD).unwrap(), [-3.5, -4.0, -9.25, -10.25]);
    assert_eq!(out.slice::<bool>(names::TERMINATED).unwrap(), [false, false, false, true]);
    assert_eq!(out.slice::<bool>(names::TRUNCATED).unwrap(), [false; 4]);
    env.load_state(&saved).unwrap();
    assert_eq!(step(&mut env).slice::<f32>(names::REWARD).unwrap(), [-3.5, -4.0, -9.25, -10.25]);
    let e = env.render(0, "", 4, 4).unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unsupported);
    assert!(e.to_string().contains("has no pictures"), "{e}");
}

fn filter(wat: &str, spec: EnvSpec) -> Result<FilterHandle> {
    let shelf = Shelf::new("Filter", "careful", component("filter", wat));
    let terms = Terms { limits: Limits::default(), environment: Some(spec) };
    shelf.loader.filter("careful", "", host_services(1, 0), &terms)
}

#[test]
fn a_filter_halves_and_vetoes_and_cannot_enlarge() {
    let mut careful = filter(FILTER, environment()).unwrap();
    let proposed = || Tensor::from_vec(vec![0.5f32, 1.0, -0.5, -1.0], &[2, 1, 2]);
    let reviewed = careful.review(&transition(0.0, 6.0), &proposed()).unwrap();
    assert_eq!(reviewed.action.as_slice::<f32>().unwrap(), [0.25, 1.0, 0.0, -1.0]);
    assert_eq!((reviewed.vetoes[0].row, reviewed.vetoes[0].reason.as_str()), (1, "too far out"));
    for (factor, made) in [("2.0", "1"), ("-1.0", "-0.5"), ("nan", "NaN")] {
        let hostile = FILTER.replace("(f32.const 0.5)", &format!("(f32.const {factor})"));
        let e = filter(&hostile, environment()).unwrap().review(&transition(0.0, 0.0), &proposed()).unwrap_err().to_string();
        assert!(e.contains(&format!("filter `careful`, review: made action [0, 0, 0] {made} out of 0.5")), "{e}");
    }
}

#[test]
fn nobody_steps_a_watched_environment_past_its_filter() {
    let shelf = Shelf::new("Env", "line", component("env", ENV));
    let env = shelf.loader.env("line", "", host_services(1, 0)).unwrap();
    let one_entry = FILTER.replace("(global $dim i32 (i32.const 2))", "(global $dim i32 (i32.const 1))");
    let careful = filter(&one_entry, env.spec()).unwrap();
    let mut env = WatchedEnv::new(env, vec![careful]);
    env.reset(&ResetRequest::new(vec![1, 5])).unwrap();
    let step = |env: &mut WatchedEnv| env.step(&Tensor::from_vec(vec![1.0f32, 1.0], &[2, 1, 1])).unwrap();
    let first = step(&mut env);
    assert_eq!(first.slice::<f32>(names::ACTION).unwrap(), [0.5, 0.5], "what was sent is told");
    assert_eq!(first.slice::<f32>(names::STATE).unwrap(), [1.5, 5.5]);
    // The second point is beyond 5 now, so it must not move.
    let second = step(&mut env);
    assert_eq!(second.slice::<f32>(names::ACTION).unwrap(), [0.5, 0.0]);
    assert_eq!(second.slice::<f32>(names::STATE).unwrap(), [2.0, 5.5]);
    assert_eq!(env.take_interventions(), Interventions { reviewed: 4, reduced: 4, vetoed: 1 });
    assert_eq!(env.take_interventions(), Interventions::default());
}
