//! Action monitors, and the rule they are held to: a monitor may make a motion smaller or forbid it, and nothing else.
//!
//! The rule is enforced here, outside of whatever runs the monitor, so a faulty or hostile one can stop a robot but never move it.

use twinhost_plugin_api::{ActionSpec, Batch, EnvSpec, Error, Result, Tensor};

/// What a monitor says about one chunk of actions.
#[derive(Debug, Default)]
pub struct Proposal {
    /// To send instead, f32 `[B, C, A]`; `None` if the action is fine as it is.
    pub action: Option<Tensor>,
    pub vetoes: Vec<Veto>,
}

/// A row that must not move now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    pub row: usize,
    pub reason: String,
}

/// An action monitor, wherever it runs.
pub trait Filter: Send {
    /// Features of the observation that `review` reads.
    fn needs(&self) -> &[String];

    /// New episodes begin in the given rows.
    ///
    /// # Errors
    /// If the monitor fails.
    fn reset(&mut self, rows: &[usize]) -> Result<()>;

    /// Judges a chunk, `action` f32 `[B, C, A]` in the environment's units.
    ///
    /// # Errors
    /// If the monitor fails.
    fn review(&mut self, observation: &Batch, action: &Tensor) -> Result<Proposal>;
}

/// A chunk after review.
#[derive(Debug)]
pub struct Reviewed {
    /// What may be sent, f32 `[B, C, A]`.
    pub action: Tensor,
    /// Rows in which something was made smaller.
    pub reduced: usize,
    pub vetoes: Vec<Veto>,
}

/// A monitor under the rule.
pub struct FilterHandle {
    name: String,
    inner: Box<dyn Filter>,
    discrete: Vec<bool>,
    /// Last values sent of the discrete entries of every row, which a veto keeps.
    last: Vec<Option<Vec<f32>>>,
}

