//! Domain randomisation: what varies, within which bounds, and that it varies by seed alone.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use twinhost_plugin_api::{ComponentConfig, Env, HostServices, ResetRequest, Tensor, names};
use twinhost_sim_tabletop::Tabletop;
use twinhost_sim_tabletop::gap::Gap;
use twinhost_sim_tabletop::randomization::Randomization;

const MANY: &str = "(num_envs: 12, objects: [\"red cube\"], cameras: [\"wrist\"], randomization: (scenes: 40))";

fn create(text: &str, threads: u32) -> Tabletop {
    Tabletop::create(ComponentConfig::new(text), HostServices::standalone(threads, 0)).unwrap()
}

/// The first wrist image of every environment.
fn pictures(env: &mut Tabletop) -> Vec<Vec<u8>> {
    let batch = env.reset(&ResetRequest::new((0..12).collect())).unwrap();
    batch.slice::<u8>("observation.images.wrist").unwrap().chunks(64 * 64 * 3).map(<[u8]>::to_vec).collect()
}

#[test]
fn without_it_there_is_one_scene_and_it_is_the_twin() {
    assert_eq!(Randomization::default().versions(&Gap::real()), [Gap::real()]);
    let still = Randomization { scenes: 3, visuals: 0.0, camera: 0.0, dynamics: 0.0 };
    assert_eq!(still.versions(&Gap::real()), vec![Gap::real(); 3]);
}

/// Visual randomisation leaves the physics alone, and the other way round; what it draws spans what it says.
#[test]
fn looks_and_physics_vary_apart() {
    let own = Gap::neutral();
    let looks = Randomization { scenes: 200, visuals: 1.0, camera: 0.0, dynamics: 0.0 }.versions(&own);
    for gap in &looks {
        let physics = |g: &Gap| [g.friction, g.mass, g.drawer_friction, g.stiffness, g.damping, g.action_delay];
        assert_eq!(physics(gap), physics(&own));
        assert_eq!(
            (gap.white_balance, gap.contrast, gap.hue, gap.pixel_noise),
            (own.white_balance, own.contrast, own.hue, own.pixel_noise)
        );
    }
    let brightness: Vec<f64> = looks.iter().map(|g| g.table_rgb.iter().sum::<f64>() / 3.0).collect();
    let (low, high) = (brightness.iter().copied().fold(1.0, f64::min), brightness.iter().copied().fold(0.0, f64::max));
    // 200 uniform draws from 0.2..0.8 miss the outer tenth at one end with a probability of 0.9^200 < 1e-9; the tint widens by 12 %.
    assert!((0.17..0.26).contains(&low) && (0.74..0.9).contains(&high), "table brightness from {low} to {high}");

    let patterns: HashSet<u64> = looks.iter().map(|g| (g.table_pattern * 1e6) as u64).collect();
    assert_eq!(patterns, HashSet::from([0, 150_000, 300_000, 600_000]));

    let heavy = Randomization { scenes: 200, visuals: 0.0, camera: 0.0, dynamics: 1.0 }.versions(&own);
    assert!(heavy.iter().all(|g| g.table_rgb == own.table_rgb && g.white_balance == own.white_balance));
    assert!(heavy.iter().all(|g| (0.6..1.7).contains(&g.mass) && (0.0..0.5).contains(&g.action_delay)));
    let heavier = heavy.iter().filter(|g| g.mass > (0.6f64 * 1.7).sqrt()).count();
    // Half of the draws lie above the geometric mean; four standard deviations are 28.
    assert!((72..=128).contains(&heavier), "{heavier} of 200 above the median mass");
}

