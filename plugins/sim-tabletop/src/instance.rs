//! One environment: an episode from its seed, control steps, observations, save and load.

use mujoco_rs::prelude::{MjData, MjtState, MjtWarning};
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use rand::Rng as _;
use std::sync::Arc;
use twinhost_plugin_api::{Error, LogLevel, Result};

use crate::cell::{COMPONENT, Cell};
use crate::config::TaskKind;
use crate::controller::{ACTION_DIM, Command, Controller};
use crate::kinematics::{JOINTS, JointVector, forward};
use crate::measure::{Data, FINGERS, Measured, THING, measure};
use crate::observe::{self, Observation, Truth};
use crate::photometry::develop;
use crate::random::{Purpose, mix, rng};
use crate::render::{Format, Renderer};
use crate::scene::FINGER_OPEN;
use crate::snapshot::{Reader, Writer};
use crate::task::start::{self, VARIANTS, Variant};
use crate::task::{self, Progress};

/// How episodes begin and what is observed, the same for all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub variant: Variant,
    pub auto_reset: bool,
    pub privileged: bool,
}

/// What one chunk did to one instance; vectors have one entry per control step.
pub struct ChunkResult {
    pub reward: Vec<f32>,
    pub terminated: Vec<bool>,
    pub truncated: Vec<bool>,
    pub success: bool,
    pub observation: Observation,
    /// The last observation of the episode that ended in this chunk.
    pub last: Option<Observation>,
}

pub struct Instance {
    cell: Arc<Cell>,
    data: Data,
    /// Which version of the scene, with which object.
    version: usize,
    object: usize,
    mode: Mode,
    /// Seed given to `reset`, number of episodes since, and the seed of this one.
    first_seed: u64,
    episode: u64,
    seed: u64,
    step: u64,
    instruction: String,
    controller: Controller,
    progress: Progress,
    done: bool,
    measured: Measured,
}

impl Instance {
    /// # Errors
    /// If MuJoCo cannot allocate memory for the simulation.
    pub fn new(cell: &Arc<Cell>) -> Result<Self> {
        let object = cell.choices(Variant::Train)[0];
        let mut data = MjData::try_new(cell.any_model()?).map_err(|e| Error::internal(format!("cannot allocate the simulation: {e}")))?;
        data.forward();
        let measured = measure(&data, &cell.ids, cell.task());
        let controller = Controller::at(JointVector::zeros(), forward(&JointVector::zeros()));
        let mode = Mode { variant: Variant::Train, auto_reset: false, privileged: false };
        let cell = cell.clone();
        let (instruction, progress) = (String::new(), Progress::default());
        Ok(Self {
            cell,
            data,
            version: 0,
            object,
            mode,
            first_seed: 0,
            episode: 0,
            seed: 0,
            step: 0,
            instruction,
            controller,
            progress,
            done: true,
            measured,
        })
    }

    /// Starts the first episode of a seed.
    ///
    /// # Errors
    /// If the object's scene does not compile.
    pub fn reset(&mut self, seed: u64, mode: Mode) -> Result<()> {
        self.mode = mode;
        self.first_seed = seed;
        self.begin(0)
    }

    fn use_scene(&mut self, version: usize, object: usize) -> Result<()> {
        if (version, object) != (self.version, self.object) {
            let model = self.cell.model(version, object)?;
            self.data.try_swap_model(model).map_err(|e| Error::internal(format!("scenes of one task differ in layout: {e}")))?;
            (self.version, self.object) = (version, object);
        }
        Ok(())
    }

    fn begin(&mut self, episode: u64) -> Result<()> {
        self.episode = episode;
        self.seed = mix(self.first_seed, Purpose::Episode, episode);
        let mut draws = rng(self.seed, Purpose::Layout, 0);
        let choices = self.cell.choices(self.mode.variant);
        let object = choices[draws.random_range(0..choices.len())];
        let versions = self.cell.versions.len();
        let version = if versions == 1 { 0 } else { rng(self.seed, Purpose::Scene, 0).random_range(0..versions) };
        self.use_scene(version, object)?;
        let own = task::templates(self.cell.task());
        let custom = &self.cell.config.instructions;
        let count = if custom.is_empty() { own.len() } else { custom.len() };
        let which = draws.random_range(0..count);
        let template = custom.get(which).map_or_else(|| own[which], String::as_str);
        let words = &self.cell.objects[object];
        self.instruction = template.replace("{object}", &words.name).replace("{colour}", words.colour);
        let begin = start::draw(self.cell.task(), self.mode.variant, self.cell.config.spread, words, &mut draws);

        self.data.reset();
        let qpos = self.data.qpos_mut();
        qpos[..JOINTS].copy_from_slice(begin.joints.as_slice());
        qpos[FINGERS].fill(FINGER_OPEN);
        match self.cell.task() {
            TaskKind::PickPlace | TaskKind::PushCube => {
                let (p, r) = (begin.thing.translation, begin.thing.rotation);
                qpos[THING..THING + 7].copy_from_slice(&[p.x, p.y, p.z, r.w, r.i, r.j, r.k]);
            }
            TaskKind::OpenDrawer | TaskKind::CloseDrawer => qpos[THING] = begin.drawer,
        }
        let (p, r) = (begin.place.translation, begin.place.rotation);
        self.data.mocap_pos_mut()[0] = [p.x, p.y, p.z];
        self.data.mocap_quat_mut()[0] = [r.w, r.i, r.j, r.k];
        self.controller = Controller::at(begin.joints, forward(&begin.joints));
        let hold = self.controller.command();
        self.send(&hold);
        self.data.forward();
        self.step = 0;
        self.progress = Progress::default();
        self.done = false;
        self.measured = measure(&self.data, &self.cell.ids, self.cell.task());
        Ok(())
    }

