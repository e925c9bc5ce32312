//! The learner adaptor: what every algorithm needs once.
//!
//! An update cuts the prepared rows into optimiser batches and those into micro-batches, and for each optimiser step of each phase
//! accumulates gradients, clips them and steps AdamW. On every phase that updates the policy it adds the anchor of RL-Co
//! (arXiv 2602.12628): `L = L_RL(sim) + beta * SFT(real)`, one demonstration mini-batch per micro-batch.
//!
//! The anchor's gradient is accumulated *first* and its norm is taken before the algorithm's gradient is added, so that an anchor that
//! does not reach the weights is noticed. With weight 0 nothing of this runs, and the update equals plain RL bit for bit.
//!
//! There is one device-to-host transfer per optimiser step: all losses, metrics and norms at once.

use super::TorchResult;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use tch::{Kind, Tensor};

use super::algorithm::{Phase, TorchAlgorithm};
use super::optimizer::{AdamW, OptimizerConfig, global_norm};
use super::{Differentiable, bound_threads, checkpoint};
use twinhost_plugin_api::v1::policy::DifferentiableBox;
use twinhost_plugin_api::v1::{
    Algorithm, AlgorithmSpec, Anchor, Batch, Error, ErrorKind, HostServices, LogLevel, Metrics, Paradigm, Result, UpdateRequest,
};

/// The anchor's loss, as the host plots it.
pub const SFT_LOSS_METRIC: &str = "train/sft_loss";

/// Beyond this ratio of the anchor's loss to the algorithm's one of them hardly counts (RLinf's threshold).
const LOSS_RATIO_LIMIT: f64 = 1e5;

/// Makes an [`Algorithm`] of a [`TorchAlgorithm`] and the policy it trains.
pub struct Learner<A> {
    algorithm: A,
    policy: Differentiable,
    optimizer: AdamW,
    services: HostServices,
}

/// Running means over the optimiser steps of one update, in order of first appearance.
#[derive(Default)]
struct Means(Vec<(&'static str, f64, u64)>);

impl Means {
    fn add(&mut self, name: &'static str, value: f64) {
        match self.0.iter_mut().find(|m| m.0 == name) {
            Some(mean) => {
                mean.1 += value;
                mean.2 += 1;
            }
            None => self.0.push((name, value, 1)),
        }
    }
    fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|m| m.0 == name).map(|m| m.1 / m.2 as f64)
    }
}

/// What one optimiser step computed, already on the host.
struct Gathered {
    /// Norm of the anchor's gradient and the anchor's mean loss.
    anchor: Option<(f64, f64)>,
    /// Norm of the whole gradient of each selected group.
    norms: Vec<f64>,
    loss: f64,
    metrics: Vec<(&'static str, f64)>,
}

impl<A: TorchAlgorithm> Learner<A> {
    /// # Errors
    /// If the policy cannot be trained (no trainable weights, weights of another dtype, an unknown group).
    pub fn new(algorithm: A, optimizer: OptimizerConfig, policy: DifferentiableBox, services: HostServices) -> Result<Self> {
        let mut policy = Differentiable::new(policy);
        let optimizer = AdamW::new(optimizer, policy.parameters()?)?;
        Ok(Self { algorithm, policy, optimizer, services })
    }

    fn optimise(&mut self, rows: &Batch, mut anchor: Option<&mut Anchor>, request: &UpdateRequest, means: &mut Means) -> Result<u64> {
        let plan = self.algorithm.batch_plan();
        let phases = self.algorithm.phases(request);
        let lr_share = self.optimizer.config.lr_share(request);
        let mut steps = 0;
        'update: for epoch in 0..plan.epochs {
            for batch in split(&shuffled(rows.rows(), request.seed, epoch), plan.global_batch, f64::round) {
                for phase in &phases {
                    let anchor = anchor.as_deref_mut().filter(|_| phase.updates_policy);
                    let selected = self.optimizer.select(&phase.groups);
                    if selected.is_empty() {
                        return Err(Error::unsupported(format!(
                            "phase `{}` trains the groups {:?}, of which the policy has no parameters",
                            phase.name, phase.groups
                        )));
                    }
                    let gathered = self.gradients(phase, &selected, rows, &split(batch, plan.micro_batch, f64::ceil), anchor)?;
                    self.check(phase, &gathered)?;
                    if self.algorithm.stop_before(&gathered.metrics) {
                        means.add("train/early_stop", 1.0);
                        break 'update;
                    }
                    self.optimizer.step(&selected, &gathered.norms, lr_share)?;
                    steps += 1;
                    record(means, self.algorithm.loss_name(), &gathered);
                }
            }
        }
        Ok(steps)
    }

