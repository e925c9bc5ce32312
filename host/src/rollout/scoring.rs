//! The reward of a stage: the environment's own and those of reward components, each by its weight.

use twinhost_plugin_api::{Batch, Error, ErrorKind, Result, Reward, Tensor, names};

use super::chunk_outcomes;
use crate::recipe::OnError;

/// A reward component and its part in the sum.
pub struct WeightedReward {
    /// As the recipe calls it; metrics carry it.
    pub name: String,
    pub weight: f32,
    pub on_error: OnError,
    pub component: Box<dyn Reward>,
}

/// What a component did in the rollouts since its numbers were last taken.
#[derive(Default)]
struct Tally {
    score: f64,
    steps: u64,
    failures: u64,
    /// Sum and count by name.
    metrics: Vec<(String, f64, u64)>,
}

/// A component, its tally, and whether it was left out after a failure.
struct Scorer {
    reward: WeightedReward,
    tally: Tally,
    skipped: bool,
}

/// Adds up rewards. The first failure of each component is told in full, every one is counted.
pub struct Scoring {
    env_weight: f32,
    scorers: Vec<Scorer>,
}

impl Scoring {
    /// `env_weight` is the factor of the environment's own reward.
    pub fn new(env_weight: f32, rewards: Vec<WeightedReward>) -> Self {
        let scorers = rewards.into_iter().map(|reward| Scorer { reward, tally: Tally::default(), skipped: false }).collect();
        Self { env_weight, scorers }
    }

    /// Puts another component in the place of the one at `index`; weight, name and tally stay, and one that was left out is back.
    pub fn replace(&mut self, index: usize, component: Box<dyn Reward>) {
        let scorer = &mut self.scorers[index];
        (scorer.reward.component, scorer.skipped) = (component, false);
    }

    /// New episodes begin in the given rows.
    ///
    /// # Errors
    /// If a component fails whose failure ends the run.
    pub fn reset(&mut self, rows: &[usize]) -> Result<()> {
        for scorer in self.scorers.iter_mut().filter(|s| !s.skipped) {
            if let Err(e) = scorer.reward.component.reset(rows) {
                scorer.failed(e)?;
            }
        }
        Ok(())
    }

    /// Replaces `next.reward` of a step by the sum, and lets components decide on `next.success` and, by ending an episode, on
    /// `next.terminated`. All of them see what the environment itself said. `action` f32 `[B, C, A]` is what was sent.
    ///
    /// # Errors
    /// If a component fails whose failure ends the run.
    pub fn score(&mut self, step: &mut Batch, action: &Tensor) -> Result<()> {
        if self.scorers.is_empty() && self.env_weight == 1.0 {
            return Ok(());
        }
        if step.find(names::ACTION).is_none() {
            step.insert(names::ACTION, action.try_clone()?);
        }
        let own = step.get(names::REWARD)?;
        let (rows, chunk) = (own.dim(0), own.dim(1));
        let mut verdict = Verdict {
            reward: own.as_slice::<f32>()?.iter().map(|r| self.env_weight * r).collect(),
            done: vec![false; rows * chunk],
            success: None,
        };
        let executed = executed(step, chunk)?;
        for scorer in self.scorers.iter_mut().filter(|s| !s.skipped) {
            let scored = scorer.reward.component.score(step);
            if let Err(e) = scored.and_then(|scored| scorer.add(&scored, &executed, &mut verdict)) {
                scorer.failed(e)?;
                // Nobody can say that it succeeded.
                if scorer.reward.component.spec().decides_success {
                    verdict.judge(&vec![false; rows]);
                }
            }
        }
        verdict.apply(step, chunk)
    }

    /// Numbers since the last call, and starts counting anew: `reward/<name>` is the component's mean score per control step before its
    /// weight, `reward/<name>/<metric>` the mean of its own metrics, `reward/<name>/failures` how often it failed.
    pub fn take_metrics(&mut self) -> Vec<(String, f64)> {
        let mut out = Vec::new();
        for scorer in &mut self.scorers {
            let name = &scorer.reward.name;
            let tally = std::mem::take(&mut scorer.tally);
            out.push((format!("reward/{name}"), tally.score / tally.steps.max(1) as f64));
            out.push((format!("reward/{name}/failures"), tally.failures as f64));
            out.extend(tally.metrics.into_iter().map(|(metric, sum, count)| (format!("reward/{name}/{metric}"), sum / count as f64)));
        }
        out
    }
}

