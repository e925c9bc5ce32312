//! From an expert to many demonstrations: recording and MimicGen in a kinematic cell, end to end through the stored format.

use std::collections::BTreeSet;
use std::path::Path;
use twinhost::data::mimicgen::{self, Generation, SOURCE_EPISODE};
use twinhost::data::record::{Recording, record};
use twinhost::data::{Cameras, Dataset, DatasetWriter, EpisodeBuffer, Error, Info, Progress, attempts::env_seed, statistics};
use twinhost::recipe::{Selection, SimDemos, Strategy};
use twinhost_plugin_api::{Env, Tensor};

use crate::point_mass::{Planner, PointMass};
use crate::samples::assert_same;

/// Metres: wide enough for the noise of generation (2.5 mm standard deviation per axis).
const TOLERANCE: f64 = 0.015;

fn recorded(folder: &Path, envs: usize, chunk: usize) -> Dataset {
    let request = Recording { episodes: 5, attempts_per_episode: 4, seed: 3, variant: "", robot_type: "point mass" };
    let (mut env, mut expert) = (PointMass::new(envs, TOLERANCE), Planner::new(chunk));
    let made = record(folder, &mut env, &mut expert, &request, &mut |_| Ok(())).unwrap();
    assert_eq!((made.successes, made.attempts), (5, 5));
    Dataset::open(folder).unwrap()
}

fn settings(episodes: usize) -> SimDemos {
    SimDemos {
        env: "sim".into(),
        episodes,
        source_demos: 5,
        interpolation_steps: 5,
        fixed_steps: 0,
        action_noise: 0.05,
        noise_during_interpolation: false,
        disturbance_probability: 0.0,
        disturbance: 0.5,
        selection: Selection { strategy: Strategy::Random, k: 3 },
        select_per_subtask: false,
        offset_range: (0, 1),
        attempts_per_episode: 10,
    }
}

fn generated(folder: &Path, source: &Dataset, settings: &SimDemos, envs: usize, tolerance: f64) -> Result<Progress, Error> {
    let request = Generation { source, settings, seed: 9, variant: "train", robot_type: "point mass", keep_failures: true };
    mimicgen::generate(folder, &mut PointMass::new(envs, tolerance), &request, &mut |_| Ok(()))
}

#[test]
fn an_expert_is_recorded_with_what_mimicgen_needs() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = recorded(&dir.path().join("demos"), 2, 1);
    assert_eq!(dataset.episodes().len(), 5);
    for entry in dataset.episodes() {
        let episode = dataset.episode(entry.index).unwrap();
        assert_eq!(episode.success(), Some(true));
        assert_eq!(entry.seed, Some(env_seed(3, entry.index as u64)));
        let done = episode.get("next.done").unwrap().as_slice::<bool>().unwrap();
        assert_eq!(done.iter().position(|&d| d), Some(episode.len() - 1), "recording stops with the episode");
        // The observation of a row is the one before its action: the first is the start pose, and each next follows from the action.
        let (eef, action) = (episode.floats("observation.state").unwrap(), episode.floats("action").unwrap());
        assert_eq!(eef[..2], [0.0, 0.0]);
        for t in 1..episode.len() {
            assert!((eef[4 * t] - eef[4 * (t - 1)] - 0.05 * action[7 * (t - 1)]).abs() < 1e-6);
        }
        assert_eq!(episode.get("privileged.object_poses").unwrap().shape()[1..], [2, 4, 4]);
    }
    let buffer = EpisodeBuffer::load(&[&dataset], Cameras::Load).unwrap();
    let stats = statistics(&[&buffer], &PointMass::new(1, TOLERANCE).spec().action).unwrap();
    assert_eq!(stats.num_trajectories, 5);
    assert!(!stats.action.mask[6] && stats.action.mask[5]);
    assert!(stats.action.q99[0] <= 0.9 + 1e-6, "the planner's greatest speed");
}

#[test]
fn recordings_do_not_depend_on_the_number_of_environments() {
    let dir = tempfile::tempdir().unwrap();
    let one = recorded(&dir.path().join("one"), 1, 3);
    let four = recorded(&dir.path().join("four"), 4, 3);
    for e in 0..5 {
        assert_same(&four.episode(e).unwrap(), &one.episode(e).unwrap());
    }
}

#[test]
fn mimicgen_succeeds_on_objects_that_no_demonstration_saw() {
    let dir = tempfile::tempdir().unwrap();
    let source = recorded(&dir.path().join("demos"), 5, 1);
    for (name, strategy, per_subtask) in [
        ("random", Strategy::Random, false),
        ("object", Strategy::NearestNeighborObject, true),
        ("robot", Strategy::NearestNeighborRobotDistance, true),
    ] {
        let mut settings = settings(12);
        settings.selection.strategy = strategy;
        settings.select_per_subtask = per_subtask;
        let folder = dir.path().join(name);
        let made = generated(&folder, &source, &settings, 4, TOLERANCE).unwrap();
        assert_eq!(made.successes, 12);
        assert!(made.success_rate() > 0.6, "{name}: {} of {}", made.successes, made.attempts);

        let dataset = Dataset::open(&folder).unwrap();
        assert_eq!((dataset.episodes().len(), dataset.info().total_frames), (12, made.frames));
        let mut used = BTreeSet::new();
        for e in 0..12 {
            let episode = dataset.episode(e).unwrap();
            assert_eq!(episode.success(), Some(true));
            let objects = episode.floats("privileged.object_poses").unwrap();
            for demo in 0..5 {
                let seen = source.episode(demo).unwrap().floats("privileged.object_poses").unwrap();
                let moved = ((objects[3] - seen[3]).powi(2) + (objects[7] - seen[7]).powi(2)).sqrt();
                assert!(moved > 1e-3, "episode {e} has the scene of demonstration {demo}");
            }
            used.extend(episode.get(SOURCE_EPISODE).unwrap().as_slice::<i64>().unwrap().iter().copied());
        }
        assert!(used.len() > 1 && used.iter().all(|d| (0..5).contains(d)), "{used:?}");
    }
}

