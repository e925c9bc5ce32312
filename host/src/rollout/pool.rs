//! Several instances of a reward that score at the same time, each its own share of the environments.

use std::ops::Range;
use twinhost_plugin_api::{Batch, Error, Result, Reward, RewardSpec, Tensor, names};

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
const ALWAYS: [&str; 3] = [names::REWARD, names::TERMINATED, names::ACTION];

impl RewardPool {
    /// Shares out `envs` environments, as evenly as can be; instances beyond their number are dropped.
    ///
    /// # Errors
    /// If there is no instance or no environment.
    pub fn new(mut instances: Vec<Box<dyn Reward>>, envs: usize) -> Result<Self> {
        instances.truncate(envs);
        let count = instances.len();
        let spec = instances.first().ok_or_else(|| Error::input("a pool needs an instance and an environment"))?.spec();
        let share = |(i, reward)| Member { rows: envs * i / count..envs * (i + 1) / count, reward };
        Ok(Self { spec, members: instances.into_iter().enumerate().map(share).collect() })
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
                part.insert_text(name, texts[self.rows.clone()].iter().map(ToString::to_string).collect());
            }
        }
        self.reward.score(&part)
    }
}

impl Reward for RewardPool {
    fn spec(&self) -> RewardSpec {
        self.spec.clone()
    }

    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        for member in &mut self.members {
            let own: Vec<usize> = rows.iter().filter(|row| member.rows.contains(row)).map(|row| row - member.rows.start).collect();
            if !own.is_empty() {
                member.reward.reset(&own)?;
            }
        }
        Ok(())
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
        let parts: Vec<Batch> = scored.into_iter().collect::<Result<_>>()?;
        self.joined(&parts)
    }
}

impl RewardPool {
    /// One answer from those of all members, in the environments' order.
    fn joined(&self, parts: &[Batch]) -> Result<Batch> {
        let mut out = Batch::new();
        for name in [names::REWARD, names::DONE, names::SUCCESS] {
            if parts.iter().all(|part| part.find(name).is_none()) {
                continue;
            }
            // Who says nothing about the end of an episode ends none.
            let silent = |part: &Batch| match name {
                names::DONE => Ok(Tensor::zeros::<bool>(&part.get(names::REWARD)?.shape())),
                _ => Err(Error::input(format!("some instances return `{name}` and others do not"))),
            };
            let tensor = |part: &Batch| part.find(name).map_or_else(|| silent(part), Tensor::try_clone);
            let tensors: Vec<Tensor> = parts.iter().map(tensor).collect::<Result<_>>()?;
            out.insert(name, Tensor::concat_rows(&tensors.iter().collect::<Vec<_>>())?);
        }
        for (name, mean) in self.metrics(parts)? {
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
mod tests {
    use super::*;

    /// Scores with the sum of the state since the last reset, and ends an episode above 9.
    struct Memory {
        sums: Vec<f32>,
        fails: bool,
    }

    fn memory(fails: bool) -> Box<dyn Reward> {
        Box::new(Memory { sums: vec![0.0; 9], fails })
    }

    impl Reward for Memory {
        fn spec(&self) -> RewardSpec {
            RewardSpec { needs: vec![names::STATE.into(), names::TASK.into()], decides_success: true }
        }
        fn reset(&mut self, rows: &[usize]) -> Result<()> {
            rows.iter().for_each(|&row| self.sums[row] = 0.0);
            Ok(())
        }
        fn score(&mut self, transition: &Batch) -> Result<Batch> {
            assert!(transition.find("observation.images.base").is_none(), "nobody asked for it");
            let state = transition.slice::<f32>(names::STATE)?;
            assert_eq!(transition.texts(names::TASK)?.len(), state.len());
            if self.fails {
                return Err(Error::numerical("a position is not finite"));
            }
            self.sums.iter_mut().zip(state).for_each(|(sum, x)| *sum += x);
            let sums = self.sums[..state.len()].to_vec();
            let mut out = Batch::new();
            if sums.iter().any(|sum| *sum > 9.0) {
                out.insert(names::DONE, Tensor::from_vec(sums.iter().map(|sum| *sum > 9.0).collect(), &[sums.len(), 1]));
            }
            out.insert(names::SUCCESS, Tensor::from_vec(sums.iter().map(|sum| *sum > 4.0).collect(), &[sums.len()]));
            let mean = sums.iter().sum::<f32>() / sums.len() as f32;
            out.insert(format!("{}sum", names::METRICS), Tensor::from_vec(vec![mean], &[1]));
            Ok(out.with(names::REWARD, Tensor::from_vec(sums, &[state.len(), 1])))
        }
    }

    fn transition() -> Batch {
        let mut batch = Batch::new()
            .with(names::STATE, Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0], &[5, 1]))
            .with(names::REWARD, Tensor::zeros::<f32>(&[5, 1]));
        batch.insert_text(names::TASK, (0..5).map(|i| i.to_string()).collect());
        batch
    }

    fn seen() -> Batch {
        transition().with("observation.images.base", Tensor::zeros::<u8>(&[5, 2, 2, 3]))
    }

    #[test]
    fn a_pool_says_what_one_instance_says() {
        for count in [1, 2, 3, 5, 9] {
            let mut one = memory(false);
            let mut pool = RewardPool::new((0..count).map(|_| memory(false)).collect(), 5).unwrap();
            assert!(pool.spec().decides_success);
            for step in 0..4 {
                if step == 2 {
                    one.reset(&[2]).unwrap();
                    pool.reset(&[2]).unwrap();
                }
                let (alone, together) = (one.score(&transition()).unwrap(), pool.score(&seen()).unwrap());
                for name in [names::REWARD, "metrics.sum"] {
                    assert_eq!(alone.get(name).unwrap().shape(), together.get(name).unwrap().shape());
                    assert_eq!(alone.slice::<f32>(name).unwrap(), together.slice::<f32>(name).unwrap(), "{name}, {count} instances");
                }
                for name in [names::DONE, names::SUCCESS] {
                    let values = |batch: &Batch| batch.find(name).map(|t| t.as_slice::<bool>().unwrap().to_vec());
                    assert_eq!(values(&alone), values(&together), "{name}, {count} instances");
                }
            }
            // The fifth step; the third environment began anew before its third.
            assert_eq!(pool.score(&transition()).unwrap().slice::<f32>(names::REWARD).unwrap(), [5.0, 10.0, 9.0, 20.0, 25.0]);
        }
    }

    #[test]
    fn one_failing_instance_is_the_rewards_failure() {
        let mut pool = RewardPool::new(vec![memory(false), memory(true)], 5).unwrap();
        assert!(pool.score(&transition()).unwrap_err().to_string().contains("a position is not finite"));
        let e = RewardPool::new(vec![memory(false)], 7).unwrap().score(&transition()).unwrap_err().to_string();
        assert!(e.contains("5 environments for instances that share 7"), "{e}");
    }
}
