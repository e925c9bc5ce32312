//! Several instances of a reward that score at the same time, each its own share of the environments.

use std::ops::Range;
use twinhost_plugin_api::{Batch, Error, ErrorKind, Result, Reward, RewardSpec, Tensor, names};

/// Instances of one reward. An environment belongs to the same instance from beginning to end, so whatever the reward keeps for it stays with it.
pub struct RewardPool {
    spec: RewardSpec,
    members: Vec<Member>,
}

struct Member {
    rows: Range<usize>,
    reward: Box<dyn Reward>,
}

/// What every reward is given, whether it asks for it or not.
const ALWAYS: [&str; 5] = [names::REWARD, names::TERMINATED, names::TRUNCATED, names::SUCCESS, names::ACTION];

impl RewardPool {
    /// Shares out `envs` environments among `instances`, as evenly as can be, but no more than there are environments. `create` makes an instance
    /// from its number and the number of its environments.
    ///
    /// # Errors
    /// If an instance cannot be made.
    pub fn start<E>(envs: usize, instances: usize, mut create: impl FnMut(usize, usize) -> Result<Box<dyn Reward>, E>) -> Result<Self, E> {
        let count = instances.min(envs).max(1);
        let member = |i: usize| {
            let rows = envs * i / count..envs * (i + 1) / count;
            create(i, rows.len()).map(|reward| Member { rows, reward })
        };
        let members: Vec<Member> = (0..count).map(member).collect::<Result<_, E>>()?;
        Ok(Self { spec: members[0].reward.spec(), members })
    }

    fn envs(&self) -> usize {
        self.members.last().map_or(0, |last| last.rows.end)
    }
}

impl Member {
    /// Scores its own rows.
    fn score(&mut self, transition: &Batch, wanted: &[&str]) -> Result<Batch> {
        let rows: Vec<usize> = self.rows.clone().collect();
        let mut part = Batch::new();
        for &name in wanted {
            if let Some(tensor) = transition.find(name) {
                part.insert(name, tensor.gather_rows(&rows).map_err(|e| e.context(format!("feature `{name}`")))?);
            } else if let Ok(texts) = transition.texts(name) {
                let own = texts.get(self.rows.clone());
                let own =
                    own.ok_or_else(|| Error::input(format!("feature `{name}` has {} rows and not {}", texts.len(), self.rows.end)))?;
                part.insert_text(name, own.iter().map(ToString::to_string).collect());
            }
        }
        self.reward.score(&part).map_err(|e| self.placed(e))
    }

    /// The member counts its rows from 0.
    fn placed(&self, error: Error) -> Error {
        error.context(format!("environments {} to {}", self.rows.start, self.rows.end.saturating_sub(1)))
    }
}

/// All of them, or the error that counts: a wish to stop comes before the others.
fn all<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let (mut found, mut failed) = (Vec::with_capacity(results.len()), None);
    for result in results {
        match result {
            Ok(value) => found.push(value),
            Err(e) if failed.is_none() || e.kind == ErrorKind::Cancelled => failed = Some(e),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(found), Err)
}

impl Reward for RewardPool {
    fn spec(&self) -> RewardSpec {
        self.spec.clone()
    }

    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        let reset = |member: &mut Member| {
            // Also with no row of its own: one whose process has ended starts again here.
            let own: Vec<usize> = rows.iter().filter(|row| member.rows.contains(row)).map(|row| row - member.rows.start).collect();
            member.reward.reset(&own).map_err(|e| member.placed(e))
        };
        // A failure of one leaves no other with the memory of an episode that is over.
        all(self.members.iter_mut().map(reset).collect()).map(drop)
    }

    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let found = transition.get(names::REWARD)?.dim(0);
        if found != self.envs() {
            return Err(Error::input(format!("{found} environments for instances that share {}", self.envs())));
        }
        let wanted: Vec<&str> = self.spec.needs.iter().map(String::as_str).chain(ALWAYS).collect();
        let Some((first, others)) = self.members.split_first_mut() else { return Err(Error::internal("a pool without instances")) };
        let scored: Vec<Result<Batch>> = std::thread::scope(|scope| {
            let wanted = &wanted;
            let others: Vec<_> = others.iter_mut().map(|member| scope.spawn(move || member.score(transition, wanted))).collect();
            let first = first.score(transition, wanted);
            let joined = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            std::iter::once(first).chain(joined).collect()
        });
        self.joined(all(scored)?)
    }
}

/// Where the part ends episodes: nowhere if it says nothing.
fn done(part: &mut Batch) -> Result<Tensor> {
    let shape = part.get(names::REWARD)?.shape();
    match part.remove(names::DONE).filter(|done| !done.is_empty()) {
        Some(done) => done.reshape(&shape).map_err(|e| e.context(format!("`{}`", names::DONE))),
        None => Ok(Tensor::zeros::<bool>(&shape)),
    }
}

impl RewardPool {
    /// One answer from those of all members.
    fn joined(&self, mut parts: Vec<Batch>) -> Result<Batch> {
        let metrics = self.metrics(&parts)?;
        let ends = parts.iter().any(|part| part.find(names::DONE).is_some());
        let mut columns = Vec::with_capacity(parts.len());
        for part in &mut parts {
            let mut own = Batch::new();
            if ends {
                own.insert(names::DONE, done(part)?);
            }
            let judged = self.spec.decides_success.then_some(names::SUCCESS);
            for name in std::iter::once(names::REWARD).chain(judged) {
                own.insert(name, part.remove(name).ok_or_else(|| Error::input(format!("an instance returned no `{name}`")))?);
            }
            columns.push(own);
        }
        let mut out = Batch::concat_rows(&columns.iter().collect::<Vec<_>>()).map_err(|e| e.context("the instances' answers"))?;
        for (name, mean) in metrics {
            out.insert(name, Tensor::from_vec(vec![mean], &[1]));
        }
        Ok(out)
    }

    /// Means over the instances that have the metric, each with the weight of its environments.
    fn metrics(&self, parts: &[Batch]) -> Result<Vec<(String, f32)>> {
        let mut sums: Vec<(String, f64, usize)> = Vec::new();
        for (member, part) in self.members.iter().zip(parts) {
            for (name, value) in part.iter().filter(|(name, _)| name.starts_with(names::METRICS)) {
                let value = f64::from(value.as_slice::<f32>()?.first().copied().unwrap_or_default());
                let weight = member.rows.len();
                match sums.iter_mut().find(|sum| sum.0 == name) {
                    Some(sum) => (sum.1, sum.2) = (sum.1 + weight as f64 * value, sum.2 + weight),
                    None => sums.push((name.to_owned(), weight as f64 * value, weight)),
                }
            }
        }
        Ok(sums.into_iter().map(|(name, sum, weight)| (name, (sum / weight as f64) as f32)).collect())
    }
}

#[cfg(test)]
mod tests;
