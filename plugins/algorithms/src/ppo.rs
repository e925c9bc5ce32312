//! Proximal policy optimisation (Schulman et al., arXiv 1707.06347) for action chunks, with the options RLinf trains VLAs with.
//!
//! This file is the algorithm: its losses, each beside its source. `config.rs` lists the knobs, `rollout.rs` turns a rollout into rows.

mod config;

pub use config::{KlEstimator, Level, PpoConfig};

use tch::{Device, Kind, Tensor};
use twinhost_plugin_api::policy::DifferentiableBox;
use twinhost_plugin_api::{AlgorithmSpec, Batch, ComponentConfig, Error, HostServices, Paradigm, Result, UpdateRequest, names};
use twinhost_plugin_torch::TorchResult;
use twinhost_plugin_torch::{BatchPlan, Differentiable, Evaluation, Learner, Loss, Phase, TorchAlgorithm, to_torch};

use crate::rollout::{ADVANTAGE, MASK, MASK_SUM, OLD_VALUE, RETURN, training_rows};

/// Log-probability under a frozen reference policy, f32 `[T, B, C, A]`; needed if `kl_coef` is positive.
pub const REFERENCE_LOG_PROB: &str = "reference.log_prob";

/// The algorithm `ppo`.
pub struct Ppo {
    config: PpoConfig,
}

impl Ppo {
    /// # Errors
    /// `InvalidConfig` naming the field, or if the policy cannot be trained.
    pub fn create(config: ComponentConfig<'_>, services: HostServices, policy: DifferentiableBox) -> Result<Learner<Self>> {
        let config: PpoConfig = config.parse()?;
        config.check()?;
        let optimizer = config.optimizer.clone();
        Learner::new(Self { config }, optimizer, policy, services)
    }
}

/// Averages losses over the entries that count.
pub struct Mask {
    /// 1 where an entry counts, broadcastable to the loss.
    pub valid: Tensor,
    /// Valid steps of the entry's trajectory divided by the longest episode: long episodes weigh less per step.
    pub length_share: Option<Tensor>,
}

impl Mask {
    /// `sum(l m) / sum(m)`, or `mean(l m / length_share)` (RLinf `loss_mask_ratio`).
    ///
    /// Sums run over every entry of `values`, the mask being broadcast first, so a token-level loss is a mean over tokens.
    /// (RLinf divides by the mask's own size there, which makes the masked loss A times larger than the unmasked one.)
    pub fn mean(&self, values: &Tensor) -> Tensor {
        let valid = self.valid.expand_as(values);
        match &self.length_share {
            // An environment without a single valid step has share 0; the floor keeps 0/0 out of the mean.
            Some(share) => (values * valid / share.clamp_min(1e-8)).mean(Kind::Float),
            None => self.masked_mean(values),
        }
    }

    /// `sum(x m) / sum(m)`, 0 if nothing counts.
    pub fn masked_mean(&self, values: &Tensor) -> Tensor {
        let valid = self.valid.expand_as(values);
        (values * &valid).sum(Kind::Float) / valid.sum(Kind::Float).clamp_min(1.0)
    }
}

/// Reduces per-token quantities `[N, C, A]`: token level keeps them, action level sums over A, chunk level over C and A.
pub fn reduce(level: Level, per_token: &Tensor) -> Tensor {
    match level {
        Level::Token => per_token.shallow_clone(),
        Level::Action => per_token.sum_dim_intlist([-1i64].as_slice(), false, Kind::Float),
        Level::Chunk => per_token.sum_dim_intlist([-1i64, -2].as_slice(), false, Kind::Float).unsqueeze(-1),
    }
}

/// `[N, V]` as a shape that broadcasts against a quantity of this level.
fn broadcast(level: Level, per_step: &Tensor) -> Tensor {
    match level {
        Level::Token => per_step.unsqueeze(-1),
        Level::Action | Level::Chunk => per_step.shallow_clone(),
    }
}

pub struct PolicyLoss {
    pub loss: Tensor,
    /// `mean(old - log_prob)`.
    pub approx_kl: Tensor,
    /// Share of entries in which clipping decides.
    pub clip_fraction: Tensor,
    /// Mean probability ratio; 1 before the first step.
    pub ratio: Tensor,
}

