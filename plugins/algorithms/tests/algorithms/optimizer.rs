//! AdamW, its schedule, and its state on disk.

use tch::nn::{self, OptimizerConfig as _};
use twinhost_algorithms::Sft;
use twinhost_plugin_api::{Algorithm as _, ComponentConfig, Metrics, UpdateRequest};
use twinhost_plugin_torch::{Learner, OptimizerConfig, Schedule, TorchPolicy as _};

use crate::linear_policy::{CHUNK, LinearPolicy, STATE};
use crate::subject::{Subject, demonstrations, metric, ppo, request, rollout, services};

fn sft(subject: &mut Subject, config: &str) -> Learner<Sft> {
    Sft::create(ComponentConfig::new(config), services(), subject.side()).unwrap()
}

#[test]
fn steps_equal_those_of_torch_adamw() {
    let mut subject = Subject::new(1);
    let mut learner =
        sft(&mut subject, "(optimizer: (policy_lr: 0.01, beta1: 0.8, beta2: 0.95, eps: 1e-6, weight_decay: 0.1, clip_norm: Some(0.05)))");

    let mut store = nn::VarStore::new(tch::Device::Cpu);
    let mut reference = LinearPolicy::new(1);
    let shape = reference.weight.size();
    let mut weight = store.root().zeros("weight", &shape);
    tch::no_grad(|| weight.copy_(&reference.weight));
    reference.weight = weight;
    let mut adamw = nn::AdamW { beta1: 0.8, beta2: 0.95, wd: 0.1, eps: 1e-6, amsgrad: false }.build(&store, 0.01).unwrap();

    for i in 0..6 {
        let batch = demonstrations(8, i);
        learner.update(&batch, None, &request(i)).unwrap();
        adamw.backward_step_clip_norm(&reference.sft_loss(&batch).unwrap(), 0.05);
    }
    store.freeze();
    let want = Vec::<f32>::try_from(reference.weight.reshape([-1i64])).unwrap();
    for (got, want) in subject.weights("logits.weight").iter().zip(&want) {
        assert!((got - want).abs() < 2e-6, "{got} against {want}");
    }
}

#[test]
fn each_group_has_its_own_learning_rate() {
    let mut subject = Subject::new(2);
    let data = rollout(&mut subject, 3, 4, 0);
    let before = (subject.weights("logits.weight"), subject.weights("value.weight"));
    ppo(&mut subject, "(epochs: 1, optimizer: (policy_lr: 0.0, value_lr: 0.01))").update(&data, None, &request(0)).unwrap();
    assert_eq!(subject.weights("logits.weight"), before.0);
    // The first AdamW step has the size of the learning rate in every weight with a gradient.
    for (after, before) in subject.weights("value.weight").iter().zip(&before.1) {
        assert!(((after - before).abs() - 0.01).abs() < 1e-5, "{after} {before}");
    }
}

#[test]
fn the_schedule_warms_up_and_decays() {
    let share = |schedule, iteration| {
        let config = OptimizerConfig { warmup_updates: 4, schedule, final_lr_share: 0.2, ..OptimizerConfig::default() };
        config.lr_share(&UpdateRequest { seed: 0, iteration, total_iterations: 14 })
    };
    assert_eq!([0, 1, 3].map(|i| share(Schedule::Constant, i)), [0.25, 0.5, 1.0]);
    assert_eq!(share(Schedule::Constant, 13), 1.0);
    // Half-way through the ten updates after the warm-up: 0.2 + 0.8 / 2 both ways; a quarter differs.
    assert!((share(Schedule::Linear, 9) - 0.6).abs() < 1e-12);
    assert!((share(Schedule::Cosine, 9) - 0.6).abs() < 1e-12);
    assert!((share(Schedule::Linear, 4) - 1.0).abs() < 1e-12 && (share(Schedule::Cosine, 14) - 0.2).abs() < 1e-12);
}

const CONFIG: &str = "(epochs: 2, global_batch: 8, micro_batch: 3, optimizer: (policy_lr: 0.01, schedule: Cosine))";