    /// Accumulates the gradients of one optimiser step: the anchor's, then the algorithm's.
    fn gradients(
        &mut self,
        phase: &Phase,
        selected: &[usize],
        rows: &Batch,
        micros: &[&[usize]],
        anchor: Option<&mut Anchor>,
    ) -> Result<Gathered> {
        self.optimizer.clear();
        let mut scalars: Vec<Tensor> = Vec::new();
        let anchored = anchor.is_some();
        if let Some(anchor) = anchor {
            let losses = self.anchor_gradient(selected, anchor, micros.len())?;
            let norms = self.optimizer.norms(selected);
            scalars.push(Tensor::stack(&norms, 0).norm());
            scalars.push(Tensor::stack(&losses, 0).mean(Kind::Float));
        }

        let micros = micros.iter().map(|rows_of| rows.gather_rows(rows_of)).collect::<Result<Vec<_>>>()?;
        let weights = micros.iter().map(|micro| self.algorithm.weight(micro)).collect::<Result<Vec<_>>>()?;
        // Where nothing counts, the sums below are 0 and so is the loss.
        let total = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mut names: Vec<&'static str> = Vec::new();
        let first = scalars.len();
        for (micro, weight) in micros.iter().zip(&weights) {
            self.obey_cancellation()?;
            let loss = self.algorithm.loss(phase, micro, &mut self.policy)?;
            if !loss.total.requires_grad() {
                return Err(Error::numerical(format!(
                    "the loss of phase `{}` has no gradient: it does not depend on any trainable weight",
                    phase.name
                )));
            }
            self.optimizer.accumulate(&(&loss.total * (weight / total)), selected)?;
            names = loss.metrics.iter().map(|m| m.0).collect();
            scalars.push(loss.total.detach());
            scalars.extend(loss.metrics.into_iter().map(|m| m.1.detach()));
        }
        scalars.extend(self.optimizer.norms(selected));

        let values = to_host(&scalars)?;
        let per_micro = 1 + names.len();
        let weighted = |column: usize| {
            let sum: f64 = weights.iter().enumerate().map(|(i, weight)| weight * values[first + i * per_micro + column]).sum();
            sum / total
        };
        Ok(Gathered {
            anchor: anchored.then(|| (values[0], values[1])),
            norms: values[values.len() - selected.len()..].to_vec(),
            loss: weighted(0),
            metrics: names.iter().enumerate().map(|(i, name)| (*name, weighted(i + 1))).collect(),
        })
    }

    /// Adds `weight / micros * sum SFT(real)`; returns the detached losses.
    fn anchor_gradient(&mut self, selected: &[usize], anchor: &mut Anchor, micros: usize) -> Result<Vec<Tensor>> {
        let mut losses = Vec::with_capacity(micros);
        for _ in 0..micros {
            self.obey_cancellation()?;
            let demonstrations = anchor.source.draw(anchor.batch_size).into_result().map_err(|e| e.context("anchor"))?;
            if demonstrations.rows() == 0 {
                return Err(Error::input("the anchor's source returned no demonstration rows"));
            }
            let loss = self.policy.sft_loss(&demonstrations)?;
            if !loss.requires_grad() {
                return Err(Error::numerical(format!(
                    "the anchor has no gradient: the policy's `sft_loss` is detached from its weights, so anchor.weight = {} would have no effect",
                    anchor.weight
                )));
            }
            self.optimizer.accumulate(&(&loss * (anchor.weight / micros as f64)), selected)?;
            losses.push(loss.detach());
        }
        Ok(losses)
    }

    fn obey_cancellation(&self) -> Result<()> {
        if self.services.cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped within an update; the weights are between two versions"));
        }
        Ok(())
    }

    fn check(&self, phase: &Phase, gathered: &Gathered) -> Result<()> {
        if let Some((norm, loss)) = gathered.anchor {
            if !(norm.is_finite() && loss.is_finite()) {
                return Err(Error::numerical(format!("the anchor diverged: its loss is {loss} and the norm of its gradient {norm}")));
            }
            if norm == 0.0 {
                return Err(Error::numerical(format!(
                    "the anchor has no gradient: its loss is {loss}, but the norm of its gradient is exactly 0, so it does not reach the weights"
                )));
            }
        }
        let norm = global_norm(&gathered.norms);
        if !(norm.is_finite() && gathered.loss.is_finite()) {
            return Err(Error::numerical(format!(
                "phase `{}`: the loss is {} and the norm of its gradient {norm}; lower the learning rate or check the rewards",
                phase.name, gathered.loss
            )));
        }
        Ok(())
    }

    fn checked_anchor<'a>(&self, anchor: Option<&'a mut Anchor>) -> Result<Option<&'a mut Anchor>> {
        let Some(anchor) = anchor else { return Ok(None) };
        if !(anchor.weight >= 0.0 && anchor.weight.is_finite()) {
            return Err(Error::input(format!("anchor.weight must be at least 0 and finite, got {}", anchor.weight)));
        }
        if anchor.weight == 0.0 {
            return Ok(None);
        }
        if anchor.batch_size == 0 {
            return Err(Error::input("anchor.batch_size must be at least 1"));
        }
        if self.algorithm.spec().paradigm == Paradigm::Supervised {
            return Err(Error::input(
                "supervised training takes no anchor: give the real demonstrations their share of the data mix instead",
            ));
        }
        Ok(Some(anchor))
    }
}

