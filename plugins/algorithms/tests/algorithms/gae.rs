//! Advantages against RLinf's and against derivations, through the rows a rollout becomes.

use tch::Tensor as Torch;
use twinhost_algorithms::gae::{Bootstrap, normalize};
use twinhost_algorithms::rollout::{ADVANTAGE, AdvantageConfig, MASK, MASK_SUM, RETURN, RewardType, training_rows};
use twinhost_plugin_api::{Batch, Tensor, names};
use twinhost_plugin_torch::{from_torch, to_torch};

use crate::losses::{assert_close, fixture};

fn config(reward_type: RewardType) -> AdvantageConfig {
    AdvantageConfig { gamma: 0.99, lambda: 0.95, reward_type, bootstrap: Bootstrap::Standard, normalize: false }
}

/// RLinf's arrays as a rollout: its `dones` have a first row for the state before the rollout.
fn check(name: &str, reward_type: RewardType) {
    let get = |what: &str| fixture(&format!("gae.{name}.{what}"));
    let (time, envs, chunk) = (5, 3, 2);
    let data = Batch::new()
        .with(names::LOG_PROB, Tensor::zeros::<f32>(&[time, envs, chunk, 1]))
        .with(names::REWARD, from_torch(&get("rewards")).unwrap())
        .with(names::TERMINATED, from_torch(&get("dones").narrow(0, 1, 5)).unwrap())
        .with(names::TRUNCATED, Tensor::zeros::<bool>(&[time, envs, chunk]))
        .with("loss_mask", from_torch(&get("loss_mask")).unwrap())
        .with(names::VALUE, from_torch(&get("values")).unwrap())
        .with("final.value", Tensor::zeros::<f32>(&[time, envs, 1]));
    let rows = training_rows(&data, &config(reward_type)).unwrap();
    let returns = to_torch(rows.get(RETURN).unwrap()).unwrap();
    assert_close(&returns.reshape(get("returns").size()), &get("returns"));

    // The recorded advantages are normalised over RLinf's mask: a chunk counts if one of its steps does.
    let mask = match reward_type {
        RewardType::ChunkLevel => get("loss_mask").any_dim(-1, true),
        RewardType::ActionLevel => get("loss_mask"),
    };
    let valid = Vec::<bool>::try_from(mask.reshape([-1i64])).unwrap();
    let mut advantages = rows.slice::<f32>(ADVANTAGE).unwrap().to_vec();
    normalize(&mut advantages, &valid);
    assert_close(&Torch::from_slice(&advantages).reshape(get("advantages").size()), &get("advantages"));
}

#[test]
fn chunk_level_advantages_match_rlinf() {
    check("chunk_level", RewardType::ChunkLevel);
}

#[test]
fn action_level_advantages_match_rlinf() {
    check("action_level", RewardType::ActionLevel);
}

/// One environment, two calls of one step; the episode ends with the first call.
fn ended(terminated: bool, truncated: bool, bootstrap: Bootstrap) -> Vec<f32> {
    let data = Batch::new()
        .with(names::LOG_PROB, Tensor::zeros::<f32>(&[2, 1, 1, 1]))
        .with(names::REWARD, Tensor::from_vec(vec![1f32, 2.0], &[2, 1, 1]))
        .with(names::TERMINATED, Tensor::from_vec(vec![terminated, false], &[2, 1, 1]))
        .with(names::TRUNCATED, Tensor::from_vec(vec![truncated, false], &[2, 1, 1]))
        .with(names::VALUE, Tensor::from_vec(vec![0.5f32, 0.25, 4.0], &[3, 1, 1]))
        .with("final.value", Tensor::from_vec(vec![8f32, 0.0], &[2, 1, 1]));
    let config = AdvantageConfig { gamma: 0.5, lambda: 0.5, reward_type: RewardType::ChunkLevel, bootstrap, normalize: false };
    training_rows(&data, &config).unwrap().slice::<f32>(ADVANTAGE).unwrap().to_vec()
}

