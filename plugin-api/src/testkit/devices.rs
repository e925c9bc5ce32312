//! Conformance of cameras and teleoperation devices.

use std::time::Instant;

use super::examination::{Checked, Examination, PASS, Verdict, fail, refused};
use super::{ScoreCard, Settings};
use crate::checks;
use crate::v1::{Camera, CameraSpec, HostServices, Result, Teleop};

/// Longest wait for a frame, ms.
const PATIENCE: u64 = 5_000;

/// Examines a camera; `create` makes a fresh one.
pub fn camera<C: Camera + 'static>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<C>) -> ScoreCard {
    let mut exam = Examination::begin("camera", name, settings);
    let services = exam.services();
    let create = || create(services);
    let spec = match create() {
        Ok(camera) => camera.spec(),
        Err(error) => {
            exam.check("creation", || Err(error.into()));
            return exam.end();
        }
    };
    exam.check("specification", || match spec.width > 0 && spec.height > 0 && spec.fps > 0.0 && spec.fps.is_finite() {
        true => Ok(PASS),
        false => fail(format!("{} x {} pixels at {} frames a second", spec.width, spec.height, spec.fps)),
    });
    exam.check("order of life", || {
        let mut camera = create()?;
        refused("`latest` before `start`", camera.latest(0))?;
        camera.stop()?;
        for _ in 0..2 {
            camera.start()?;
            camera.latest(PATIENCE)?;
            camera.stop()?;
            refused("`latest` after `stop`", camera.latest(0))?;
        }
        camera.stop()?;
        Ok(PASS)
    });
    exam.check("frames", || frames(&spec, &mut create()?));
    exam.cancellation(|| {
        let mut camera = create()?;
        camera.start()?;
        Ok(Box::new(move || camera.latest(PATIENCE).map(drop)))
    });
    let mut camera = None;
    exam.memory(|_| {
        if camera.is_none() {
            let mut fresh = create()?;
            fresh.start()?;
            camera = Some(fresh);
        }
        let Some(camera) = &mut camera else { return Ok(()) };
        camera.latest(PATIENCE)?;
        Ok(())
    });
    exam.end()
}

fn frames(spec: &CameraSpec, camera: &mut impl Camera) -> Checked {
    camera.start()?;
    let mut last = i64::MIN;
    for _ in 0..10 {
        let frame = camera.latest(PATIENCE)?;
        checks::frame(spec, &frame)?;
        let (time, dropped) = (frame.slice::<i64>("time_ns")?[0], frame.slice::<i64>("dropped")?[0]);
        if time < last || dropped < 0 {
            return fail(format!("a frame of time {time} ns after one of {last} ns, with {dropped} dropped"));
        }
        last = time;
    }
    camera.stop()?;
    Ok(PASS)
}

/// Examines a teleoperation device; `create` makes a fresh one.
pub fn teleop<T: Teleop + 'static>(name: &str, settings: &Settings, create: impl Fn(HostServices) -> Result<T>) -> ScoreCard {
    let mut exam = Examination::begin("teleop", name, settings);
    let services = exam.services();
    let create = || create(services);
    let spec = match create() {
        Ok(teleop) => teleop.spec(),
        Err(error) => {
            exam.check("creation", || Err(error.into()));
            return exam.end();
        }
    };
    exam.check("order of life", || {
        let mut teleop = create()?;
        refused("`poll` before `start`", teleop.poll())?;
        teleop.stop()?;
        for _ in 0..2 {
            teleop.start()?;
            teleop.poll()?;
            teleop.stop()?;
            refused("`poll` after `stop`", teleop.poll())?;
        }
        Ok(PASS)
    });
    exam.check("input", || {
        let mut teleop = create()?;
        teleop.start()?;
        let started = Instant::now();
        for _ in 0..10 {
            let out = teleop.poll()?;
            checks::intervention(&spec, &out)?;
            let event = out.slice::<i64>("event")?[0];
            if !(0..=4).contains(&event) {
                return fail(format!("`event` is {event}, which must be from 0 to 4"));
            }
        }
        if started.elapsed() > settings.cancel_within {
            return fail(format!("ten polls took {:.1} s; `poll` must not wait", started.elapsed().as_secs_f64()));
        }
        teleop.stop()?;
        Ok(Verdict::Pass(format!("{:.3} ms a poll", 100.0 * started.elapsed().as_secs_f64())))
    });
    let mut teleop = None;
    exam.memory(|_| {
        if teleop.is_none() {
            let mut fresh = create()?;
            fresh.start()?;
            teleop = Some(fresh);
        }
        let Some(teleop) = &mut teleop else { return Ok(()) };
        teleop.poll()?;
        Ok(())
    });
    exam.end()
}