/// What a camera makes of a grey picture has a closed form: contrast about mid-grey, then brightness; hue and saturation leave grey alone.
#[test]
fn a_camera_turns_colours_and_stretches_greys() {
    let grey = |gap: &str| {
        // Nothing but background in view: the base camera of the drawer task tilted to the sky, whose colour is given.
        let text = format!("(task: OpenDrawer, num_envs: 1, gap: (background_rgb: (0.4, 0.4, 0.4), camera_tilt: (45, 0, 0), {gap}))");
        let batch = create(&text, 1).reset(&ResetRequest::new(vec![1])).unwrap();
        let pixels = batch.slice::<u8>("observation.images.base").unwrap();
        [pixels[0], pixels[1], pixels[2]]
    };
    let plain = grey("");
    assert!(plain.iter().all(|v| v.abs_diff(102) <= 2) && plain[0] == plain[1] && plain[1] == plain[2], "{plain:?}");
    assert_eq!(grey("saturation: 0.2, hue: 0.2"), plain);
    let expected = (1.5 * (f64::from(plain[0]) - 127.5) + 127.5 + 0.1 * 255.0).round();
    assert!(grey("contrast: 1.5, brightness: 0.1").iter().all(|v| (f64::from(*v) - expected).abs() <= 1.0), "not {expected}");
}

#[test]
fn every_episode_has_a_look_of_its_own_and_keeps_it() {
    let images = pictures(&mut create(MANY, 1));
    let plain = pictures(&mut create("(num_envs: 12, objects: [\"red cube\"], cameras: [\"wrist\"])", 1));
    let corner = |images: &[Vec<u8>]| images.iter().map(|image| image[..3].to_vec()).collect::<HashSet<_>>().len();
    assert!(corner(&images) >= 8, "{} different tables", corner(&images));
    assert!(corner(&plain) <= 3, "{} tables without randomisation", corner(&plain));
    // Threads share the versions; who draws never matters.
    assert!(images == pictures(&mut create(MANY, 2)));
}

/// The version is part of a saved state: another seed's environment continues with the first one's look and physics.
#[test]
fn a_saved_state_remembers_its_version() {
    let text = "(num_envs: 2, cameras: [\"wrist\"], randomization: (scenes: 40, dynamics: 1.0))";
    let push = Tensor::from_vec([0.3f32, -0.2, -0.5, 0.1, 0.0, 0.2, -1.0].repeat(6), &[2, 3, 7]);
    let mut first = create(text, 1);
    first.reset(&ResetRequest::new(vec![1, 2])).unwrap();
    first.step(&push).unwrap();
    let saved = first.save_state().unwrap();
    let expected = first.step(&push).unwrap();
    let mut second = create(text, 1);
    second.reset(&ResetRequest::new(vec![8, 9])).unwrap();
    second.load_state(&saved).unwrap();
    let got = second.step(&push).unwrap();
    for name in ["observation.images.wrist", names::STATE] {
        assert!(got.get(name).unwrap().bytes().unwrap() == expected.get(name).unwrap().bytes().unwrap(), "{name}");
    }
}

#[test]
fn wrong_values_are_named() {
    for (text, field) in [
        ("(randomization: (scenes: 1000))", "randomization.scenes"),
        ("(randomization: (scenes: 4, visuals: 1.5))", "randomization.visuals"),
        ("(randomization: (scenes: 4, camera: -1))", "randomization.camera"),
        ("(randomization: (scenes: 4, dynamics: NaN))", "randomization.dynamics"),
    ] {
        let error = Tabletop::create(ComponentConfig::new(text), HostServices::standalone(1, 0)).err().unwrap().to_string();
        assert!(error.contains(field), "{text}: {error}");
    }
}

/// All objects of all versions share one rendering context and one simulation, so their models must have one layout.
#[test]
fn versions_and_objects_fit_each_other() {
    for task in ["PickPlace", "PushCube", "OpenDrawer"] {
        let text = format!("(task: {task}, num_envs: 24, cameras: [\"base\"], randomization: (scenes: 12, dynamics: 1.0))");
        let mut env = create(&text, 2);
        for first in 0..4 {
            env.reset(&ResetRequest::new((24 * first..24 * (first + 1)).collect())).unwrap_or_else(|e| panic!("{task}: {e}"));
        }
    }
}
