//! Conformance of environments.

use std::collections::BTreeSet;

use super::compare::same;
use super::examination::{Checked, Examination, PASS, Verdict, fail, refused, survived};
use super::inputs::{actions, random};
use super::{ScoreCard, Settings};
use crate::checks;
use crate::v1::{Batch, DType, Env, EnvKind, EnvSpec, ErrorKind, HostServices, ResetRequest, Result, Tensor, names};

/// Longer episodes are not played to their end.
const LONGEST_EPISODE: usize = 5_000;

/// Examines an environment; `create` makes a fresh one.
pub fn env<E: Env + 'static>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<E>) -> ScoreCard {
    let mut exam = Examination::begin("env", name, settings);
    let services = exam.services();
    let create = || create(services);
    let spec = match create() {
        Ok(env) => env.spec(),
        Err(error) => {
            exam.check("creation", || Err(error.into()));
            return exam.end();
        }
    };
    let trial = Trial { spec: &spec, seed: settings.seed };
    exam.check("specification", || trial.specification());
    exam.check("steps before the first reset", || trial.too_early(&mut create()?));
    exam.check("observations and outcomes", || trial.shapes(&mut create()?));
    exam.check("privileged features", || trial.privileged(&mut create()?));
    exam.check("wrong requests are refused", || trial.wrong_requests(&mut create()?));
    exam.check("wrong actions are refused", || trial.wrong_actions(&mut create()?));
    exam.check("episodes end", || trial.episodes_end(&mut create()?));
    exam.check("episodes follow one another", || trial.episodes_follow(&mut create()?));
    let physical = spec.kind == EnvKind::Real;
    exam.check("equal seeds give equal episodes", || match physical {
        true => Ok(Verdict::Skip("hardware".into())),
        false => trial.repeats(&mut create()?, &mut create()?),
    });
    exam.check("saved states continue bit for bit", || trial.states(&mut create()?, &mut create()?));
    exam.check("images for people", || trial.images(&mut create()?));
    exam.cancellation(|| {
        let mut env = create()?;
        env.reset(&trial.request())?;
        let chunk = spec.max_episode_steps.clamp(1, 200);
        let actions = actions(&spec.action, spec.num_envs, chunk, settings.seed);
        Ok(Box::new(move || env.step(&actions).map(drop)))
    });
    if !physical {
        let mut env = None;
        exam.memory(|step| {
            if env.is_none() {
                let mut fresh = create()?;
                fresh.reset(&trial.request().auto_reset())?;
                env = Some(fresh);
            }
            let Some(env) = &mut env else { return Ok(()) };
            env.step(&actions(&spec.action, spec.num_envs, 1, step))?;
            Ok(())
        });
    }
    exam.end()
}

struct Trial<'a> {
    spec: &'a EnvSpec,
    seed: u64,
}

