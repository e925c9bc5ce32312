//! Wrong configurations and wrong calls are refused with a sentence that names the field and the value.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use twinhost_plugin_api::{ComponentConfig, Env, HostServices, ResetRequest, Tensor};
use twinhost_sim_tabletop::{Expert, Tabletop};

fn services() -> HostServices {
    HostServices::standalone(1, 0)
}

fn blind(rest: &str) -> Tabletop {
    Tabletop::create(ComponentConfig::new(&format!("(num_envs: 2, cameras: [], {rest})")), services()).unwrap()
}

#[test]
fn every_wrong_field_is_named() {
    for (text, field, hint) in [
        ("(num_envs: 0)", "num_envs", "from 1 to 4096"),
        ("(control_hz: 4)", "control_hz", "from 5 to 20"),
        ("(control_hz: NaN)", "control_hz", "NaN"),
        ("(control_hz: 15)", "control_hz", "500 Hz"),
        ("(max_episode_steps: 0)", "max_episode_steps", "from 1"),
        ("(cameras: [\"top\"])", "cameras[0]", "base, wrist"),
        ("(cameras: [\"base\", \"base\"])", "cameras[1]", "twice"),
        ("(width: 8)", "width", "from 16 to 224"),
        ("(height: 500)", "height", "from 16 to 224"),
        ("(max_delta: (NaN, 0.1))", "max_delta.0", "NaN"),
        ("(max_delta: (0.05, 3.0))", "max_delta.1", "from 0.001 to 1"),
        ("(spread: -0.5)", "spread", "from 0"),
        ("(objects: [\"red cub\"])", "objects[0]", "red cube"),
        ("(objects: [\"pink cube\"])", "objects[0]", "no training object"),
        ("(instructions: [\" \"])", "instructions[0]", "empty"),
        ("(gap: (friction: NaN))", "gap.friction", "NaN"),
        ("(gap: (fricton: 1.0))", "gap", "fricton"),
        ("(task: PickPlaec)", "task", "PickPlace"),
        ("(twin: Reel)", "twin", "Real"),
        ("(reward: Shapely)", "reward", "Shaped"),
        ("(state: [])", "state", "at least one"),
        ("(state: [\"x\", \"height\"])", "state[1]", "finger_left"),
        ("(state: [\"x\", \"x\"])", "state[1]", "twice"),
        ("(terminate_on_success: 1)", "terminate_on_success", "bool"),
        ("(antialias: 1)", "antialias", "bool"),
        ("(num_env: 2)", "num_env", "num_envs"),
    ] {
        let error = Tabletop::create(ComponentConfig::new(text), services()).err().unwrap_or_else(|| panic!("{text} was accepted"));
        let message = error.to_string();
        assert!(message.contains(field) && message.contains(hint), "{text}: {message}");
    }
}

#[test]
fn the_expert_checks_its_fields_too() {
    for (text, field) in [
        ("(chunk: 0)", "chunk"),
        ("(speed: (0.9, 0.5))", "speed"),
        ("(speed: (NaN, 1.0))", "speed"),
        ("(noise: NaN)", "noise"),
        ("(variation: -1)", "variation"),
        ("(nois: 0.1)", "nois"),
    ] {
        let message =
            Expert::create(ComponentConfig::new(text), services()).err().unwrap_or_else(|| panic!("{text} was accepted")).to_string();
        assert!(message.contains(field), "{text}: {message}");
    }
}

#[test]
fn wrong_calls_are_refused() {
    let mut env = blind("");
    let message = |r: twinhost_plugin_api::Result<twinhost_plugin_api::Batch>| r.err().unwrap().to_string();
    assert!(message(env.step(&Tensor::zeros::<f32>(&[2, 1, 7]))).contains("before the first reset"));
    assert!(message(env.reset(&ResetRequest::new(vec![1]))).contains("one seed for each of 2"));
    assert!(message(env.reset(&ResetRequest::new(vec![1, 2]).variant("odd"))).contains("train, ood_object, ood_start"));
    env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
    assert!(message(env.step(&Tensor::zeros::<f32>(&[2, 7]))).contains("[2, C, 7]"));
    assert!(message(env.step(&Tensor::zeros::<f32>(&[2, 0, 7]))).contains("[2, C, 7]"));
    assert!(message(env.step(&Tensor::zeros::<f64>(&[2, 1, 7]))).contains("F32"));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = vec![0f32; 2 * 3 * 7];
        values[7 * 4 + 6] = bad;
        let text = message(env.step(&Tensor::from_vec(values, &[2, 3, 7])));
        assert!(text.contains("`gripper` of environment 1, step 1"), "{text}");
    }
    assert!(env.render(2, "", 64, 64).err().unwrap().to_string().contains("environment 2"));
    assert!(env.render(0, "side", 64, 64).err().unwrap().to_string().contains("base, wrist"));
    assert!(env.render(0, "", 0, 64).err().unwrap().to_string().contains("480"));
    // After all that the environment still works.
    env.step(&Tensor::zeros::<f32>(&[2, 1, 7])).unwrap();
}

#[test]
fn damaged_states_are_refused() {
    let mut env = blind("");
    env.reset(&ResetRequest::new(vec![1, 2])).unwrap();
    let good = env.save_state().unwrap();
    let mut other = blind("control_hz: 20");
    other.reset(&ResetRequest::new(vec![1, 2])).unwrap();
    assert!(other.load_state(&good).err().unwrap().to_string().contains("differently configured"));
    assert!(env.load_state(b"hello").err().unwrap().to_string().contains("truncated"));
    for cut in [8, 17, 60, good.len() / 2, good.len() - 1] {
        assert!(env.load_state(&good[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(env.load_state(&longer).is_err());
    env.load_state(&good).unwrap();
}
