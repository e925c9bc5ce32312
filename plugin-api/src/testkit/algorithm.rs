//! Conformance of algorithms.

use super::examination::{Examination, PASS, Verdict, fail, refused, survived};
use super::policy::Folder;
use super::{ScoreCard, Settings};
use crate::v1::{Algorithm, Batch, HostServices, Metrics, Result, UpdateRequest};

/// Examines an algorithm; `create` makes a fresh one with a fresh policy. Updates learn from `Settings::recorded`.
pub fn algorithm<A: Algorithm + 'static>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<A>) -> ScoreCard {
    let mut exam = Examination::begin("algorithm", name, settings);
    let services = exam.services();
    let create = || create(services);
    if let Err(error) = create() {
        exam.check("creation", || Err(error.into()));
        return exam.end();
    }
    let seed = settings.seed;
    let request = move |iteration| UpdateRequest { seed: seed + iteration, iteration, total_iterations: 10 };
    exam.check("incomplete data is refused", || {
        let mut algorithm = create()?;
        refused("an empty batch", algorithm.update(&Batch::new(), None, &request(0)))?;
        for name in algorithm.spec().needs {
            let Some(data) = &settings.recorded else { break };
            let mut without = data.try_clone()?;
            if without.remove(&name).is_some() {
                // Whether it is missed may depend on the policy.
                survived(&format!("data without `{name}`"), algorithm.update(&without, None, &request(0)))?;
            }
        }
        Ok(PASS)
    });
    let no_data = || Ok(Verdict::Skip("the settings have no recorded data to learn from".into()));
    exam.check("equal seeds give equal updates", || {
        let Some(data) = &settings.recorded else { return no_data() };
        let learn = |mut algorithm: A| (0..2).map(|i| algorithm.update(data, None, &request(i))).collect::<Result<Vec<Metrics>>>();
        let (once, again) = (learn(create()?)?, learn(create()?)?);
        for (name, value) in once.iter().flatten() {
            if !value.is_finite() {
                return fail(format!("the metric `{name}` is {value}"));
            }
        }
        let bits = |all: &[Metrics]| all.iter().flatten().map(|(name, value)| (name.clone(), value.to_bits())).collect::<Vec<_>>();
        if bits(&once) != bits(&again) {
            return fail(format!("the metrics differ: once {once:?}, once {again:?}"));
        }
        Ok(PASS)
    });
    exam.check("saved states are loaded, others refused", || {
        let (folder, empty) = (Folder::new()?, Folder::new()?);
        let mut algorithm = create()?;
        if let Some(data) = &settings.recorded {
            algorithm.update(data, None, &request(0))?;
        }
        algorithm.save(&folder.0)?;
        create()?.load(&folder.0)?;
        refused("a state from an empty folder", create()?.load(&empty.0))?;
        Ok(PASS)
    });
    exam.cancellation(|| {
        let mut algorithm = create()?;
        let data = settings.recorded.as_ref().map(Batch::try_clone).transpose()?;
        Ok(Box::new(move || match data {
            Some(data) => algorithm.update(&data, None, &request(0)).map(drop),
            None => Ok(()),
        }))
    });
    exam.end()
}
