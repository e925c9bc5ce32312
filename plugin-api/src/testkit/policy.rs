//! Conformance of policies.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::compare::same;
use super::examination::{Checked, Complaint, Examination, PASS, Verdict, fail, refused, survived};
use super::inputs::{observation, poisoned, random, statistics_of};
use super::{ScoreCard, Settings};
use crate::checks;
use crate::v1::{ActMode, ActRequest, Batch, Error, ErrorKind, HostServices, Policy, PolicySpec, Result, names};

/// Examines a policy; `create` makes a fresh one.
pub fn policy<P: Policy + 'static>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<P>) -> ScoreCard {
    let mut exam = Examination::begin("policy", name, settings);
    let services = exam.services();
    let create = || create(services);
    let spec = match create() {
        Ok(policy) => policy.spec(),
        Err(error) => {
            exam.check("creation", || Err(error.into()));
            return exam.end();
        }
    };
    // As a run does: the statistics of its data come before its first action.
    let statistics = statistics_of(settings, spec.action_dim);
    let create = || {
        let mut policy = create()?;
        policy.set_statistics(&statistics)?;
        Ok::<P, Error>(policy)
    };
    let trial = Trial { spec: &spec, settings };
    exam.check("specification", || trial.specification());
    exam.check("actions", || trial.actions(&mut create()?));
    exam.check("wrong observations are refused", || trial.wrong_observations(&mut create()?));
    exam.check("resets", || trial.resets(&mut create()?));
    exam.check("equal seeds give equal actions", || trial.repeats(&mut create()?, &mut create()?));
    exam.check("saved weights act alike", || trial.weights(&mut create()?, || create().map_err(Complaint::from)));
    exam.cancellation(|| {
        let (mut policy, input) = (create()?, trial.observation(4, 0)?);
        Ok(Box::new(move || policy.act(&input, &request(0)).map(drop)))
    });
    let (mut policy, mut input) = (None, None);
    exam.memory(|step| {
        if policy.is_none() {
            policy = Some(create()?);
            input = Some(trial.observation(2, 0)?);
        }
        let (Some(policy), Some(input)) = (&mut policy, &input) else { return Ok(()) };
        if step % 50 == 0 {
            policy.reset(&[0, 1], &[step, step + 1])?;
        }
        policy.act(input, &request(step))?;
        Ok(())
    });
    exam.end()
}

fn request(seed: u64) -> ActRequest {
    ActRequest { mode: ActMode::Sample, temperature: 1.0, seed, training: false }
}

/// A folder for weights that goes with the check.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Checked<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("twinhost-testkit-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self(path)),
            Err(e) => fail(format!("cannot make the folder {}: {e}", path.display())),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Trial<'a> {
    spec: &'a PolicySpec,
    settings: &'a Settings,
}