/// Clipped surrogate (arXiv 1707.06347, eq. 7) with separate bounds (DAPO, arXiv 2503.14476) and dual clip (arXiv 1912.09729, eq. 5):
///
/// ```text
/// rho = exp(log_prob - old)
/// l   = max(-A rho, -A clip(rho, 1 - eps_low, 1 + eps_high))
/// l   = min(l, c |A|)
/// ```
///
/// `log_prob` and `old_log_prob` are reduced; `advantage` `[N, V]` broadcasts against them after [`Level`]'s rule.
pub fn policy_loss(config: &PpoConfig, log_prob: &Tensor, old_log_prob: &Tensor, advantage: &Tensor, mask: &Mask) -> PolicyLoss {
    let advantage = broadcast(config.logprob_type, advantage);
    let difference = log_prob - old_log_prob;
    let bounded = config.clip_log_ratio.map_or_else(|| difference.shallow_clone(), |limit| difference.clamp(-limit, limit));
    let ratio = bounded.exp();
    let unclipped = -&advantage * &ratio;
    let clipped = -&advantage * ratio.clamp(1.0 - config.clip_low, 1.0 + config.clip_high);
    let mut loss = unclipped.maximum(&clipped);
    if let Some(c) = config.dual_clip {
        loss = loss.minimum(&(advantage.abs() * c));
    }
    PolicyLoss {
        loss: mask.mean(&loss),
        approx_kl: mask.masked_mean(&(old_log_prob - log_prob).detach()),
        clip_fraction: mask.masked_mean(&unclipped.detach().less_tensor(&clipped.detach()).to_kind(Kind::Float)),
        ratio: mask.masked_mean(&ratio.detach()),
    }
}

/// `huber(e) = e^2/2` if `|e| < delta`, else `delta (|e| - delta/2)`.
fn huber(error: &Tensor, delta: f64) -> Tensor {
    let size = error.abs();
    (error * error * 0.5).where_self(&size.less(delta), &((&size - 0.5 * delta) * delta))
}

/// Clipped value loss (OpenAI baselines' PPO2, with Huber as in RLinf), all `[N, V]`:
///
/// ```text
/// V_clip = V_old + clip(V - V_old, -v, v)
/// l      = max(huber(R - V), huber(R - V_clip))
/// ```
pub fn value_loss(config: &PpoConfig, value: &Tensor, old_value: &Tensor, returns: &Tensor, mask: &Mask) -> Tensor {
    let clipped = old_value + (value - old_value).clamp(-config.value_clip, config.value_clip);
    let loss = huber(&(returns - value), config.huber_delta).maximum(&huber(&(returns - clipped), config.huber_delta));
    mask.mean(&loss)
}

/// Per-entry estimates of `KL(policy || reference)` (Schulman, "Approximating KL divergence", 2020):
/// k1 = lp - ref; k2 = (lp - ref)^2 / 2; k3 = exp(ref - lp) - (ref - lp) - 1, bounded as in RLinf.
pub fn kl(estimator: KlEstimator, log_prob: &Tensor, reference: &Tensor) -> Tensor {
    match estimator {
        KlEstimator::K1 => log_prob - reference,
        KlEstimator::K2 => (log_prob - reference).square() * 0.5,
        KlEstimator::K3 => {
            let difference = (reference - log_prob).clamp(-20.0, 20.0);
            (difference.exp() - &difference - 1.0).clamp(-10.0, 10.0)
        }
    }
}

/// A training feature on the policy's device.
fn feature(micro: &Batch, name: &str, device: Device) -> Result<Tensor> {
    to_torch(micro.get(name)?)?.f_to_device(device).or_error()
}

fn expect_shape(tensor: &Tensor, what: &str, wanted: &[i64]) -> Result<()> {
    if tensor.size() == wanted {
        return Ok(());
    }
    Err(Error::input(format!("{what} has shape {:?}, expected {wanted:?}", tensor.size())))
}

impl Ppo {
    fn mask(&self, micro: &Batch, level: Level, device: Device) -> Result<Mask> {
        let valid = broadcast(level, &feature(micro, MASK, device)?);
        let length_share = match self.config.max_episode_steps {
            Some(longest) => Some(broadcast(level, &feature(micro, MASK_SUM, device)?) / longest as f64),
            None => None,
        };
        Ok(Mask { valid, length_share })
    }

    fn critic(&self, micro: &Batch, evaluation: &Evaluation, device: Device) -> Result<Option<Tensor>> {
        let (Some(value), Some(_)) = (&evaluation.value, micro.find(RETURN)) else { return Ok(None) };
        let returns = feature(micro, RETURN, device)?;
        expect_shape(value, "the policy's value", &returns.size())?;
        // A value has one entry per step of the decision process, whatever the level of the log-probabilities.
        let mask = self.mask(micro, Level::Chunk, device)?;
        Ok(Some(value_loss(&self.config, value, &feature(micro, OLD_VALUE, device)?, &returns, &mask)))
    }