    fn send(&mut self, command: &Command) {
        self.data.ctrl_mut().copy_from_slice(command);
    }

    /// One control step of physics. False if the simulation diverged.
    fn advance(&mut self, action: &[f32]) -> bool {
        self.controller.act(action, self.cell.config.max_delta, &self.measured.tcp, self.cell.delay(self.version));
        for _ in 0..self.cell.config.substeps() {
            if let Some(command) = self.controller.due() {
                self.send(&command);
            }
            self.data.step();
        }
        self.data.kinematics();
        self.measured = measure(&self.data, &self.cell.ids, self.cell.task());
        // MuJoCo resets a state that became NaN or huge, and counts that as a warning.
        let warnings = self.data.warning();
        [MjtWarning::mjWARN_BADQPOS, MjtWarning::mjWARN_BADQVEL, MjtWarning::mjWARN_BADQACC]
            .iter()
            .all(|w| warnings[*w as usize].number == 0)
    }

    /// Executes a chunk of `actions` `[C, 7]` and observes.
    ///
    /// # Errors
    /// If rendering fails.
    pub fn run(&mut self, actions: &[f32], renderer: &mut Renderer) -> Result<ChunkResult> {
        let chunk = actions.len() / ACTION_DIM;
        let (mut reward, mut terminated, mut truncated) = (vec![0.0; chunk], vec![false; chunk], vec![false; chunk]);
        let mut ended = false;
        for (c, action) in actions.chunks_exact(ACTION_DIM).enumerate() {
            if self.done {
                break;
            }
            let healthy = self.advance(action);
            self.step += 1;
            if healthy {
                let verdict = task::judge(
                    self.cell.task(),
                    self.cell.reward_mode(),
                    &self.measured,
                    &self.cell.objects[self.object],
                    &mut self.progress,
                );
                reward[c] = verdict.reward as f32;
                terminated[c] = verdict.success && self.cell.config.terminate_on_success;
            } else {
                self.cell.services.log(
                    LogLevel::Warn,
                    COMPONENT,
                    format!("the physics of seed {} diverged; the episode ends here", self.seed),
                );
                terminated[c] = true;
            }
            truncated[c] = !terminated[c] && self.step >= self.cell.config.max_episode_steps as u64;
            self.done = terminated[c] || truncated[c];
            ended = self.done;
        }
        let success = self.progress.succeeded_once;
        let observation = self.observe(renderer)?;
        if !ended {
            return Ok(ChunkResult { reward, terminated, truncated, success, observation, last: None });
        }
        if !self.mode.auto_reset {
            let last = Some(observation.clone());
            return Ok(ChunkResult { reward, terminated, truncated, success, observation, last });
        }
        self.begin(self.episode + 1)?;
        let next = self.observe(renderer)?;
        Ok(ChunkResult { reward, terminated, truncated, success, observation: next, last: Some(observation) })
    }

    /// # Errors
    /// If rendering fails.
    pub fn observe(&mut self, renderer: &mut Renderer) -> Result<Observation> {
        let cell = self.cell.clone();
        let config = &cell.config;
        let mut images = Vec::with_capacity(config.cameras.len());
        if !config.cameras.is_empty() {
            self.data.camlight();
        }
        for (i, (_, camera)) in config.cameras.iter().filter_map(|name| cell.ids.cameras.iter().find(|(n, _)| n == name)).enumerate() {
            let mut pixels = renderer.draw(&mut self.data, *camera, config.format())?;
            let counter = 2 * (self.step * crate::config::CAMERAS.len() as u64 + i as u64) + 1;
            develop(&mut pixels, &cell.versions[self.version], &mut rng(self.seed, Purpose::Sensors, counter));
            images.push(pixels);
        }
        let state = observe::state(&self.measured, &cell.versions[self.version], self.seed, self.step);
        let truth = self.mode.privileged.then(|| self.truth());
        Ok(Observation { state, images, task: self.instruction.clone(), truth })
    }

