//! Conformance checks: what a component owes the host, tried out, with a score card at the end.
//!
//! A plugin crate uses them in its own tests, with the feature `testkit` among its dev-dependencies:
//!
//! ```no_run
//! # use twinhost_plugin_api::{Batch, ComponentConfig, HostServices, Result, Reward, RewardSpec, testkit};
//! # struct Alive;
//! # impl Alive { fn create(_: ComponentConfig<'_>, _: HostServices) -> Result<Self> { Ok(Self) } }
//! # impl Reward for Alive {
//! #     fn spec(&self) -> RewardSpec { RewardSpec { needs: Vec::new(), decides_success: false } }
//! #     fn score(&mut self, _: &Batch) -> Result<Batch> { Ok(Batch::new()) }
//! # }
//! #[test]
//! fn conforms() {
//!     let create = |services| Alive::create(ComponentConfig::new("(bonus: 1.0)"), services);
//!     testkit::reward("alive", &testkit::Settings::default(), create).assert_passed();
//! }
//! ```
//!
//! `host plugin test` runs the same checks on a built library. Examinations run one after the other within a process, because they
//! measure its memory; tests of other things in the same file may disturb the measurement, so give these a file of their own.

mod algorithm;
mod card;
mod compare;
mod devices;
mod env;
mod examination;
mod inputs;
mod memory;
mod policy;
mod reward;
mod robot;

pub use algorithm::algorithm;
pub use card::{Check, Outcome, ScoreCard};
pub use devices::{camera, teleop};
pub use env::env;
pub use examination::services;
pub use inputs::{random, statistics};
pub use memory::CountingAllocator;
pub use policy::policy;
pub use reward::reward;
pub use robot::robot;

use std::time::Duration;

use crate::v1::{Batch, DType, FeatureSpec, names};

/// How thoroughly to examine, and with what.
#[derive(Debug)]
pub struct Settings {
    pub seed: u64,
    /// Threads the component may keep busy.
    pub threads: u32,
    /// Calls of the search for leaks.
    pub steps: u64,
    /// The search for leaks ends after this time, however many calls it made.
    pub leak_time: Duration,
    /// Longest a call may take once the host has asked to stop.
    pub cancel_within: Duration,
    /// Shape and dtype, without leading axes, of the features that a reward or policy reads (`action`: one control step). They are filled
    /// with random numbers.
    pub features: Vec<FeatureSpec>,
    /// Recorded rows to use instead, where random numbers make no sense.
    pub recorded: Option<Batch>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 7,
            threads: 1,
            steps: 1_000_000,
            leak_time: Duration::from_secs(60),
            cancel_within: Duration::from_secs(2),
            features: vec![
                FeatureSpec::new(names::STATE, DType::F32, &[8]),
                FeatureSpec::new("observation.images.base", DType::U8, &[64, 64, 3]),
                FeatureSpec::new(names::ACTION, DType::F32, &[7]),
            ],
            recorded: None,
        }
    }
}

impl Settings {
    /// Fewer steps in the search for leaks, for a test that runs often.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Replaces or adds the shape of a feature.
    #[must_use]
    pub fn feature(mut self, feature: FeatureSpec) -> Self {
        self.features.retain(|f| f.name != feature.name);
        self.features.push(feature);
        self
    }

    /// Uses these rows instead of random numbers.
    #[must_use]
    pub fn recorded(mut self, rows: Batch) -> Self {
        self.recorded = Some(rows);
        self
    }
}
