//! Several instances say what one says, and fail as one.

use super::*;

/// Scores with the sum of the state since the last reset, ends an episode above 9, and asks for nothing: what the environment itself said is there
/// in any case.
struct Memory {
    sums: Vec<f32>,
    fault: Option<ErrorKind>,
    resets: std::sync::mpsc::Sender<Vec<usize>>,
}

impl Reward for Memory {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::STATE.into(), names::TASK.into()], decides_success: true }
    }
    fn reset(&mut self, rows: &[usize]) -> Result<()> {
        self.resets.send(rows.to_vec()).unwrap();
        rows.iter().for_each(|&row| self.sums[row] = 0.0);
        self.fault.map_or(Ok(()), |kind| Err(Error::new(kind, "no")))
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        if let Some(kind) = self.fault {
            return Err(Error::new(kind, "no"));
        }
        assert!(transition.find("observation.images.base").is_none(), "nobody asked for it");
        for name in [names::TERMINATED, names::TRUNCATED, names::SUCCESS] {
            assert_eq!(transition.get(name)?.dim(0), self.sums.len(), "{name}");
        }
        let state = transition.slice::<f32>(names::STATE)?;
        assert_eq!(transition.texts(names::TASK)?.len(), state.len());
        self.sums.iter_mut().zip(state).for_each(|(sum, x)| *sum += x);
        let sums = self.sums.clone();
        let mut out = Batch::new();
        if sums.iter().any(|sum| *sum > 9.0) {
            out.insert(names::DONE, Tensor::from_vec(sums.iter().map(|sum| *sum > 9.0).collect(), &[sums.len()]));
        }
        out.insert(names::SUCCESS, Tensor::from_vec(sums.iter().map(|sum| *sum > 4.0).collect(), &[sums.len()]));
        let mean = sums.iter().sum::<f32>() / sums.len() as f32;
        out.insert(format!("{}sum", names::METRICS), Tensor::from_vec(vec![mean], &[1]));
        Ok(out.with(names::REWARD, Tensor::from_vec(sums, &[state.len(), 1])))
    }
}

/// A pool for five environments whose instances have these faults, and what they were told to reset.
fn pool(faults: &[Option<ErrorKind>]) -> (RewardPool, std::sync::mpsc::Receiver<Vec<usize>>) {
    let (resets, told) = std::sync::mpsc::channel();
    let create = |i: usize, envs: usize| -> Result<Box<dyn Reward>> {
        Ok(Box::new(Memory { sums: vec![0.0; envs], fault: faults[i], resets: resets.clone() }))
    };
    (RewardPool::start(5, faults.len(), create).unwrap(), told)
}

fn transition() -> Batch {
    let mut batch = Batch::new()
        .with(names::STATE, Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0], &[5, 1]))
        .with(names::REWARD, Tensor::zeros::<f32>(&[5, 1]))
        .with(names::TERMINATED, Tensor::zeros::<bool>(&[5, 1]))
        .with(names::TRUNCATED, Tensor::zeros::<bool>(&[5, 1]))
        .with(names::SUCCESS, Tensor::zeros::<bool>(&[5]))
        .with("observation.images.base", Tensor::zeros::<u8>(&[5, 2, 2, 3]));
    batch.insert_text(names::TASK, (0..5).map(|i| i.to_string()).collect());
    batch
}

#[test]
fn a_pool_says_what_one_instance_says() {
    for count in [1, 2, 3, 5, 9] {
        let (mut pool, _told) = pool(&vec![None; count]);
        assert!(pool.spec().decides_success);
        let mut sums = [0.0f32; 5];
        for step in 0..5 {
            if step == 2 {
                pool.reset(&[2]).unwrap();
                sums[2] = 0.0;
            }
            sums.iter_mut().zip([1.0, 2.0, 3.0, 4.0, 5.0]).for_each(|(sum, x)| *sum += x);
            let said = pool.score(&transition()).unwrap();
            assert_eq!(said.get(names::REWARD).unwrap().shape(), [5, 1]);
            assert_eq!(said.slice::<f32>(names::REWARD).unwrap(), sums, "{count} instances");
            assert_eq!(said.slice::<bool>(names::SUCCESS).unwrap(), sums.map(|sum| sum > 4.0));
            // Nobody ends an episode before the third step.
            let done = said.find(names::DONE).map(|done| done.as_slice::<bool>().unwrap().to_vec());
            assert_eq!(done, (step >= 2 || sums[4] > 9.0).then(|| sums.map(|sum| sum > 9.0).to_vec()));
            assert_eq!(said.slice::<f32>("metrics.sum").unwrap(), [sums.iter().sum::<f32>() / 5.0]);
        }
        assert_eq!(sums, [5.0, 10.0, 9.0, 20.0, 25.0]);
    }
}

#[test]
fn a_failure_is_the_whole_rewards_and_says_where_but_everybody_is_reset() {
    let (mut pool, told) = pool(&[Some(ErrorKind::Numerical), None]);
    let e = pool.score(&transition()).unwrap_err().to_string();
    assert!(e.contains("environments 0 to 1"), "{e}");
    assert!(pool.reset(&[0, 3, 4]).unwrap_err().to_string().contains("environments 0 to 1"));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [vec![0], vec![1, 2]]);

    // A wish to stop is not hidden by another's failure, wherever it shows.
    let faults = [Some(ErrorKind::Numerical), Some(ErrorKind::Cancelled), Some(ErrorKind::Internal)];
    assert_eq!(self::pool(&faults).0.score(&transition()).unwrap_err().kind, ErrorKind::Cancelled);

    let fewer = transition().gather_rows(&[0, 1]).unwrap();
    let e = self::pool(&[None, None]).0.score(&fewer).unwrap_err().to_string();
    assert!(e.contains("2 environments for instances that share 5"), "{e}");
}