    fn truth(&self) -> Truth {
        let mut object_poses = [0.0; 32];
        object_poses[..16].copy_from_slice(&observe::matrix(&self.measured.thing));
        object_poses[16..].copy_from_slice(&observe::matrix(&self.measured.place));
        let (translation, rotation) = self.cell.config.max_delta;
        Truth {
            eef_pose: observe::matrix(&self.measured.tcp),
            target_pose: observe::matrix(&self.controller.goal),
            object_poses,
            object_half: self.cell.objects[self.object].half,
            subtask_done: self.progress.first_done,
            gripper: self.measured.fingers[0] + self.measured.fingers[1],
            task_kind: self.cell.task() as i64,
            delta_scale: [translation, rotation],
        }
    }

    /// An image for people: smooth, without sensor noise, any size.
    ///
    /// # Errors
    /// If rendering fails.
    pub fn picture(&mut self, renderer: &mut Renderer, camera: usize, width: usize, height: usize) -> Result<Vec<u8>> {
        self.data.camlight();
        renderer.draw(&mut self.data, camera, Format { width, height, antialias: true })
    }

    pub fn save(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.version as u64);
        out.u64(self.object as u64);
        out.u64(VARIANTS.iter().position(|(_, v)| *v == self.mode.variant).unwrap_or_default() as u64);
        for flag in [self.mode.auto_reset, self.mode.privileged, self.done, self.controller.open] {
            out.flag(flag);
        }
        for flag in [self.progress.grasped_once, self.progress.succeeded_once, self.progress.lost_once, self.progress.first_done] {
            out.flag(flag);
        }
        out.f64s(self.progress.potential.as_slice());
        for number in [self.first_seed, self.episode, self.seed, self.step] {
            out.u64(number);
        }
        out.bytes(self.instruction.as_bytes());
        let (p, r) = (self.controller.goal.translation, self.controller.goal.rotation);
        out.f64s(&[p.x, p.y, p.z, r.w, r.i, r.j, r.k]);
        out.f64s(self.controller.joints.as_slice());
        out.u64(self.controller.pending.len() as u64);
        for (wait, command) in &self.controller.pending {
            out.u64(u64::from(*wait));
            out.f64s(command);
        }
        out.f64s(&self.data.state(MjtState::mjSTATE_INTEGRATION as u32));
        out.0
    }

    /// # Errors
    /// If the bytes are damaged or from another configuration.
    pub fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let damaged = || Error::input("the saved environment state does not fit this environment");
        let mut from = Reader(bytes);
        let (version, object) = (from.u64()? as usize, from.u64()? as usize);
        let variant = VARIANTS.get(from.u64()? as usize).ok_or_else(damaged)?.1;
        if version >= self.cell.versions.len() || object >= self.cell.objects.len() {
            return Err(damaged());
        }
        let (auto_reset, privileged, done, open) = (from.flag()?, from.flag()?, from.flag()?, from.flag()?);
        let flags = [from.flag()?, from.flag()?, from.flag()?, from.flag()?];
        let [grasped_once, succeeded_once, lost_once, first_done] = flags;
        let potential = from.f64s()?.first().copied();
        let progress = Progress { grasped_once, succeeded_once, lost_once, first_done, potential };
        let (first_seed, episode, seed, step) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
        let instruction = String::from_utf8(from.bytes()?.to_vec()).map_err(|_| damaged())?;
        let [x, y, z, w, i, j, k] = from.array::<7>()?;
        // The stored quaternion is the one in use, so it must not be normalised again.
        let rotation = UnitQuaternion::new_unchecked(Quaternion::new(w, i, j, k));
        let goal = Isometry3::from_parts(Translation3::new(x, y, z), rotation);
        let mut controller = Controller::at(JointVector::from(from.array::<JOINTS>()?), goal);
        controller.open = open;
        for _ in 0..from.u64()? {
            let wait = u32::try_from(from.u64()?).map_err(|_| damaged())?;
            controller.pending.push_back((wait, from.array::<8>()?));
        }
        let physics = from.f64s()?;
        from.end()?;
        self.use_scene(version, object)?;
        self.data.reset();
        self.data.set_state(&physics, MjtState::mjSTATE_INTEGRATION as u32).map_err(|_| damaged())?;
        // Contacts and forces of the last step are recomputed for the next observation; the solver's warm start is part of the
        // state and must survive that.
        self.data.forward();
        self.data.set_state(&physics, MjtState::mjSTATE_INTEGRATION as u32).map_err(|_| damaged())?;
        self.mode = Mode { variant, auto_reset, privileged };
        (self.first_seed, self.episode, self.seed, self.step) = (first_seed, episode, seed, step);
        (self.instruction, self.controller, self.progress, self.done) = (instruction, controller, progress, done);
        self.measured = measure(&self.data, &self.cell.ids, self.cell.task());
        Ok(())
    }
}
