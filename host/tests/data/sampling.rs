//! Action chunks and the alpha-mix of stage I.

use std::path::Path;
use std::sync::Arc;
use twinhost::data::{ACTION_IS_PAD, Cameras, Dataset, DatasetWriter, EpisodeBuffer, MixedSampler, Origin};

use crate::samples::{episode, info};

fn buffer(root: &Path, lengths: &[usize], task: &str) -> EpisodeBuffer {
    let mut writer = DatasetWriter::create(root, info()).unwrap();
    let episodes: Vec<_> = lengths.iter().enumerate().map(|(e, &n)| episode(e, n, task)).collect();
    writer.append(&episodes).unwrap();
    EpisodeBuffer::load(&[&Dataset::open(root).unwrap()], Cameras::Load).unwrap()
}

fn pair() -> (Arc<EpisodeBuffer>, Arc<EpisodeBuffer>) {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(buffer(&dir.path().join("sim"), &[7, 9, 4], "sim task")), Arc::new(buffer(&dir.path().join("real"), &[5], "real task")))
}

#[test]
fn chunks_stop_at_the_end_of_their_episode() {
    let dir = tempfile::tempdir().unwrap();
    let b = buffer(dir.path(), &[5, 3], "push");
    // Frames 3 and 4 end episode 0, frame 5 begins episode 1.
    let batch = b.chunk_batch(&[3, 5, 4], 3).unwrap();
    let action = batch.get("action").unwrap();
    assert_eq!(action.shape(), [3, 3, 2]);
    let first_entries: Vec<f32> = action.as_slice::<f32>().unwrap().iter().step_by(2).copied().collect();
    assert_eq!(first_entries, [3.0, 4.0, 4.0, 100.0, 101.0, 102.0, 4.0, 4.0, 4.0]);
    assert_eq!(batch.slice::<bool>(ACTION_IS_PAD).unwrap(), [false, false, true, false, false, false, false, true, true]);
    assert_eq!(batch.slice::<f32>("observation.state").unwrap()[..3], [0.0, 3.0, 0.3]);
    assert_eq!(batch.get("observation.images.base").unwrap().shape(), [3, 4, 6, 3]);
    let expected = episode(1, 3, "push");
    assert_eq!(
        batch.slice::<u8>("observation.images.base").unwrap()[72..144],
        expected.get("observation.images.base").unwrap().as_slice::<u8>().unwrap()[..72]
    );
    assert_eq!(batch.texts("task").unwrap().len(), 3);
    assert!(batch.find("privileged.eef_pose").is_none(), "ground truth is no model input");

    assert_eq!(b.frames_of(1), 5..8);
    assert_eq!(b.episode_of_frame()[4..6], [0, 1]);
    assert!(b.chunk_batch(&[8], 1).unwrap_err().to_string().contains("frame 8"));
    assert!(b.chunk_batch(&[0], 0).unwrap_err().to_string().contains("at least one step"));
}

#[test]
fn several_datasets_make_one_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    buffer(&a, &[5], "push");
    buffer(&b, &[3, 2], "pick");
    let both = EpisodeBuffer::load(&[&Dataset::open(&a).unwrap(), &Dataset::open(&b).unwrap()], Cameras::Skip).unwrap();
    assert_eq!((both.len(), both.episodes()), (10, 3));
    let batch = both.chunk_batch(&[4, 5], 2).unwrap();
    assert_eq!(batch.texts("task").unwrap(), ["push", "pick"]);
    assert_eq!(batch.slice::<bool>(ACTION_IS_PAD).unwrap(), [false, true, false, false]);
}

#[test]
fn samples_come_from_simulation_with_probability_alpha() {
    let (sim, real) = pair();
    for alpha in [0.0, 0.25, 0.5, 0.9, 1.0] {
        let sampler = MixedSampler::new(alpha, Some(sim.clone()), Some(real.clone()), 11).unwrap();
        let n = 20_000u64;
        let from_sim = (0..n).filter(|&i| sampler.draw(i / 32, i % 32).0 == Origin::Sim).count();
        // Five standard deviations of a binomial: a correct sampler fails less than once in a million seeds.
        let bound = 5.0 * (n as f64 * alpha * (1.0 - alpha)).sqrt();
        assert!((from_sim as f64 - alpha * n as f64).abs() <= bound, "alpha {alpha}: {from_sim} of {n}");
    }
}

#[test]
fn every_frame_of_a_set_is_equally_likely() {
    let (sim, real) = pair();
    let sampler = MixedSampler::new(1.0, Some(sim.clone()), Some(real), 3).unwrap();
    let mut counts = vec![0f64; sim.len()];
    let n = 20_000u64;
    for i in 0..n {
        counts[sampler.draw(i, 0).1] += 1.0;
    }
    let p = 1.0 / sim.len() as f64;
    let bound = 5.0 * (n as f64 * p * (1.0 - p)).sqrt();
    assert!(counts.iter().all(|c| (c - n as f64 * p).abs() <= bound), "{counts:?}");
}

#[test]
fn a_draw_depends_on_seed_step_and_position_only() {
    let (sim, real) = pair();
    let sampler = |seed| MixedSampler::new(0.5, Some(sim.clone()), Some(real.clone()), seed).unwrap();
    let row = |s: &MixedSampler, step| (0..16).map(|k| s.draw(step, k)).collect::<Vec<_>>();
    let undisturbed: Vec<_> = (0..20).map(|step| row(&sampler(5), step)).collect();
    // A run that resumes at step 12 with a fresh sampler sees the same samples, in whatever order it asks.
    let resumed = sampler(5);
    assert!((12..20).rev().all(|step| row(&resumed, step) == undisturbed[step as usize]));
    assert_ne!(row(&sampler(6), 0), undisturbed[0]);
    assert_ne!(undisturbed[1], undisturbed[0]);

    let (a, b) = (sampler(5).batch(12, 16, 2).unwrap(), resumed.batch(12, 16, 2).unwrap());
    assert_eq!(a.get("action").unwrap().bytes().unwrap(), b.get("action").unwrap().bytes().unwrap());
    let tasks: Vec<&str> = a.texts("task").unwrap().iter().map(|t| t.as_str()).collect();
    let expected: Vec<&str> = undisturbed[12].iter().map(|(o, _)| if *o == Origin::Sim { "sim task" } else { "real task" }).collect();
    assert_eq!(tasks, expected);
}

#[test]
fn an_impossible_mix_is_refused() {
    let (sim, real) = pair();
    let e = MixedSampler::new(f64::NAN, Some(sim.clone()), Some(real.clone()), 0).unwrap_err().to_string();
    assert!(e.contains("between 0 and 1") && e.contains("NaN"), "{e}");
    assert!(MixedSampler::new(-0.1, Some(sim.clone()), Some(real.clone()), 0).is_err());
    let e = MixedSampler::new(0.5, None, Some(real), 0).unwrap_err().to_string();
    assert!(e.contains("no simulated demonstrations"), "{e}");
    let e = MixedSampler::new(0.5, Some(sim), None, 0).unwrap_err().to_string();
    assert!(e.contains("no real demonstrations"), "{e}");
}