#[test]
fn a_resumed_run_is_bit_identical() {
    let mut straight = Subject::new(3);
    let mut learner = ppo(&mut straight, CONFIG);
    let mut straight_metrics: Vec<Metrics> = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    for i in 0..4 {
        if i == 2 {
            straight.policy.save(folder.path().to_str().unwrap().into()).into_result().unwrap();
            learner.save(folder.path()).unwrap();
        }
        let data = rollout(&mut straight, 4, 5, i);
        straight_metrics.push(learner.update(&data, None, &request(i)).unwrap());
    }

    let mut resumed = Subject::new(99);
    resumed.policy.load(folder.path().to_str().unwrap().into()).into_result().unwrap();
    let mut learner = ppo(&mut resumed, CONFIG);
    learner.load(folder.path()).unwrap();
    for i in 2..4 {
        let data = rollout(&mut resumed, 4, 5, i);
        assert_eq!(learner.update(&data, None, &request(i)).unwrap(), straight_metrics[i as usize]);
    }
    assert_eq!(resumed.digest(), straight.digest());
}

#[test]
fn loading_names_what_is_wrong_with_the_file() {
    let mut subject = Subject::new(4);
    let data = rollout(&mut subject, 2, 4, 0);
    let mut learner = ppo(&mut subject, CONFIG);
    learner.update(&data, None, &request(0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let message = |learner: &mut Learner<_>| learner.load(folder.path()).unwrap_err().to_string();
    assert!(message(&mut learner).contains("optimizer.safetensors"));

    learner.save(folder.path()).unwrap();
    let path = folder.path().join("optimizer.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    let e = message(&mut learner);
    assert!(e.contains("optimizer.safetensors") && e.contains("not a complete safetensors file"), "{e}");

    let text = String::from_utf8_lossy(&bytes[..bytes.len() / 8]).into_owned();
    assert!(text.contains("twinhost"));
    let shape = format!("[{STATE},{CHUNK},2,5]");
    let other = format!("[{CHUNK},{STATE},2,5]");
    let at = bytes.windows(shape.len()).position(|w| w == shape.as_bytes()).unwrap();
    let mut transposed = bytes.clone();
    transposed[at..at + shape.len()].copy_from_slice(other.as_bytes());
    std::fs::write(&path, &transposed).unwrap();
    let e = message(&mut learner);
    assert!(e.contains("logits.weight/exp_avg") && e.contains("[2, 3, 2, 5]") && e.contains("[3, 2, 2, 5]"), "{e}");

    std::fs::write(&path, &bytes).unwrap();
    learner.load(folder.path()).unwrap();
}

#[test]
fn a_failed_write_keeps_the_previous_state() {
    let mut subject = Subject::new(5);
    let mut learner = ppo(&mut subject, CONFIG);
    let folder = tempfile::tempdir().unwrap();
    learner.save(folder.path()).unwrap();
    let before = std::fs::read(folder.path().join("optimizer.safetensors")).unwrap();
    // A folder in the place of the temporary file makes its creation fail, also for root.
    std::fs::create_dir(folder.path().join("optimizer.safetensors.tmp")).unwrap();
    let data = rollout(&mut subject, 2, 4, 0);
    learner.update(&data, None, &request(0)).unwrap();
    let e = learner.save(folder.path()).unwrap_err().to_string();
    assert!(e.contains("optimizer.safetensors") && e.contains("cannot write"), "{e}");
    assert_eq!(std::fs::read(folder.path().join("optimizer.safetensors")).unwrap(), before);
}

#[test]
fn supervised_training_lowers_its_loss_in_one_step_per_update() {
    let mut subject = Subject::new(6);
    let mut learner = sft(&mut subject, "(micro_batch: 5, optimizer: (policy_lr: 0.05))");
    let batch = demonstrations(16, 3);
    let losses: Vec<f64> = (0..30)
        .map(|i| {
            let metrics = learner.update(&batch, None, &request(i)).unwrap();
            assert_eq!(metric(&metrics, "train/optimizer_steps"), 1.0);
            metric(&metrics, "train/sft_loss")
        })
        .collect();
    assert!(losses[29] < 0.8 * losses[0], "{losses:?}");
}