impl<A: TorchAlgorithm> Algorithm for Learner<A> {
    fn spec(&self) -> AlgorithmSpec {
        self.algorithm.spec()
    }

    fn update(&mut self, data: &Batch, anchor: Option<&mut Anchor>, request: &UpdateRequest) -> Result<Metrics> {
        bound_threads(&self.services);
        tch::manual_seed(request.seed as i64);
        let anchor = self.checked_anchor(anchor)?;
        self.optimizer.rebind(self.policy.parameters()?)?;
        let rows = self.algorithm.prepare(data, &mut self.policy)?;
        if rows.rows() == 0 {
            return Err(Error::input("there are no rows to learn from"));
        }
        let mut means = Means::default();
        let anchored = anchor.is_some();
        let outcome = self.optimise(&rows, anchor, request, &mut means);
        self.optimizer.clear();
        // Also after an error: some steps may have been taken, and whoever caches weights must hear of them.
        self.policy.weights_changed()?;
        let steps = outcome?;

        if let (true, Some(sft), Some(rl)) = (anchored, means.get(SFT_LOSS_METRIC), means.get(self.algorithm.loss_name())) {
            // The smallest normal f32 keeps the ratio finite when the loss is exactly 0.
            let ratio = sft.abs() / rl.abs().max(f64::from(f32::MIN_POSITIVE));
            means.add("train/loss_ratio", ratio);
            if ratio > LOSS_RATIO_LIMIT {
                let message =
                    format!("the anchor's loss is {ratio:.1e} times {}: one of the two hardly counts", self.algorithm.loss_name());
                self.services.log(LogLevel::Warn, "learner", message);
            }
        }
        let mut metrics: Metrics = means.0.iter().map(|(name, sum, count)| ((*name).to_string(), sum / *count as f64)).collect();
        let lr_share = self.optimizer.config.lr_share(request);
        metrics.push(("train/learning_rate".into(), self.optimizer.config.policy_lr * lr_share));
        metrics.push(("train/optimizer_steps".into(), steps as f64));
        Ok(metrics)
    }

    fn save(&mut self, folder: &Path) -> Result<()> {
        checkpoint::save(&self.optimizer, folder)
    }

    fn load(&mut self, folder: &Path) -> Result<()> {
        self.optimizer.rebind(self.policy.parameters()?)?;
        checkpoint::load(&mut self.optimizer, folder)
    }
}

fn record(means: &mut Means, loss_name: &'static str, gathered: &Gathered) {
    means.add(loss_name, gathered.loss);
    if let Some((norm, loss)) = gathered.anchor {
        means.add(SFT_LOSS_METRIC, loss);
        means.add("train/anchor_grad_norm", norm);
    }
    means.add("train/grad_norm", global_norm(&gathered.norms));
    for &(name, value) in &gathered.metrics {
        means.add(name, value);
    }
}

/// A permutation that depends on the seed and the epoch alone.
fn shuffled(rows: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut rng);
    order
}

/// Cuts `rows` into `round(len / size)` parts (at least one) whose sizes differ by at most one: a small remainder would make a noisy step.
fn split(rows: &[usize], size: usize, round: fn(f64) -> f64) -> Vec<&[usize]> {
    let parts = (round(rows.len() as f64 / size.max(1) as f64) as usize).clamp(1, rows.len().max(1));
    (0..parts).map(|i| &rows[i * rows.len() / parts..(i + 1) * rows.len() / parts]).collect()
}

fn to_host(scalars: &[Tensor]) -> Result<Vec<f64>> {
    let flat: Vec<Tensor> = scalars.iter().map(|s| s.reshape([1i64]).to_kind(Kind::Double)).collect();
    Vec::<f64>::try_from(Tensor::cat(&flat, 0)).or_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_used_once_an_epoch_in_an_order_of_its_own() {
        let (a, b) = (shuffled(10, 7, 0), shuffled(10, 7, 1));
        assert_ne!(a, b);
        assert_eq!(a, shuffled(10, 7, 0));
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_eq!(split(&a, 4, f64::round).concat(), a);
    }

    #[test]
    fn parts_differ_by_at_most_one_row() {
        let rows: Vec<usize> = (0..10).collect();
        let sizes = |size, round: fn(f64) -> f64| split(&rows, size, round).iter().map(|p| p.len()).collect::<Vec<_>>();
        assert_eq!(sizes(4, f64::round), [3, 3, 4]);
        assert_eq!(sizes(8, f64::round), [10]);
        assert_eq!(sizes(8, f64::ceil), [5, 5]);
        assert_eq!(sizes(100, f64::round), [10]);
        assert_eq!(sizes(1, f64::ceil), [1; 10]);
    }
}
