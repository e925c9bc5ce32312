//! Generalised advantage estimation (Schulman et al., arXiv 1506.02438) over a flat sequence of steps, with T+1 rows of values.

/// One environment's rollout of n steps.
pub struct Trajectory<'a> {
    /// r_t, n entries.
    pub rewards: &'a [f32],
    /// V_t, n + 1 entries; the last one bootstraps the step at which the rollout was cut.
    pub values: &'a [f32],
    /// The episode ended with step t (terminated or truncated), n entries.
    pub dones: &'a [bool],
}

/// Advantages and returns, n entries each:
///
/// ```text
/// delta_t = r_t + gamma V_{t+1} (1 - done_t) - V_t
/// A_t     = delta_t + gamma lambda (1 - done_t) A_{t+1}
/// R_t     = A_t + V_t
/// ```
///
/// A truncated step counts as done; its bootstrap value must already be part of its reward (see [`bootstrap`]).
#[must_use]
pub fn gae(trajectory: &Trajectory<'_>, gamma: f32, lambda: f32) -> (Vec<f32>, Vec<f32>) {
    let Trajectory { rewards, values, dones } = trajectory;
    let mut advantages = vec![0f32; rewards.len()];
    let mut next = 0f32;
    for t in (0..rewards.len()).rev() {
        let alive = if dones[t] { 0.0 } else { 1.0 };
        let delta = rewards[t] + gamma * values[t + 1] * alive - values[t];
        next = delta + gamma * lambda * alive * next;
        advantages[t] = next;
    }
    let returns = advantages.iter().zip(*values).map(|(a, v)| a + v).collect();
    (advantages, returns)
}

/// Which ends of an episode are worth the value of the observation they ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bootstrap {
    /// Time limits only: the task went on, only the recording stopped.
    Standard,
    /// Every end, for tasks in which success does not end the horizon (ManiSkill).
    Always,
}

/// `r_t <- r_t + gamma V(final observation)` for a step that ended an episode.
#[must_use]
pub fn bootstrap(rule: Bootstrap, reward: f32, terminated: bool, truncated: bool, final_value: f32, gamma: f32) -> f32 {
    let applies = match rule {
        Bootstrap::Standard => truncated && !terminated,
        Bootstrap::Always => truncated || terminated,
    };
    if applies { reward + gamma * final_value } else { reward }
}

/// `(A - mean) / (std + 1e-5)` over the valid entries, with the unbiased standard deviation. Invalid entries are scaled alike.
pub fn normalize(advantages: &mut [f32], valid: &[bool]) {
    let chosen = || advantages.iter().zip(valid).filter(|(_, v)| **v).map(|(a, _)| f64::from(*a));
    let count = chosen().count();
    if count < 2 {
        return;
    }
    let mean = chosen().sum::<f64>() / count as f64;
    let variance = chosen().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (count - 1) as f64;
    let scale = 1.0 / (variance.sqrt() + 1e-5);
    for advantage in advantages {
        *advantage = ((f64::from(*advantage) - mean) * scale) as f32;
    }
}
