//! Conformance of robot drivers: the order of their life, and a command that may run in a real-time loop.

use super::examination::{Checked, Examination, PASS, Verdict, fail, refused};
use super::inputs::actions;
use super::memory::allocations;
use super::{ScoreCard, Settings};
use crate::checks;
use crate::v1::{HostServices, Result, Robot, RobotSpec, Tensor};

/// Examines a robot's driver; `create` makes a fresh one. The robot moves: give the driver a simulated one.
pub fn robot<R: Robot + 'static>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<R>) -> ScoreCard {
    let mut exam = Examination::begin("robot", name, settings);
    let services = exam.services();
    let create = || create(services);
    let spec = match create() {
        Ok(robot) => robot.spec(),
        Err(error) => {
            exam.check("creation", || Err(error.into()));
            return exam.end();
        }
    };
    let trial = Trial { spec: &spec, seed: settings.seed };
    exam.check("specification", || trial.specification());
    exam.check("order of life", || trial.order(&mut create()?));
    exam.check("stopping works in any state", || trial.stopping(create));
    exam.check("measurements", || trial.measurements(&mut create()?));
    exam.check("wrong commands are refused", || trial.wrong_commands(&mut create()?));
    exam.check("a command allocates nothing", || trial.allocations(&mut create()?));
    exam.cancellation(|| {
        let mut robot = trial.enabled(create()?)?;
        Ok(Box::new(move || robot.disable()))
    });
    let mut robot = None;
    exam.memory(|step| {
        if robot.is_none() {
            robot = Some(trial.enabled(create()?)?);
        }
        let Some(robot) = &mut robot else { return Ok(()) };
        robot.command(&trial.action(step))?;
        robot.observe()?;
        Ok(())
    });
    exam.end()
}

struct Trial<'a> {
    spec: &'a RobotSpec,
    seed: u64,
}

impl Trial<'_> {
    /// One control step, `[A]`.
    fn action(&self, step: u64) -> Tensor {
        let flat = actions(&self.spec.action, 1, 1, self.seed + step);
        flat.reshape(&[self.spec.action.dim()]).expect("a chunk of one step for one robot has A entries")
    }

    fn enabled<R: Robot>(&self, mut robot: R) -> Checked<R> {
        robot.connect()?;
        robot.enable()?;
        Ok(robot)
    }

    fn specification(&self) -> Checked {
        let (action, hz) = (&self.spec.action, self.spec.control_hz);
        if action.dim() == 0 || action.low.len() != action.dim() || action.high.len() != action.dim() {
            return fail("`action` must have as many lower and upper bounds as names, and at least one");
        }
        let bounded = action.low.iter().zip(&action.high).all(|(low, high)| low <= high && low.is_finite() && high.is_finite());
        if !bounded {
            return fail("a robot's actions need finite bounds with low <= high");
        }
        if !(hz > 0.0 && hz.is_finite()) {
            return fail(format!("`control_hz` is {hz}"));
        }
        Ok(PASS)
    }

    fn order(&self, robot: &mut impl Robot) -> Checked {
        refused("a command before `connect`", robot.command(&self.action(0)))?;
        refused("`observe` before `connect`", robot.observe())?;
        refused("`enable` before `connect`", robot.enable())?;
        robot.connect()?;
        refused("a command before `enable`", robot.command(&self.action(0)))?;
        robot.observe()?;
        robot.enable()?;
        robot.command(&self.action(0))?;
        robot.disable()?;
        refused("a command after `disable`", robot.command(&self.action(0)))?;
        robot.enable()?;
        robot.command(&self.action(1))?;
        robot.emergency_stop()?;
        refused("a command after `emergency_stop`", robot.command(&self.action(0)))?;
        robot.disable()?;
        Ok(PASS)
    }

    fn stopping<R: Robot>(&self, create: impl Fn() -> Result<R>) -> Checked {
        for state in 0..4 {
            let mut robot = create()?;
            if state > 0 {
                robot.connect()?;
            }
            if state > 1 {
                robot.enable()?;
            }
            if state > 2 {
                robot.command(&self.action(0))?;
            }
            robot.disable()?;
            robot.disable()?;
            robot.emergency_stop()?;
            robot.emergency_stop()?;
            robot.disable()?;
        }
        Ok(PASS)
    }

    fn measurements(&self, robot: &mut impl Robot) -> Checked {
        robot.connect()?;
        let mut last = i64::MIN;
        for _ in 0..5 {
            let out = robot.observe()?;
            checks::measurement(self.spec, &out)?;
            let time = out.slice::<i64>("time_ns")?[0];
            if time < last {
                return fail(format!("`time_ns` went back from {last} to {time}"));
            }
            last = time;
        }
        Ok(PASS)
    }

    fn wrong_commands(&self, robot: &mut impl Robot) -> Checked {
        robot.connect()?;
        robot.enable()?;
        let dim = self.spec.action.dim();
        for value in [f32::NAN, f32::INFINITY] {
            refused(&format!("a command of {value}"), robot.command(&Tensor::from_vec(vec![value; dim], &[dim])))?;
        }
        refused("a command with an entry too many", robot.command(&Tensor::zeros::<f32>(&[dim + 1])))?;
        refused("a command of another dtype", robot.command(&Tensor::zeros::<f64>(&[dim])))?;
        robot.command(&self.action(0))?;
        Ok(PASS)
    }

    fn allocations(&self, robot: &mut impl Robot) -> Checked {
        robot.connect()?;
        robot.enable()?;
        let commands: Vec<Tensor> = (0..100).map(|k| self.action(k)).collect();
        // The first may fill buffers.
        robot.command(&commands[0])?;
        let counted = allocations(|| {
            for command in &commands {
                robot.command(command)?;
            }
            robot.emergency_stop()?;
            Ok(())
        })?;
        match counted {
            None => Ok(Verdict::Skip("needs `CountingAllocator` in the test of the plugin's own crate".into())),
            Some(0) => Ok(PASS),
            Some(count) => fail(format!("{count} allocations in 100 commands and an emergency stop")),
        }
    }
}
