//! Playing an author's recorded cases ([`super::cases`]) on a component, whatever it is written in.

use twinhost_plugin_api::testkit::{Check, Outcome, ScoreCard};
use twinhost_plugin_api::{ActMode, ActRequest, ActionSpec, Batch, Env as _, Policy as _, ResetRequest, Reward as _, Tensor, names};

use super::cases::{self, Call, Case};
use super::error::Error;
use super::project::Project;
use crate::loader::{ComponentEntry, Kind, Loader, Terms, host_services, plain_env};

/// Plays the recorded cases of a project on the component that `card` is about, and adds a line for each.
///
/// # Errors
/// If a case cannot be read.
pub fn play_cases(project: &Project, loader: &Loader, component: &ComponentEntry, card: &mut ScoreCard) -> Result<(), Error> {
    let subject = Subject { loader, kind: component.kind, reference: format!("{}:{}", project.manifest.name, component.name) };
    let cases = cases::read(&project.folder)?;
    if cases.is_empty() {
        card.checks.push(Check { name: "recorded cases", outcome: Outcome::Skipped("there is no cases/*.json".into()) });
    }
    for case in cases {
        let outcome = match subject.play(&case) {
            Ok(calls) => Outcome::Passed(format!("{}, {calls} calls", case.name)),
            Err(sentence) => Outcome::Failed(format!("{}: {sentence}", case.name)),
        };
        card.checks.push(Check { name: "recorded case", outcome });
    }
    Ok(())
}

/// Makes one recorded call on a component.
type Player<'a> = Box<dyn FnMut(&Call) -> Result<Batch, String> + 'a>;

struct Subject<'a> {
    loader: &'a Loader,
    kind: Kind,
    reference: String,
}

impl Subject<'_> {
    fn with_env(&self, action: ActionSpec, rows: usize) -> Terms {
        self.loader.terms_in(&plain_env(rows, Vec::new(), action))
    }

    /// Plays a case on a fresh instance; returns the number of calls.
    fn play(&self, case: &Case) -> Result<usize, String> {
        let services = host_services(1, 0);
        let (config, reference) = (case.config.as_str(), self.reference.as_str());
        let told = |e: twinhost_plugin_api::Error| e.to_string();
        let mut call: Player<'_> = match self.kind {
            Kind::Reward => {
                let mut reward = self.loader.reward(reference, config, services, &self.loader.terms()).map_err(told)?;
                Box::new(move |call| match (&call.reset, &call.score) {
                    (Some(reset), None) => reward.reset(&reset.rows).map(|()| Batch::new()).map_err(told),
                    (None, Some(features)) => reward.score(&transition(cases::batch(features)?, call.steps.unwrap_or(1))).map_err(told),
                    _ => Err("a call of a reward is `reset` or `score`".into()),
                })
            }
            Kind::Policy => {
                let rows = case.calls.iter().find_map(|call| call.act.as_ref()).map(|features| cases::batch(features).map(|b| b.rows()));
                let terms = match (case.action.clone(), rows.transpose()?) {
                    (Some(action), Some(rows)) => self.with_env(action, rows),
                    _ => self.loader.terms(),
                };
                let mut policy = self.loader.policy(reference, config, services, &terms).map_err(told)?;
                Box::new(move |call| match (&call.reset, &call.act) {
                    (Some(reset), None) => policy.reset(&reset.rows, &reset.seeds).map(|()| Batch::new()).map_err(told),
                    (None, Some(features)) => {
                        let request = ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: call.seed, training: false };
                        policy.act(&cases::batch(features)?, &request).map_err(told)
                    }
                    _ => Err("a call of a policy is `reset` or `act`".into()),
                })
            }
            Kind::Env => {
                let mut env = self.loader.env(reference, config, services).map_err(told)?;
                Box::new(move |call| match (&call.reset, &call.step) {
                    (Some(reset), None) => {
                        let mut request = ResetRequest::new(reset.seeds.clone()).variant(&reset.variant);
                        request.auto_reset = reset.auto_reset;
                        env.reset(&request).map_err(told)
                    }
                    (None, Some(actions)) => env.step(&cases::tensor(actions)?).map_err(told),
                    _ => Err("a call of an env is `reset` or `step`".into()),
                })
            }
            Kind::Filter => {
                let action_of = |call: &Call| cases::tensor(call.action.as_ref().ok_or("a `review` needs the proposed `action`")?);
                let first = case.calls.iter().find(|call| call.review.is_some()).ok_or("has no `review`")?;
                let shape = action_of(first)?.shape();
                let &[rows, _, dim] = shape.as_slice() else { return Err(format!("`action` must be [B, C, A], got {shape:?}")) };
                let terms = self.with_env(case.action.clone().unwrap_or_else(|| motions(dim)), rows);
                let mut filter = self.loader.filter(reference, config, services, &terms).map_err(told)?;
                Box::new(move |call| match (&call.reset, &call.review) {
                    (Some(reset), None) => filter.reset(&reset.rows).map(|()| Batch::new()).map_err(told),
                    (None, Some(features)) => {
                        let reviewed = filter.review(&cases::batch(features)?, &action_of(call)?).map_err(told)?;
                        let mut vetoed = vec![false; rows];
                        reviewed.vetoes.iter().for_each(|veto| vetoed[veto.row] = true);
                        Ok(Batch::new().with(names::ACTION, reviewed.action).with("vetoed", Tensor::from_vec(vetoed, &[rows])))
                    }
                    _ => Err("a call of a filter is `reset` or `review`".into()),
                })
            }
            other => return Err(format!("a {other} has no recorded cases: test it in its own crate")),
        };
        for (at, one) in case.calls.iter().enumerate() {
            let place = |sentence: String| format!("calls[{at}]: {sentence}");
            match (call(one), &one.error) {
                (Ok(got), None) => {
                    if let Some(sentence) = cases::difference(&one.expect, &got, case.tolerance) {
                        return Err(place(sentence));
                    }
                }
                (Err(e), Some(expected)) if e.contains(expected.as_str()) => {}
                (Err(e), Some(expected)) => return Err(place(format!("fails with \"{e}\", expected \"{expected}\""))),
                (Err(e), None) => return Err(place(e)),
                (Ok(_), Some(expected)) => return Err(place(format!("succeeds, expected the error \"{expected}\""))),
            }
        }
        Ok(case.calls.len())
    }
}

/// Actions whose entries are motions in [-1, 1].
fn motions(dim: usize) -> ActionSpec {
    ActionSpec { names: (0..dim).map(|i| format!("a{i}")).collect(), low: vec![-1.0; dim], high: vec![1.0; dim], discrete: Vec::new() }
}

/// What a recording may leave out: nothing ended, nothing was earned.
fn transition(mut recorded: Batch, steps: usize) -> Batch {
    let rows = recorded.rows();
    let mut default = |name: &str, tensor: Tensor| {
        if recorded.find(name).is_none() {
            recorded.insert(name, tensor);
        }
    };
    default(names::REWARD, Tensor::zeros::<f32>(&[rows, steps]));
    default(names::TERMINATED, Tensor::zeros::<bool>(&[rows, steps]));
    default(names::TRUNCATED, Tensor::zeros::<bool>(&[rows, steps]));
    default(names::SUCCESS, Tensor::zeros::<bool>(&[rows]));
    recorded
}