impl FilterHandle {
    /// # Errors
    /// If an action of 0 is not within the environment's bounds: then 0 does not mean "no motion", and smaller is not safer.
    pub fn new(name: &str, inner: Box<dyn Filter>, env: &EnvSpec) -> Result<Self> {
        let ActionSpec { names, low, high, discrete } = &env.action;
        let is_discrete = |at: usize| discrete.get(at).copied().unwrap_or(false);
        for (at, entry) in names.iter().enumerate().filter(|(at, _)| !is_discrete(*at)) {
            let (low, high) = (low.get(at).copied().unwrap_or(f32::NAN), high.get(at).copied().unwrap_or(f32::NAN));
            if !(low <= 0.0 && 0.0 <= high) {
                return Err(Error::input(format!(
                    "cannot watch this environment: the action `{entry}` lies in [{low}, {high}], so 0 is not \"no motion\" and a smaller one not safer"
                )));
            }
        }
        let discrete = (0..names.len()).map(is_discrete).collect();
        Ok(Self { name: format!("filter `{name}`"), inner, discrete, last: vec![None; env.num_envs] })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn needs(&self) -> &[String] {
        self.inner.needs()
    }

    /// # Errors
    /// If the monitor fails.
    pub fn reset(&mut self, rows: &[usize]) -> Result<()> {
        for &row in rows {
            if let Some(last) = self.last.get_mut(row) {
                *last = None;
            }
        }
        self.inner.reset(rows).map_err(|e| e.context(format!("{}, reset", self.name)))
    }

    /// Reviews a chunk, f32 `[B, C, A]`.
    ///
    /// # Errors
    /// If the monitor fails or breaks the rule; then nothing may be sent.
    pub fn review(&mut self, observation: &Batch, proposed: &Tensor) -> Result<Reviewed> {
        let proposal = self.inner.review(observation, proposed).and_then(|p| self.judged(proposed, p));
        proposal.map_err(|e| e.context(format!("{}, review", self.name)))
    }

    fn judged(&mut self, proposed: &Tensor, proposal: Proposal) -> Result<Reviewed> {
        let [rows, steps, dim] = proposed.shape()[..] else {
            return Err(Error::input(format!("an action must be [B, C, A], got {:?}", proposed.shape())));
        };
        if steps == 0 || dim != self.discrete.len() {
            return Err(Error::input(format!(
                "an action must be [B, C, {}] with C > 0, got [{rows}, {steps}, {dim}]",
                self.discrete.len()
            )));
        }
        let before = proposed.as_slice::<f32>()?;
        let mut action = proposal.action.map_or_else(|| proposed.try_clone(), Ok)?;
        let sent = action.as_mut_slice::<f32>()?;
        if sent.len() != before.len() {
            return Err(Error::internal(format!("made {} values out of {}", sent.len(), before.len())));
        }
        for (at, (&before, &after)) in before.iter().zip(sent.iter()).enumerate() {
            if !allowed(before, after, self.discrete[at % dim]) {
                let place = [at / (steps * dim), at / dim % steps, at % dim];
                return Err(Error::internal(format!(
                    "made action {place:?} {after} out of {before}: a filter may only make a motion smaller, and leaves a discrete entry as it is"
                )));
            }
        }
        let changed = |row: &usize| before[row * steps * dim..][..steps * dim] != sent[row * steps * dim..][..steps * dim];
        let reduced = (0..rows).filter(changed).count();
        self.last.resize(rows, None);
        for veto in &proposal.vetoes {
            let row = sent.chunks_exact_mut(steps * dim).nth(veto.row);
            let row = row.ok_or_else(|| Error::internal(format!("vetoed row {}, and there are {rows}", veto.row)))?;
            for (at, value) in row.iter_mut().enumerate() {
                *value = match (self.discrete[at % dim], &self.last[veto.row]) {
                    (false, _) => 0.0,
                    (true, Some(last)) => last[at % dim],
                    // Nothing was sent in this episode yet, so the proposed value is the only one known to be meant.
                    (true, None) => *value,
                };
            }
        }
        for (last, row) in self.last.iter_mut().zip(sent.chunks_exact(steps * dim)) {
            *last = row.len().checked_sub(dim).map(|start| row[start..].to_vec());
        }
        Ok(Reviewed { action, reduced, vetoes: proposal.vetoes })
    }
}

/// Between 0 and what was proposed, both included; written so that NaN is not.
fn allowed(before: f32, after: f32, discrete: bool) -> bool {
    if discrete { after == before } else { (0.0..=before).contains(&after) || (before..=0.0).contains(&after) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with what it is given.
    struct Scripted(Option<Vec<f32>>, Vec<usize>);

    impl Filter for Scripted {
        fn needs(&self) -> &[String] {
            &[]
        }
        fn reset(&mut self, _: &[usize]) -> Result<()> {
            Ok(())
        }
        fn review(&mut self, _: &Batch, action: &Tensor) -> Result<Proposal> {
            let vetoes = self.1.iter().map(|&row| Veto { row, reason: "test".into() }).collect();
            Ok(Proposal { action: self.0.clone().map(|values| Tensor::from_vec(values, &action.shape())), vetoes })
        }
    }

    fn env(low: f32, discrete: bool) -> EnvSpec {
        let action = ActionSpec {
            names: vec!["x".into(), "gripper".into()],
            low: vec![low, -1.0],
            high: vec![1.0, 1.0],
            discrete: vec![false, discrete],
        };
        let json = serde_json::json!({
            "kind": "Simulated", "num_envs": 2, "observation": [], "action": action, "control_hz": 10.0, "max_episode_steps": 5, "variants": ["train"],
        });
        serde_json::from_value(json).unwrap()
    }

    /// Two rows, one step, a motion and a gripper.
    fn review(handle: &mut FilterHandle, action: [f32; 4]) -> Result<Vec<f32>> {
        let reviewed = handle.review(&Batch::new(), &Tensor::from_vec(action.to_vec(), &[2, 1, 2]))?;
        Ok(reviewed.action.as_slice::<f32>()?.to_vec())
    }

    fn handle(answer: Option<[f32; 4]>, vetoes: &[usize]) -> FilterHandle {
        let scripted = Scripted(answer.map(|a| a.to_vec()), vetoes.to_vec());
        FilterHandle::new("test", Box::new(scripted), &env(-1.0, true)).unwrap()
    }

    #[test]
    fn motions_may_only_shrink() {
        let proposed = [0.5, 1.0, -0.5, 1.0];
        let check = |answer: [f32; 4], fine: bool| {
            let result = review(&mut handle(Some(answer), &[]), proposed);
            match fine {
                true => assert_eq!(result.unwrap(), answer),
                false => {
                    let e = result.unwrap_err().to_string();
                    assert!(e.starts_with("filter `test`, review: made action"), "{e}");
                }
            }
        };
        check(proposed, true);
        check([0.0, 1.0, 0.0, 1.0], true);
        check([0.25, 1.0, -0.5, 1.0], true);
        check([0.500_001, 1.0, -0.5, 1.0], false);
        check([-0.1, 1.0, -0.5, 1.0], false);
        check([0.5, 1.0, 0.1, 1.0], false);
        check([f32::NAN, 1.0, -0.5, 1.0], false);
        check([f32::INFINITY, 1.0, -0.5, 1.0], false);
        // The gripper is discrete: closing it half is another motion, not a smaller one.
        check([0.5, 0.5, -0.5, 1.0], false);
    }

    #[test]
    fn a_veto_stops_the_motion_and_keeps_the_gripper() {
        let mut handle = handle(None, &[1]);
        assert_eq!(review(&mut handle, [0.5, 1.0, -0.5, 1.0]).unwrap(), [0.5, 1.0, 0.0, 1.0]);
        // Row 1 holds what it held, row 0 does as proposed.
        assert_eq!(review(&mut handle, [0.5, -1.0, -0.5, -1.0]).unwrap(), [0.5, -1.0, 0.0, 1.0]);
        handle.reset(&[1]).unwrap();
        assert_eq!(review(&mut handle, [0.5, -1.0, -0.5, -1.0]).unwrap(), [0.5, -1.0, 0.0, -1.0]);
    }

    #[test]
    fn a_veto_of_nobody_and_an_environment_without_rest_are_refused() {
        assert!(review(&mut handle(None, &[2]), [0.0; 4]).unwrap_err().to_string().contains("vetoed row 2, and there are 2"));
        let e = FilterHandle::new("test", Box::new(Scripted(None, vec![])), &env(0.2, true)).err().unwrap().to_string();
        assert!(e.contains("`x` lies in [0.2, 1]"), "{e}");
    }
}
