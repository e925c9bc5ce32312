//! AdamW over flat vectors: one vector per optimiser group, so that a step is a dozen large operations instead of a dozen per weight.

use super::TorchResult;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Parameter;
use twinhost_plugin_api::v1::{Error, Result, UpdateRequest};

/// Optimiser part of an algorithm's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Peak learning rate of the group `policy`.
    pub policy_lr: f64,
    /// Peak learning rate of the group `value`.
    pub value_lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Decoupled weight decay (AdamW, arXiv 1711.05101).
    pub weight_decay: f64,
    /// Largest L2 norm of the gradient; `None` leaves it as it is.
    pub clip_norm: Option<f64>,
    pub clip: Clip,
    /// Updates over which the learning rate rises linearly from 0.
    pub warmup_updates: u64,
    pub schedule: Schedule,
    /// Share of the peak learning rate left at the end of a decaying schedule.
    pub final_lr_share: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clip {
    /// One norm over all groups of a phase.
    Global,
    /// A norm for each group, so that a large value gradient does not shrink the policy's.
    PerGroup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    Constant,
    Linear,
    Cosine,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            policy_lr: 1e-4,
            value_lr: 3e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: Some(1.0),
            clip: Clip::Global,
            warmup_updates: 0,
            schedule: Schedule::Constant,
            final_lr_share: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// # Errors
    /// `InvalidConfig` naming the first field out of range; `prefix` is the path of this struct, e.g. `optimizer`.
    pub fn check(&self, prefix: &str) -> Result<()> {
        let field = |name: &str| format!("{prefix}.{name}");
        for (name, value) in [("policy_lr", self.policy_lr), ("value_lr", self.value_lr), ("weight_decay", self.weight_decay)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::config(field(name), format!("must lie in [0, 1], got {value}")));
            }
        }
        for (name, value) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::config(field(name), format!("must lie in [0, 1), got {value}")));
            }
        }
        if !(self.eps > 0.0 && self.eps <= 1.0) {
            return Err(Error::config(field("eps"), format!("must lie in (0, 1], got {}", self.eps)));
        }
        if let Some(norm) = self.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(Error::config(field("clip_norm"), format!("must be positive and finite, or None, got {norm}")));
        }
        if !(0.0..=1.0).contains(&self.final_lr_share) {
            return Err(Error::config(field("final_lr_share"), format!("must lie in [0, 1], got {}", self.final_lr_share)));
        }
        Ok(())
    }

    /// Share of the peak learning rate in this update, a function of the request alone, so that a resumed run continues exactly.
    pub fn lr_share(&self, request: &UpdateRequest) -> f64 {
        if request.iteration < self.warmup_updates {
            return (request.iteration + 1) as f64 / self.warmup_updates as f64;
        }
        let left = request.total_iterations.saturating_sub(self.warmup_updates).max(1) as f64;
        let progress = ((request.iteration - self.warmup_updates) as f64 / left).min(1.0);
        let falling = match self.schedule {
            Schedule::Constant => return 1.0,
            Schedule::Linear => 1.0 - progress,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.final_lr_share + (1.0 - self.final_lr_share) * falling
    }

    fn peak(&self, group: &str) -> Result<f64> {
        match group {
            "policy" => Ok(self.policy_lr),
            "value" => Ok(self.value_lr),
            other => Err(Error::internal(format!(
                "the policy puts parameters into the optimiser group `{other}`; there are `policy` and `value`"
            ))),
        }
    }
}

/// A weight and its place in the flat vectors of its group.
pub(super) struct Slot {
    pub name: String,
    pub tensor: Tensor,
    pub shape: Vec<i64>,
    pub offset: i64,
    pub len: i64,
    /// Whether the loss reached it in this step; a weight no loss reaches is left alone.
    reached: bool,
}

/// The trainable weights of one optimiser group.
pub(super) struct Group {
    pub name: String,
    pub slots: Vec<Slot>,
    /// Running means of the gradient and of its square, f32 `[total]`.
    pub exp_avg: Tensor,
    pub exp_avg_sq: Tensor,
    /// Steps taken.
    pub step: u64,
    gradient: Option<Tensor>,
}