impl Trial<'_> {
    fn observation(&self, rows: usize, step: u64) -> Checked<Batch> {
        observation(self.settings, &self.spec.observation, rows, self.settings.seed + 100 * step)
    }

    fn specification(&self) -> Checked {
        if self.spec.action_dim == 0 || self.spec.chunk == 0 {
            return fail(format!("`action_dim` is {}, `chunk` {}", self.spec.action_dim, self.spec.chunk));
        }
        Ok(PASS)
    }

    fn actions(&self, policy: &mut impl Policy) -> Checked {
        for rows in [1, 4] {
            policy.reset(&(0..rows).collect::<Vec<_>>(), &vec![self.settings.seed; rows])?;
            for mode in [ActMode::Sample, ActMode::Greedy] {
                let out = policy.act(&self.observation(rows, 0)?, &ActRequest { mode, ..request(1) })?;
                checks::action(self.spec, rows, &out)?;
                if out.get(names::WEIGHTS_VERSION)?.shape() != [rows] {
                    return fail(format!("`weights_version` must be I64 [{rows}]"));
                }
                out.slice::<i64>(names::WEIGHTS_VERSION)?;
            }
        }
        if self.spec.differentiable {
            let out = policy.act(&self.observation(4, 0)?, &ActRequest { training: true, ..request(1) })?;
            let shape = out.get(names::LOG_PROB)?.shape();
            if shape != [4, self.spec.chunk, self.spec.action_dim] {
                return fail(format!("`{}` is {shape:?} for 4 rows", names::LOG_PROB));
            }
        }
        Ok(PASS)
    }

    fn wrong_observations(&self, policy: &mut impl Policy) -> Checked {
        policy.reset(&[0, 1], &[1, 2])?;
        for name in &self.spec.observation {
            let mut without = self.observation(2, 0)?;
            let Some(tensor) = without.remove(name) else { continue };
            refused(&format!("an observation without `{name}`"), policy.act(&without, &request(0)))?;
            let mut shape = tensor.shape();
            let Some(last) = shape.last_mut() else { continue };
            *last += 1;
            without.insert(name.as_str(), random(tensor.dtype(), &shape, 3)?);
            refused(&format!("`{name}` with the shape {shape:?}"), policy.act(&without, &request(0)))?;
        }
        if let Some(poisoned) = poisoned(&self.observation(2, 0)?)? {
            match policy.act(&poisoned, &request(0)) {
                Ok(out) => checks::action(self.spec, 2, &out)?,
                Err(e) => survived("an observation with NaN", Err::<(), _>(e))?,
            }
        }
        checks::action(self.spec, 2, &policy.act(&self.observation(2, 0)?, &request(0))?)?;
        Ok(PASS)
    }

    fn resets(&self, policy: &mut impl Policy) -> Checked {
        survived("a reset with more rows than seeds", policy.reset(&[0, 1], &[1]))?;
        policy.reset(&[], &[])?;
        for rows in [4, 1, 6] {
            policy.reset(&(0..rows).collect::<Vec<_>>(), &vec![1; rows])?;
            policy.act(&self.observation(rows, 0)?, &request(0))?;
        }
        Ok(PASS)
    }

    fn repeats(&self, policy: &mut impl Policy, twin: &mut impl Policy) -> Checked {
        let play = |policy: &mut dyn Policy| -> Checked<Vec<Batch>> {
            policy.reset(&[0, 1, 2], &[5, 6, 7])?;
            (0..5).map(|step| Ok(policy.act(&self.observation(3, step)?, &request(step))?)).collect()
        };
        let once = play(policy)?;
        for (who, again) in [("a second instance", play(twin)?), ("the same instance after a reset", play(policy)?)] {
            for (step, (a, b)) in once.iter().zip(&again).enumerate() {
                same(&format!("{who}, call {step}"), a, b)?;
            }
        }
        Ok(PASS)
    }

    fn weights<P: Policy>(&self, policy: &mut P, create: impl Fn() -> Checked<P>) -> Checked {
        let digest = match policy.digest() {
            Ok(digest) => digest,
            Err(e) if e.kind == ErrorKind::Unsupported => return Ok(Verdict::Skip(e.to_string())),
            Err(e) => return Err(e.into()),
        };
        let (folder, empty) = (Folder::new()?, Folder::new()?);
        policy.save(&folder.0)?;
        let mut twin = create()?;
        twin.load(&folder.0)?;
        if twin.digest()? != digest {
            return fail("the digest of the loaded weights differs from that of the saved ones");
        }
        let input = self.observation(3, 0)?;
        policy.reset(&[0, 1, 2], &[1, 2, 3])?;
        twin.reset(&[0, 1, 2], &[1, 2, 3])?;
        let (one, other) = (policy.act(&input, &request(4))?, twin.act(&input, &request(4))?);
        same("the loaded policy", &Batch::new().with(names::ACTION, one.get(names::ACTION)?.try_clone()?), &{
            Batch::new().with(names::ACTION, other.get(names::ACTION)?.try_clone()?)
        })?;
        refused("weights from an empty folder", twin.load(&empty.0))?;
        Ok(PASS)
    }
}