impl Trial<'_> {
    fn request(&self) -> ResetRequest {
        ResetRequest::new((0..self.spec.num_envs as u64).map(|i| self.seed + i).collect())
    }

    fn actions(&self, chunk: usize, step: u64) -> Tensor {
        actions(&self.spec.action, self.spec.num_envs, chunk, self.seed + step)
    }

    fn specification(&self) -> Checked {
        checks::env_spec(self.spec)?;
        if self.spec.max_episode_steps == 0 {
            return fail("`max_episode_steps` is 0");
        }
        let variants: BTreeSet<&String> = self.spec.variants.iter().collect();
        if self.spec.variants.is_empty() || variants.len() < self.spec.variants.len() {
            return fail(format!("`variants` must name at least one, each once: {:?}", self.spec.variants));
        }
        Ok(PASS)
    }

    fn too_early(&self, env: &mut impl Env) -> Checked {
        survived("a step before the first reset", env.step(&self.actions(1, 0)))?;
        Ok(PASS)
    }

    fn shapes(&self, env: &mut impl Env) -> Checked {
        for variant in std::iter::once("").chain(self.spec.variants.iter().map(String::as_str)) {
            checks::observation(self.spec, &env.reset(&self.request().variant(variant))?)?;
            for chunk in [1, 3] {
                checks::step(self.spec, chunk, &env.step(&self.actions(chunk, 1))?)?;
            }
        }
        Ok(PASS)
    }

    fn privileged(&self, env: &mut impl Env) -> Checked {
        if self.spec.privileged.is_empty() {
            return Ok(Verdict::Skip("it has none".into()));
        }
        let spec = EnvSpec { observation: self.spec.privileged.clone(), ..self.spec.clone() };
        checks::observation(&spec, &env.reset(&self.request().privileged())?)?;
        checks::observation(&spec, &env.step(&self.actions(1, 0))?)?;
        Ok(PASS)
    }

    fn wrong_requests(&self, env: &mut impl Env) -> Checked {
        let one_more = (0..=self.spec.num_envs as u64).collect();
        refused("a reset with a seed too many", env.reset(&ResetRequest::new(one_more)))?;
        refused("an unknown variant", env.reset(&self.request().variant("no such variant")))?;
        checks::observation(self.spec, &env.reset(&self.request())?)?;
        Ok(PASS)
    }

    fn wrong_actions(&self, env: &mut impl Env) -> Checked {
        let (rows, dim) = (self.spec.num_envs, self.spec.action.dim());
        env.reset(&self.request())?;
        let wrong = |shape: &[usize]| random(DType::F32, shape, self.seed);
        refused("an action with an entry too many", env.step(&wrong(&[rows, 1, dim + 1])?))?;
        refused("actions for an environment too many", env.step(&wrong(&[rows + 1, 1, dim])?))?;
        refused("actions of another dtype", env.step(&random(DType::F64, &[rows, 1, dim], self.seed)?))?;
        for value in [f32::NAN, f32::INFINITY] {
            refused(&format!("an action of {value}"), env.step(&Tensor::from_vec(vec![value; rows * dim], &[rows, 1, dim])))?;
        }
        checks::step(self.spec, 1, &env.step(&self.actions(1, 0))?)?;
        Ok(PASS)
    }

    /// By the time limit at the latest, and then nothing counts any more.
    fn episodes_end(&self, env: &mut impl Env) -> Checked {
        if self.spec.max_episode_steps > LONGEST_EPISODE {
            return Ok(Verdict::Skip(format!("an episode has {} steps", self.spec.max_episode_steps)));
        }
        env.reset(&self.request())?;
        let mut over = vec![false; self.spec.num_envs];
        for step in 0..=self.spec.max_episode_steps + 2 {
            let out = env.step(&self.actions(1, step as u64))?;
            let rewards = out.slice::<f32>(names::REWARD)?;
            if let Some(row) = (0..over.len()).find(|&row| over[row] && rewards[row] != 0.0) {
                return fail(format!("environment {row} is over, and step {step} still has reward {}", rewards[row]));
            }
            let (terminated, truncated) = (out.slice::<bool>(names::TERMINATED)?, out.slice::<bool>(names::TRUNCATED)?);
            over.iter_mut().enumerate().for_each(|(row, over)| *over |= terminated[row] || truncated[row]);
            if step + 1 == self.spec.max_episode_steps && over.contains(&false) {
                return fail(format!("after {} steps, the most an episode has, some are not over", step + 1));
            }
        }
        Ok(PASS)
    }

    /// With auto-reset, the last observation of every episode comes with the step that ends it.
    fn episodes_follow(&self, env: &mut impl Env) -> Checked {
        if self.spec.max_episode_steps > LONGEST_EPISODE {
            return Ok(Verdict::Skip(format!("an episode has {} steps", self.spec.max_episode_steps)));
        }
        env.reset(&self.request().auto_reset())?;
        let mut ends = 0;
        for step in 0..2 * self.spec.max_episode_steps as u64 {
            let out = env.step(&self.actions(1, step))?;
            checks::step(self.spec, 1, &out)?;
            let ended = [names::TERMINATED, names::TRUNCATED].map(|n| out.slice::<bool>(n).is_ok_and(|v| v.contains(&true)));
            if ended.contains(&true) {
                ends += 1;
                self.final_observation(&out)?;
            }
        }
        if ends < 2 {
            return fail(format!("{ends} steps of {} ended an episode", 2 * self.spec.max_episode_steps));
        }
        Ok(PASS)
    }

    fn final_observation(&self, out: &Batch) -> Checked<()> {
        for feature in &self.spec.observation {
            let name = format!("{}{}", names::FINAL, feature.name);
            let Some(tensor) = out.find(&name) else { return fail(format!("an episode ended, and the step returned no `{name}`")) };
            if tensor.dtype() != feature.dtype || tensor.shape()[..] != [&[self.spec.num_envs], feature.shape.as_slice()].concat() {
                return fail(format!(
                    "`{name}` is {tensor:?}, `{}` is {:?} {:?} for each environment",
                    feature.name, feature.dtype, feature.shape
                ));
            }
        }
        Ok(())
    }

    fn play(&self, env: &mut impl Env, steps: u64) -> Checked<Vec<Batch>> {
        let mut out = vec![env.reset(&self.request().auto_reset())?];
        for step in 0..steps {
            out.push(env.step(&self.actions(1 + step as usize % 3, step))?);
        }
        Ok(out)
    }

    fn repeats(&self, env: &mut impl Env, twin: &mut impl Env) -> Checked {
        let once = self.play(env, 25)?;
        for (who, again) in [("a second instance", self.play(twin, 25)?), ("the same instance after a reset", self.play(env, 25)?)] {
            for (step, (a, b)) in once.iter().zip(&again).enumerate() {
                same(&format!("{who}, step {step}"), a, b)?;
            }
        }
        Ok(PASS)
    }

    fn states(&self, env: &mut impl Env, twin: &mut impl Env) -> Checked {
        self.play(env, 5)?;
        let state = match env.save_state() {
            Ok(state) => state,
            Err(e) if e.kind == ErrorKind::Unsupported => return Ok(Verdict::Skip(e.to_string())),
            Err(e) => return Err(e.into()),
        };
        let go_on = |env: &mut dyn Env| (0..10).map(|k| env.step(&self.actions(1, 100 + k))).collect::<Result<Vec<_>>>();
        let expected = go_on(env)?;
        twin.reset(&ResetRequest::new(vec![self.seed + 99; self.spec.num_envs]))?;
        for (who, env) in [("the same instance", env as &mut dyn Env), ("another instance", twin as &mut dyn Env)] {
            env.load_state(&state)?;
            for (step, (a, b)) in expected.iter().zip(go_on(env)?).enumerate() {
                same(&format!("{who}, step {step} after the state was loaded"), a, &b)?;
            }
            refused("a state cut in half", env.load_state(&state[..state.len() / 2]))?;
            refused("an empty state", env.load_state(&[]))?;
        }
        Ok(Verdict::Pass(format!("{} bytes", state.len())))
    }

    fn images(&self, env: &mut impl Env) -> Checked {
        env.reset(&self.request())?;
        match env.render(0, "", 32, 24) {
            Ok(image) => checks::image(32, 24, &image)?,
            Err(e) if e.kind == ErrorKind::Unsupported => return Ok(Verdict::Skip(e.to_string())),
            Err(e) => return Err(e.into()),
        }
        refused("an unknown camera", env.render(0, "no such camera", 32, 24))?;
        refused("an image of an environment that is not there", env.render(self.spec.num_envs, "", 32, 24))?;
        Ok(PASS)
    }
}