impl Group {
    fn new(name: String, parameters: Vec<Parameter>) -> Self {
        let device = parameters.first().map_or(tch::Device::Cpu, |p| p.tensor.device());
        let mut offset = 0;
        let slots: Vec<Slot> = parameters
            .into_iter()
            .map(|p| {
                let len = p.tensor.numel() as i64;
                offset += len;
                Slot { name: p.name, shape: p.tensor.size(), tensor: p.tensor, offset: offset - len, len, reached: false }
            })
            .collect();
        let zeros = || Tensor::zeros([offset], (Kind::Float, device));
        Self { name, slots, exp_avg: zeros(), exp_avg_sq: zeros(), step: 0, gradient: None }
    }

    /// The accumulated gradient, zero where nothing arrived.
    fn gradient(&self) -> Tensor {
        self.gradient.as_ref().map_or_else(|| self.exp_avg.zeros_like(), Tensor::shallow_clone)
    }

    fn accumulate(&mut self, gradients: &[Tensor]) {
        let mut flat = Vec::with_capacity(gradients.len());
        for (slot, gradient) in self.slots.iter_mut().zip(gradients) {
            if gradient.defined() {
                slot.reached = true;
                flat.push(gradient.reshape([-1i64]));
            } else {
                flat.push(self.exp_avg.narrow(0, slot.offset, slot.len).zeros_like());
            }
        }
        let flat = Tensor::cat(&flat, 0);
        match &mut self.gradient {
            Some(sum) => drop(sum.g_add_(&flat)),
            None => self.gradient = Some(flat),
        }
    }

    /// AdamW (arXiv 1711.05101, algorithm 2): m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2;
    /// w <- w (1 - lr wd) - lr m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps).
    fn step(&mut self, config: &OptimizerConfig, lr: f64, scale: f64) {
        let _no_grad = tch::no_grad_guard();
        let mut gradient = self.gradient.take().unwrap_or_else(|| self.exp_avg.zeros_like());
        if scale != 1.0 {
            gradient *= scale;
        }
        self.step += 1;
        let t = i32::try_from(self.step).unwrap_or(i32::MAX);
        let (correction1, correction2) = (1.0 - config.beta1.powi(t), 1.0 - config.beta2.powi(t));
        let _ = self.exp_avg.lerp_(&gradient, 1.0 - config.beta1);
        let _ = self.exp_avg_sq.g_mul_scalar_(config.beta2);
        let _ = self.exp_avg_sq.g_add_(&(gradient.square() * (1.0 - config.beta2)));
        let mut denominator = self.exp_avg_sq.sqrt();
        let _ = denominator.g_div_scalar_(correction2.sqrt());
        let _ = denominator.g_add_scalar_(config.eps);
        let delta = (&self.exp_avg / denominator) * (-lr / correction1);
        for slot in self.slots.iter_mut().filter(|s| s.reached) {
            if config.weight_decay > 0.0 {
                let _ = slot.tensor.g_mul_scalar_(1.0 - lr * config.weight_decay);
            }
            let _ = slot.tensor.g_add_(&delta.narrow(0, slot.offset, slot.len).view(slot.shape.as_slice()));
        }
    }

    fn clear(&mut self) {
        self.gradient = None;
        self.slots.iter_mut().for_each(|s| s.reached = false);
    }
}

/// AdamW with its own state, which can be saved and restored exactly.
pub(super) struct AdamW {
    pub config: OptimizerConfig,
    pub groups: Vec<Group>,
}