impl Scorer {
    /// Adds what the component said, all of it or nothing.
    fn add(&mut self, scored: &Batch, executed: &[bool], verdict: &mut Verdict) -> Result<()> {
        let scores = scored.slice::<f32>(names::REWARD)?;
        if let Some(bad) = scores.iter().find(|r| !r.is_finite()) {
            return Err(Error::numerical(format!("reward `{}`: returned a score of {bad}", self.reward.name)));
        }
        let fits = |name: &str, found: usize, wanted: usize| match found == wanted {
            true => Ok(()),
            false => Err(Error::input(format!("reward `{}`: returned `{name}` with {found} entries for {wanted}", self.reward.name))),
        };
        fits(names::REWARD, scores.len(), verdict.reward.len())?;
        let done = scored.find(names::DONE).map(Tensor::as_slice::<bool>).transpose()?.unwrap_or_default();
        if !done.is_empty() {
            fits(names::DONE, done.len(), verdict.done.len())?;
        }
        let success = match self.reward.component.spec().decides_success {
            true => Some(scored.slice::<bool>(names::SUCCESS)?),
            false => None,
        };
        for ((total, score), executed) in verdict.reward.iter_mut().zip(scores).zip(executed) {
            if *executed {
                *total += self.reward.weight * score;
                self.tally.score += f64::from(*score);
                self.tally.steps += 1;
            }
        }
        for ((ends, done), executed) in verdict.done.iter_mut().zip(done).zip(executed) {
            *ends |= *done && *executed;
        }
        if let Some(success) = success {
            verdict.judge(success);
        }
        for (name, value) in scored.iter().filter_map(|(name, value)| Some((name.strip_prefix(names::METRICS)?, value))) {
            let value = f64::from(value.as_slice::<f32>()?.first().copied().unwrap_or_default());
            match self.tally.metrics.iter_mut().find(|m| m.0 == name) {
                Some(metric) => (metric.1, metric.2) = (metric.1 + value, metric.2 + 1),
                None => self.tally.metrics.push((name.to_owned(), value, 1)),
            }
        }
        Ok(())
    }

    /// Does with a failure as the recipe says.
    fn failed(&mut self, error: Error) -> Result<()> {
        // Cancellation is the user's wish and no fault of the component.
        if self.reward.on_error == OnError::Stop || error.kind == ErrorKind::Cancelled {
            return Err(error);
        }
        self.skipped = self.reward.on_error == OnError::Skip;
        let what = if self.skipped { "it is left out from now on" } else { "this chunk counts 0" };
        if self.tally.failures == 0 {
            tracing::warn!("{error}\n{what} (on_error: {:?})", self.reward.on_error);
        }
        self.tally.failures += 1;
        Ok(())
    }
}

/// What all components together say about a chunk.
struct Verdict {
    reward: Vec<f32>,
    done: Vec<bool>,
    /// True where everyone who judges success sees one.
    success: Option<Vec<bool>>,
}

impl Verdict {
    fn judge(&mut self, success: &[bool]) {
        let agreed = self.success.get_or_insert_with(|| vec![true; success.len()]);
        agreed.iter_mut().zip(success).for_each(|(all, one)| *all &= one);
    }

    fn apply(mut self, step: &mut Batch, chunk: usize) -> Result<()> {
        // Where a component ends an episode in the middle of a chunk, the rest of the chunk is as if it was not executed.
        for row in 0..self.done.len() / chunk.max(1) {
            let steps = row * chunk..(row + 1) * chunk;
            let Some(end) = steps.clone().find(|&i| self.done[i]) else { continue };
            self.reward[end + 1..steps.end].fill(0.0);
            for name in [names::TERMINATED, names::TRUNCATED] {
                step.get_mut(name)?.as_mut_slice::<bool>()?[end..steps.end].fill(false);
            }
            step.get_mut(names::TERMINATED)?.as_mut_slice::<bool>()?[end] = true;
        }
        step.get_mut(names::REWARD)?.as_mut_slice::<f32>()?.copy_from_slice(&self.reward);
        if let Some(success) = self.success {
            step.get_mut(names::SUCCESS)?.as_mut_slice::<bool>()?.copy_from_slice(&success);
        }
        Ok(())
    }
}

/// Which steps of a chunk were executed: all up to the end of the episode.
fn executed(step: &Batch, chunk: usize) -> Result<Vec<bool>> {
    Ok(chunk_outcomes(step)?.iter().flat_map(|outcome| (0..chunk).map(|i| i < outcome.length)).collect())
}

#[cfg(test)]
mod tests;