    fn actor(&self, micro: &Batch, evaluation: &Evaluation, device: Device) -> Result<Loss> {
        let config = &self.config;
        let old = feature(micro, names::LOG_PROB, device)?;
        expect_shape(&evaluation.log_prob, "the policy's log_prob", &old.size())?;
        expect_shape(&evaluation.entropy, "the policy's entropy", &old.size())?;
        let log_prob = reduce(config.logprob_type, &evaluation.log_prob);
        let mask = self.mask(micro, config.logprob_type, device)?;
        let surrogate = policy_loss(config, &log_prob, &reduce(config.logprob_type, &old), &feature(micro, ADVANTAGE, device)?, &mask);
        let entropy = self.mask(micro, config.entropy_type, device)?.masked_mean(&reduce(config.entropy_type, &evaluation.entropy));

        // Never `+=`: it would write into the tensor that is also reported.
        let mut total = surrogate.loss.shallow_clone();
        let mut metrics = vec![
            ("train/policy_loss", surrogate.loss),
            ("train/approx_kl", surrogate.approx_kl),
            ("train/clip_fraction", surrogate.clip_fraction),
            ("train/ratio", surrogate.ratio),
            ("train/entropy", entropy.shallow_clone()),
        ];
        if config.entropy_coef > 0.0 {
            total = &total - entropy * config.entropy_coef;
        }
        if config.kl_coef > 0.0 {
            let reference = reduce(config.logprob_type, &feature(micro, REFERENCE_LOG_PROB, device)?);
            let penalty = mask.masked_mean(&kl(config.kl_estimator, &log_prob, &reference));
            metrics.push(("train/kl_reference", penalty.shallow_clone()));
            total = &total + penalty * config.kl_coef;
        }
        Ok(Loss { total, metrics })
    }
}

impl TorchAlgorithm for Ppo {
    fn spec(&self) -> AlgorithmSpec {
        let mut needs = vec![names::ACTION, names::LOG_PROB, names::REWARD, names::TERMINATED, names::TRUNCATED];
        if self.config.kl_coef > 0.0 {
            needs.push(REFERENCE_LOG_PROB);
        }
        AlgorithmSpec { paradigm: Paradigm::OnPolicy, needs: needs.into_iter().map(Into::into).collect() }
    }

    fn loss_name(&self) -> &'static str {
        "train/ppo_loss"
    }

    fn batch_plan(&self) -> BatchPlan {
        BatchPlan { epochs: self.config.epochs, global_batch: self.config.global_batch, micro_batch: self.config.micro_batch }
    }

    fn phases(&self, request: &UpdateRequest) -> Vec<Phase> {
        if request.iteration < self.config.critic_warmup {
            return vec![Phase { name: "critic", updates_policy: false, groups: vec!["value"] }];
        }
        vec![Phase { name: "actor_critic", updates_policy: true, groups: vec!["policy", "value"] }]
    }

    fn prepare(&mut self, data: &Batch, _policy: &mut Differentiable) -> Result<Batch> {
        training_rows(data, &self.config.advantage())
    }

    fn weight(&self, micro: &Batch) -> Result<f64> {
        match self.config.max_episode_steps {
            // The length-weighted reduction is a mean over all rows, a masked mean counts valid entries.
            Some(_) => Ok(micro.rows() as f64),
            None => Ok(micro.slice::<f32>(MASK)?.iter().map(|&m| f64::from(m)).sum()),
        }
    }

    fn loss(&mut self, phase: &Phase, micro: &Batch, policy: &mut Differentiable) -> Result<Loss> {
        let evaluation = policy.evaluate(micro)?;
        let device = evaluation.log_prob.device();
        let critic = self.critic(micro, &evaluation, device)?;
        if !phase.updates_policy {
            let critic = critic.ok_or_else(|| Error::config("critic_warmup", "needs a policy with a value head"))?;
            return Ok(Loss { total: critic.shallow_clone(), metrics: vec![("train/critic_loss", critic)] });
        }
        let mut loss = self.actor(micro, &evaluation, device)?;
        if let Some(critic) = critic {
            if self.config.value_coef > 0.0 {
                loss.total = &loss.total + &critic * self.config.value_coef;
            }
            loss.metrics.push(("train/critic_loss", critic));
        }
        Ok(loss)
    }

    fn stop_before(&self, metrics: &[(&'static str, f64)]) -> bool {
        let kl = metrics.iter().find(|m| m.0 == "train/approx_kl").map(|m| m.1);
        matches!((kl, self.config.target_kl), (Some(kl), Some(limit)) if kl > limit)
    }
}