impl AdamW {
    /// # Errors
    /// If a trainable weight is not f32 or its group is unknown, or if no weight is trainable.
    pub fn new(config: OptimizerConfig, parameters: Vec<Parameter>) -> Result<Self> {
        let mut grouped: Vec<(String, Vec<Parameter>)> = Vec::new();
        for parameter in parameters.into_iter().filter(|p| p.tensor.requires_grad()) {
            if parameter.tensor.f_kind().or_error()? != Kind::Float {
                return Err(Error::unsupported(format!(
                    "the parameter `{}` is {:?}; only f32 weights are trained (freeze the others)",
                    parameter.name,
                    parameter.tensor.kind()
                )));
            }
            config.peak(&parameter.group)?;
            match grouped.iter_mut().find(|g| g.0 == parameter.group) {
                Some(group) => group.1.push(parameter),
                None => grouped.push((parameter.group.clone(), vec![parameter])),
            }
        }
        if grouped.is_empty() {
            return Err(Error::unsupported("the policy has no trainable parameters"));
        }
        grouped.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { config, groups: grouped.into_iter().map(|(name, parameters)| Group::new(name, parameters)).collect() })
    }

    /// Points at the policy's current tensors, keeping the state.
    ///
    /// # Errors
    /// If the trainable weights are no longer those the state belongs to.
    pub fn rebind(&mut self, parameters: Vec<Parameter>) -> Result<()> {
        let trainable: Vec<Parameter> = parameters.into_iter().filter(|p| p.tensor.requires_grad()).collect();
        let known: usize = self.groups.iter().map(|g| g.slots.len()).sum();
        if trainable.len() != known {
            return Err(Error::internal(format!("the policy had {known} trainable parameters and now has {}", trainable.len())));
        }
        for parameter in trainable {
            let slot =
                self.groups.iter_mut().filter(|g| g.name == parameter.group).flat_map(|g| &mut g.slots).find(|s| s.name == parameter.name);
            match slot {
                Some(slot) if slot.shape == parameter.tensor.size() => slot.tensor = parameter.tensor,
                _ => {
                    return Err(Error::internal(format!(
                        "the policy's parameter `{}` is new or changed its shape or group",
                        parameter.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Indices of the groups with these names that the policy has.
    pub fn select(&self, names: &[&str]) -> Vec<usize> {
        (0..self.groups.len()).filter(|&i| names.contains(&self.groups[i].name.as_str())).collect()
    }

    /// Adds the gradient of `loss` with respect to the weights of the selected groups; the policy's own `.grad` is not touched.
    ///
    /// # Errors
    /// If back-propagation fails.
    pub fn accumulate(&mut self, loss: &Tensor, selected: &[usize]) -> Result<()> {
        let inputs: Vec<&Tensor> = selected.iter().flat_map(|&i| self.groups[i].slots.iter().map(|s| &s.tensor)).collect();
        let gradients = Tensor::f_run_backward(&[loss], &inputs, false, false).or_error()?;
        let mut rest = gradients.as_slice();
        for &i in selected {
            let (own, others) = rest.split_at(self.groups[i].slots.len());
            self.groups[i].accumulate(own);
            rest = others;
        }
        Ok(())
    }

    /// L2 norms of the accumulated gradients, f32 scalars still on their device.
    pub fn norms(&self, selected: &[usize]) -> Vec<Tensor> {
        selected.iter().map(|&i| self.groups[i].gradient().norm()).collect()
    }

    /// One step of the selected groups. `norms` are the values of [`AdamW::norms`].
    ///
    /// # Errors
    /// If a group is unknown.
    pub fn step(&mut self, selected: &[usize], norms: &[f64], lr_share: f64) -> Result<()> {
        let total = global_norm(norms);
        for (&i, &norm) in selected.iter().zip(norms) {
            let bounded = match self.config.clip {
                Clip::Global => total,
                Clip::PerGroup => norm,
            };
            let scale = self.config.clip_norm.map_or(1.0, |limit| (limit / (bounded + 1e-6)).min(1.0));
            let lr = self.config.peak(&self.groups[i].name)? * lr_share;
            self.groups[i].step(&self.config, lr, scale);
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.groups.iter_mut().for_each(Group::clear);
    }
}

pub(super) fn global_norm(norms: &[f64]) -> f64 {
    norms.iter().map(|n| n * n).sum::<f64>().sqrt()
}