#[test]
fn only_a_truncated_episode_bootstraps_from_its_own_last_observation() {
    // gamma = lambda = 1/2, V = 0.5, 0.25, then 4 after the cut; V(final) = 8.
    // A_1 = r_1 + gamma V_2 - V_1 = 2 + 2 - 0.25 = 3.75 in every case: the second episode runs on past the rollout.
    // Truncated:  A_0 = (1 + 0.5 * 8) - 0.5 = 4.5; nothing of the next episode (V_1, A_1) leaks in.
    assert_eq!(ended(false, true, Bootstrap::Standard), [4.5, 3.75]);
    // Terminated: A_0 = 1 - 0.5 = 0.5.
    assert_eq!(ended(true, false, Bootstrap::Standard), [0.5, 3.75]);
    // Both at once is a termination.
    assert_eq!(ended(true, true, Bootstrap::Standard), [0.5, 3.75]);
    // `always` bootstraps terminations too.
    assert_eq!(ended(true, false, Bootstrap::Always), [4.5, 3.75]);
    // No end: A_0 = 1 + 0.5 * 0.25 - 0.5 + 0.25 * 3.75 = 1.5625.
    assert_eq!(ended(false, false, Bootstrap::Standard), [1.5625, 3.75]);
}

/// One call of three actions; the episode is cut after the second.
fn cut_in_a_chunk(reward_type: RewardType, values: Vec<f32>, columns: usize) -> Batch {
    let data = Batch::new()
        .with(names::LOG_PROB, Tensor::zeros::<f32>(&[1, 1, 3, 1]))
        .with(names::REWARD, Tensor::from_vec(vec![1f32, 2.0, 0.0], &[1, 1, 3]))
        .with(names::TERMINATED, Tensor::zeros::<bool>(&[1, 1, 3]))
        .with(names::TRUNCATED, Tensor::from_vec(vec![false, true, false], &[1, 1, 3]))
        .with(names::VALUE, Tensor::from_vec(values, &[2, 1, columns]))
        .with("final.value", Tensor::from_vec(vec![8f32], &[1, 1, 1]));
    training_rows(&data, &AdvantageConfig { gamma: 0.5, lambda: 0.5, reward_type, bootstrap: Bootstrap::Standard, normalize: false })
        .unwrap()
}

#[test]
fn an_episode_cut_inside_a_chunk_bootstraps_at_its_own_step() {
    // Action level: A_1 = (2 + 0.5 * 8) - 0.25 = 5.75; A_0 = 1 + 0.5 * 0.25 - 0.5 + 0.25 * 5.75 = 2.0625; slot 2 was never executed.
    let rows = cut_in_a_chunk(RewardType::ActionLevel, vec![0.5, 0.25, 9.0, 4.0, 4.0, 4.0], 3);
    assert_eq!(rows.slice::<f32>(ADVANTAGE).unwrap()[..2], [2.0625, 5.75]);
    assert_eq!(rows.slice::<f32>(MASK).unwrap(), [1.0, 1.0, 0.0]);
    assert_eq!(rows.slice::<f32>(MASK_SUM).unwrap(), [2.0; 3]);
    // Chunk level: A = (1 + 2 + 0 + 0.5 * 8) - 0.5 = 6.5.
    let rows = cut_in_a_chunk(RewardType::ChunkLevel, vec![0.5, 4.0], 1);
    assert_eq!(rows.slice::<f32>(ADVANTAGE).unwrap(), [6.5]);
    assert_eq!(rows.slice::<f32>(MASK).unwrap(), [1.0]);
}

#[test]
fn without_values_the_advantage_is_the_reward_to_go() {
    let data = Batch::new()
        .with(names::LOG_PROB, Tensor::zeros::<f32>(&[3, 1, 1, 1]))
        .with(names::REWARD, Tensor::from_vec(vec![1f32, 2.0, 4.0], &[3, 1, 1]))
        .with(names::TERMINATED, Tensor::from_vec(vec![false, true, false], &[3, 1, 1]))
        .with(names::TRUNCATED, Tensor::zeros::<bool>(&[3, 1, 1]));
    let rows = training_rows(&data, &config(RewardType::ChunkLevel)).unwrap();
    assert_eq!(rows.slice::<f32>(ADVANTAGE).unwrap(), [3.0, 2.0, 4.0]);
    assert!(rows.find(RETURN).is_none());
}

