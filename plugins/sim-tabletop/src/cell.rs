//! What all instances of one environment share: configuration, objects, and one compiled model per object.

use mujoco_rs::mujoco_c::mj_copyModel;
use mujoco_rs::prelude::{MjLogMessage, MjModel, MjtLogLevel, set_log_handler};
use std::sync::{Arc, OnceLock};
use twinhost_plugin_api::{Error, HostServices, LogLevel, Result};

use crate::config::{RewardMode, TabletopConfig, TaskKind};
use crate::gap::Gap;
use crate::measure::SceneIds;
use crate::objects::{Object, Split, catalogue};
use crate::scene;
use crate::task::start::Variant;

pub const COMPONENT: &str = "tabletop";

static LOG: OnceLock<HostServices> = OnceLock::new();

fn forward_log(message: &MjLogMessage) {
    let level = match message.level() {
        MjtLogLevel::mjLOG_ERROR => LogLevel::Error,
        MjtLogLevel::mjLOG_WARNING => LogLevel::Warn,
        // Compile times and other chatter.
        _ => return,
    };
    if let Some(services) = LOG.get() {
        services.log(level, COMPONENT, format!("MuJoCo: {}", message.subject()));
    }
}

/// Sends MuJoCo's messages to the host instead of a file in the working directory.
fn connect_log(services: HostServices) {
    if LOG.set(services).is_ok() {
        // SAFETY: this runs once, in the first constructor of the only library that uses MuJoCo, before any model exists.
        unsafe { set_log_handler(forward_log) };
    }
}

pub struct Cell {
    pub config: TabletopConfig,
    /// Versions of the scene; one, unless the configuration asks for randomisation.
    pub versions: Vec<Gap>,
    /// Contrasts that the table's pattern has in one of them.
    patterns: Vec<f64>,
    pub ids: SceneIds,
    pub objects: Vec<Object>,
    /// One list per version, one model per object.
    models: Vec<Vec<OnceLock<Arc<MjModel>>>>,
    seen: Vec<usize>,
    unseen: Vec<usize>,
    pub services: HostServices,
}

impl Cell {
    /// # Errors
    /// If the gap parameters are out of range.
    pub fn new(config: TabletopConfig, services: HostServices) -> Result<Self> {
        connect_log(services);
        let own = config.gap()?;
        let (versions, patterns) = (config.randomization.versions(&own), config.randomization.patterns(&own));
        let objects = catalogue();
        // Cubes are pushed; drawers borrow their front's colour from the cubes.
        let fits = |o: &Object| config.task == TaskKind::PickPlace || o.noun == "cube";
        let chosen = |o: &Object| config.objects.is_empty() || config.objects.contains(&o.name);
        let pick = |wanted: &dyn Fn(&Object) -> bool| (0..objects.len()).filter(|&i| wanted(&objects[i])).collect::<Vec<_>>();
        let mut seen = pick(&|o| o.split == Split::Train && fits(o) && chosen(o));
        if seen.is_empty() {
            seen = pick(&|o| o.split == Split::Train && fits(o));
        }
        let unseen = pick(&|o| o.split == Split::OutOfDistribution && fits(o));
        let first = Arc::new(scene::compile(config.task, &versions[0], &patterns, &objects[seen[0]])?);
        first.layout();
        let ids = SceneIds::of(&first, config.task)?;
        let models: Vec<Vec<OnceLock<Arc<MjModel>>>> = versions.iter().map(|_| objects.iter().map(|_| OnceLock::new()).collect()).collect();
        models[0][seen[0]].get_or_init(|| first);
        Ok(Self { config, versions, patterns, ids, objects, models, seen, unseen, services })
    }

    pub fn task(&self) -> TaskKind {
        self.config.task
    }
    pub fn reward_mode(&self) -> RewardMode {
        self.config.reward
    }

    /// Indices of the objects that a variant draws from.
    pub fn choices(&self, variant: Variant) -> &[usize] {
        match variant {
            Variant::OodObject => &self.unseen,
            Variant::Train | Variant::OodStart => &self.seen,
        }
    }

    /// One version of the scene with one object, compiled on first use.
    ///
    /// # Errors
    /// As [`scene::compile`].
    pub fn model(&self, version: usize, object: usize) -> Result<Arc<MjModel>> {
        if let Some(model) = self.models[version][object].get() {
            return Ok(model.clone());
        }
        let compiled = scene::compile(self.config.task, &self.versions[version], &self.patterns, &self.objects[object])?;
        let first = self.any_model()?;
        if !first.is_compatible_with_model(&compiled) || first.ffi().nbuffer != compiled.ffi().nbuffer {
            return Err(Error::internal(format!("the scene with the {} differs in layout from the others", self.objects[object].name)));
        }
        // A clone shares the layout of the first model, so the renderer's checks on every image compare pointers, not tables.
        let mut model = first.as_ref().clone();
        // SAFETY: both models have equal sizes and tables, as just checked, so MuJoCo copies every array in place.
        unsafe { mj_copyModel(model.ffi_mut(), compiled.ffi()) };
        Ok(self.models[version][object].get_or_init(|| Arc::new(model)).clone())
    }

    /// The scene that every other one is a variation of.
    ///
    /// # Errors
    /// As [`scene::compile`].
    pub fn any_model(&self) -> Result<Arc<MjModel>> {
        self.model(0, self.seen[0])
    }

    /// Delay of a command in physics steps.
    pub fn delay(&self, version: usize) -> u32 {
        (self.versions[version].action_delay * self.config.substeps() as f64).round() as u32
    }

    /// Identifies the configuration in saved states (FNV-1a over its text).
    pub fn fingerprint(&self) -> u64 {
        let text = format!("{:?} {:?}", self.config, self.versions);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }
}