#[test]
fn generated_episodes_do_not_depend_on_the_number_of_environments() {
    let dir = tempfile::tempdir().unwrap();
    let source = recorded(&dir.path().join("demos"), 5, 1);
    // A tolerance of little more than the noise makes attempts fail, so that the order of acceptance matters.
    let make = |envs: usize| {
        let folder = dir.path().join(format!("with-{envs}"));
        let made = generated(&folder, &source, &settings(7), envs, 0.003).unwrap();
        (made, Dataset::open(&folder).unwrap(), Dataset::open(&folder.join("failures")).unwrap())
    };
    let (made, one, failures) = make(1);
    assert!(made.attempts > 7, "the test needs failures");
    assert_eq!(failures.episodes().len() as u64, made.attempts - 7);
    assert_eq!(failures.episode(0).unwrap().success(), Some(false));
    for envs in [3, 8] {
        let (again, dataset, failed) = make(envs);
        assert_eq!(again, made);
        assert_eq!(failed.episodes().len(), failures.episodes().len());
        for e in 0..7 {
            assert_same(&dataset.episode(e).unwrap(), &one.episode(e).unwrap());
        }
    }
}

/// In the point mass a step moves by 5 cm times the action executed, so what was executed can be read off the states: a disturbed step
/// moves otherwise than recorded, and the next recorded actions lead back.
#[test]
fn disturbances_are_executed_but_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let source = recorded(&dir.path().join("demos"), 5, 1);
    let share = |probability: f64| {
        let settings = SimDemos { action_noise: 0.0, disturbance_probability: probability, attempts_per_episode: 100, ..settings(10) };
        let folder = dir.path().join(format!("disturbed-{probability}"));
        generated(&folder, &source, &settings, 4, TOLERANCE).unwrap();
        let dataset = Dataset::open(&folder).unwrap();
        let (mut disturbed, mut steps) = (0, 0);
        for e in 0..10 {
            let episode = dataset.episode(e).unwrap();
            let (eef, action) = (episode.floats("observation.state").unwrap(), episode.floats("action").unwrap());
            for t in 1..episode.len() {
                let moved = eef[4 * t] - eef[4 * (t - 1)];
                disturbed += usize::from((moved - 0.05 * action[7 * (t - 1)]).abs() > 1e-5);
                steps += 1;
            }
        }
        disturbed as f64 / steps as f64
    };
    assert_eq!(share(0.0), 0.0);
    let seen = share(0.2);
    assert!((0.1..0.3).contains(&seen), "{seen}");
}

#[test]
fn hopeless_generation_stops_with_numbers_and_remedies() {
    let dir = tempfile::tempdir().unwrap();
    let source = recorded(&dir.path().join("demos"), 5, 1);
    let mut few = settings(4);
    few.attempts_per_episode = 3;
    let e = generated(&dir.path().join("none"), &source, &few, 5, 0.0).unwrap_err();
    assert!(matches!(e, Error::TooFewSuccesses(_)));
    let e = e.to_string();
    assert!(e.contains("only 0 of 4") && e.contains("12 attempts") && e.contains("action_noise"), "{e}");

    // In episodes cut before the grasp no subtask ends.
    let short = dir.path().join("short");
    let mut writer = DatasetWriter::create(&short, Info::of_env(&PointMass::new(1, TOLERANCE).spec(), "", true).unwrap()).unwrap();
    let mut episode = source.episode(0).unwrap();
    for tensor in episode.columns.values_mut() {
        *tensor = tensor.gather_rows(&[0, 1, 2]).unwrap();
    }
    episode.columns.insert("next.success".into(), Tensor::from_vec(vec![false, false, true], &[3, 1]));
    writer.append(&[episode]).unwrap();
    let e = generated(&dir.path().join("never"), &Dataset::open(&short).unwrap(), &few, 5, TOLERANCE).unwrap_err().to_string();
    assert!(e.contains("no episode of") && e.contains("subtask `grasp` never ends"), "{e}");
}

#[test]
fn progress_is_told_and_can_stop_a_recording() {
    let dir = tempfile::tempdir().unwrap();
    let request = Recording { episodes: 5, attempts_per_episode: 4, seed: 3, variant: "", robot_type: "" };
    let mut told = Vec::new();
    let mut progress = |p: &Progress| {
        told.push(p.successes);
        if p.successes >= 2 { Err(Error::Cancelled) } else { Ok(()) }
    };
    let folder = dir.path().join("demos");
    let e = record(&folder, &mut PointMass::new(1, TOLERANCE), &mut Planner::new(2), &request, &mut progress).unwrap_err();
    assert!(matches!(e, Error::Cancelled));
    assert_eq!(told, [0, 1, 2]);
    assert_eq!(Dataset::open(&folder).unwrap().episodes().len(), 2, "what was recorded is there");
}
