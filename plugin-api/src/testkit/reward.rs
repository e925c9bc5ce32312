//! Conformance of rewards.

use super::compare::same;
use super::examination::{Checked, Examination, PASS, fail, refused, survived};
use super::inputs::{poisoned, transition};
use super::{ScoreCard, Settings};
use crate::checks;
use crate::v1::{Batch, HostServices, Result, Reward, RewardSpec};

/// Examines a reward; `create` makes a fresh one.
pub fn reward<R: Reward>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<R>) -> ScoreCard {
    let mut exam = Examination::begin("reward", name, settings);
    let services = exam.services();
    let create = || create(services);
    let spec = match create() {
        Ok(reward) => reward.spec(),
        Err(error) => {
            exam.check("creation", || Err(error.into()));
            return exam.end();
        }
    };
    let trial = Trial { spec: &spec, settings };
    exam.check("scores", || trial.scores(&mut create()?));
    exam.check("missing features are refused", || trial.missing(&mut create()?));
    exam.check("numbers that are none", || trial.not_a_number(&mut create()?));
    exam.check("resets", || trial.resets(&mut create()?));
    exam.check("equal transitions give equal scores", || trial.repeats(&mut create()?, &mut create()?));
    let (mut reward, mut input) = (None, None);
    exam.memory(|step| {
        if reward.is_none() {
            reward = Some(create()?);
            input = Some(trial.transition(4, 2, 0)?);
        }
        let (Some(reward), Some(input)) = (&mut reward, &input) else { return Ok(()) };
        if step % 50 == 0 {
            reward.reset(&[0, 1, 2, 3])?;
        }
        reward.score(input)?;
        Ok(())
    });
    exam.end()
}

struct Trial<'a> {
    spec: &'a RewardSpec,
    settings: &'a Settings,
}

impl Trial<'_> {
    fn transition(&self, rows: usize, chunk: usize, step: u64) -> Checked<Batch> {
        transition(self.settings, &self.spec.needs, rows, chunk, self.settings.seed + 100 * step)
    }

    fn scores(&self, reward: &mut impl Reward) -> Checked {
        for (rows, chunk) in [(1, 1), (4, 3), (16, 8)] {
            reward.reset(&(0..rows).collect::<Vec<_>>())?;
            for step in 0..3 {
                let transition = self.transition(rows, chunk, step)?;
                checks::score(self.spec, &transition, &reward.score(&transition)?)?;
            }
        }
        Ok(PASS)
    }

    fn missing(&self, reward: &mut impl Reward) -> Checked {
        refused("an empty transition", reward.score(&Batch::new()))?;
        for name in &self.spec.needs {
            let mut transition = self.transition(2, 1, 0)?;
            if transition.remove(name).is_some() {
                refused(&format!("a transition without `{name}`"), reward.score(&transition))?;
            }
        }
        Ok(PASS)
    }

    /// An error, or a score that is a number all the same.
    fn not_a_number(&self, reward: &mut impl Reward) -> Checked {
        let transition = self.transition(2, 1, 0)?;
        if let Some(poisoned) = poisoned(&transition)? {
            match reward.score(&poisoned) {
                Ok(score) => checks::score(self.spec, &poisoned, &score)?,
                Err(e) => survived("a transition with NaN", Err::<(), _>(e))?,
            }
        }
        Ok(PASS)
    }

    fn resets(&self, reward: &mut impl Reward) -> Checked {
        survived("a reset of a row that was never seen", reward.reset(&[1_000]))?;
        reward.reset(&[])?;
        // The number of rows may change between episodes.
        for rows in [4, 2, 8] {
            reward.reset(&(0..rows).collect::<Vec<_>>())?;
            reward.score(&self.transition(rows, 2, 0)?)?;
        }
        Ok(PASS)
    }

    fn repeats(&self, reward: &mut impl Reward, twin: &mut impl Reward) -> Checked {
        let play = |reward: &mut dyn Reward| -> Checked<Vec<Batch>> {
            reward.reset(&[0, 1, 2, 3])?;
            (0..10).map(|step| Ok(reward.score(&self.transition(4, 2, step)?)?)).collect()
        };
        let once = play(reward)?;
        if once.is_empty() {
            return fail("nothing was scored");
        }
        for (who, again) in [("a second instance", play(twin)?), ("the same instance after a reset", play(reward)?)] {
            for (step, (a, b)) in once.iter().zip(&again).enumerate() {
                same(&format!("{who}, transition {step}"), a, b)?;
            }
        }
        Ok(PASS)
    }
}