#[test]
fn rows_keep_observations_beside_their_own_advantage() {
    let (time, envs) = (3, 2);
    let mut data = Batch::new()
        .with(names::LOG_PROB, Tensor::zeros::<f32>(&[time, envs, 1, 1]))
        .with(names::STATE, Tensor::from_vec((0..6).map(|v| v as f32).collect(), &[time, envs, 1]))
        .with(names::REWARD, Tensor::from_vec((0..6).map(|v| v as f32).collect(), &[time, envs, 1]))
        .with(names::TERMINATED, Tensor::from_vec(vec![true; 6], &[time, envs, 1]))
        .with(names::TRUNCATED, Tensor::zeros::<bool>(&[time, envs, 1]))
        .with(names::VALUE, Tensor::zeros::<f32>(&[time + 1, envs, 1]))
        .with("final.value", Tensor::zeros::<f32>(&[time, envs, 1]));
    data.insert_text(names::TASK, (0..6).map(|i| format!("task {i}")).collect());
    let rows = training_rows(&data, &config(RewardType::ChunkLevel)).unwrap();
    // Every step ends its episode, so the advantage is the reward, which here is the state.
    assert_eq!(rows.slice::<f32>(ADVANTAGE).unwrap(), rows.slice::<f32>(names::STATE).unwrap());
    assert_eq!(rows.get(names::STATE).unwrap().shape(), [6, 1]);
    assert_eq!(rows.texts(names::TASK).unwrap()[4].as_str(), "task 4");
    assert!(rows.find(names::REWARD).is_none() && rows.find(names::VALUE).is_none());
}

#[test]
fn normalised_advantages_have_mean_zero_and_unit_spread() {
    let data = Batch::new()
        .with(names::LOG_PROB, Tensor::zeros::<f32>(&[4, 1, 1, 1]))
        .with(names::REWARD, Tensor::from_vec(vec![1f32, 2.0, 3.0, 6.0], &[4, 1, 1]))
        .with(names::TERMINATED, Tensor::from_vec(vec![true; 4], &[4, 1, 1]))
        .with(names::TRUNCATED, Tensor::zeros::<bool>(&[4, 1, 1]));
    let rows = training_rows(&data, &AdvantageConfig { normalize: true, ..config(RewardType::ChunkLevel) }).unwrap();
    // mean 3, unbiased variance (4 + 1 + 0 + 9) / 3 = 14/3.
    let scale = 1.0 / ((14f64 / 3.0).sqrt() + 1e-5);
    let want = [-2.0, -1.0, 0.0, 3.0].map(|d| (d * scale) as f32);
    assert_close(&Torch::from_slice(rows.slice::<f32>(ADVANTAGE).unwrap()), &Torch::from_slice(&want));
}

#[test]
fn a_wrong_shape_and_a_nan_are_named() {
    let good = || {
        Batch::new()
            .with(names::LOG_PROB, Tensor::zeros::<f32>(&[2, 1, 1, 1]))
            .with(names::REWARD, Tensor::zeros::<f32>(&[2, 1, 1]))
            .with(names::TERMINATED, Tensor::zeros::<bool>(&[2, 1, 1]))
            .with(names::TRUNCATED, Tensor::zeros::<bool>(&[2, 1, 1]))
            .with(names::VALUE, Tensor::zeros::<f32>(&[3, 1, 1]))
            .with("final.value", Tensor::zeros::<f32>(&[2, 1, 1]))
    };
    let message = |data: Batch| training_rows(&data, &config(RewardType::ChunkLevel)).unwrap_err().to_string();
    let e = message(good().with(names::VALUE, Tensor::zeros::<f32>(&[2, 1, 1])));
    assert!(e.contains("`value`") && e.contains("[2, 1, 1]") && e.contains("[3, 1, 1]"), "{e}");
    let e = message(good().with(names::REWARD, Tensor::from_vec(vec![0.0, f32::NAN], &[2, 1, 1])));
    assert!(e.contains("`next.reward`") && e.contains("NaN"), "{e}");
    let e = message(good().with(names::STATE, Tensor::zeros::<f32>(&[2, 7])));
    assert!(e.contains("`observation.state`") && e.contains("[2, 7]"), "{e}");
    let wide = good().with(names::LOG_PROB, Tensor::zeros::<f32>(&[2, 1, 2, 1]));
    let e = training_rows(&wide, &config(RewardType::ChunkLevel)).unwrap_err().to_string();
    assert!(e.contains("`next.reward`") && e.contains("[2, 1, 2]"), "{e}");
}
