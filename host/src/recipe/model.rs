//! The recipe itself: every field with its unit, range, default and where the default comes from.
//!
//! Sources: RL-Co is arXiv 2602.12628 (stage I mixes by alpha, stage II adds `beta * SFT(real)`), RLinf is its public
//! implementation, MimicGen is arXiv 2310.17596.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::decode::Decoder;
use super::print::Printed;
use super::reference::Reference;
use super::shape::{Decode, Shape, above, at_least, between, choice, name, non_empty, record};
use super::syntax::Node;

record! {
    /// A whole experiment: two twins, a policy, and the stages that train and judge it.
    pub struct Recipe {
        /// Name of the experiment; run folders and reports carry it.
        name: String where name();
        /// Seed of everything random. Recipe, lock and seed determine a run bit for bit on one machine.
        seed: u64 = 0;
        /// Recipes read before this one; what is written here wins over them, field by field.
        include: Vec<PathBuf> = [];
        /// Files or folders searched for plugins before the usual places, relative to this file.
        plugins: Vec<PathBuf> = [];
        /// Threads the whole run may keep busy; all cores when left out.
        threads: Option<usize> = None where at_least(1.0);
        /// Report a component that has not returned from a call for this long, seconds (algorithms: ten times as long).
        hang_after_s: f64 = 30.0 where above(0.0);
        /// Which plugins may be loaded.
        trust: Trust = Any;
        /// What each sandboxed component may use, unless its own `limits` say otherwise.
        sandbox: Limits = ();
        /// Environments by name; the stages refer to these names. A digital twin is two environments with one interface.
        envs: BTreeMap<String, Env> where non_empty();
        /// The policy all stages work on.
        policy: Policy;
        /// What happens, in this order: demonstrations, supervised stage, reinforcement stage, evaluation.
        stages: Stages;
        /// Named variations of this recipe for comparison (`--arm`, `--arms`): parts of a recipe laid over this one.
        /// `sft_real`, `sft_cotrain`, `rlco`, `rlco_no_anchor` and `no_sim_sft` are built in and may be redefined.
        arms: BTreeMap<String, Overlay> = {};
        /// When to save the state a run resumes from.
        checkpoint: Checkpoint = ();
    }
}

choice! {
    /// Which plugins may be loaded.
    pub enum Trust {
        /// Everything but what drives hardware.
        Any,
        /// What the user has allowed with `host plugin trust`, by hash or by key; hardware needs this.
        Locked,
    }
}

choice! {
    /// Where a component lives.
    pub enum Isolation {
        /// In the host's process: fastest, and a crash takes the host along.
        InProcess,
        /// In a process of its own: a crash, an exit or a hang is the component's failure, and it is started again.
        Process,
    }
}

record! {
    /// A vectorised environment, simulated or real.
    pub struct Env {
        /// Name of the plugin component, or the file that holds it (`.py`, `.c`, `.js`, `.wasm`, or a project's folder), relative to this file.
        component: Reference where non_empty();
        /// The component's own configuration, which also says how many instances run side by side (`num_envs`).
        config: Config = ();
        /// Where it lives.
        isolation: Isolation = InProcess;
        /// Monitors that every action passes on its way to this environment, in this order.
        filters: Vec<Filter> = [];
    }
}

record! {
    /// The policy that is trained.
    pub struct Policy {
        /// Name of the plugin component, or the file that holds it (`.py`, `.c`, `.js`, `.wasm`, or a project's folder), relative to this file.
        component: Reference where non_empty();
        /// The component's own configuration.
        config: Config = ();
        /// Folder with weights to start from; drawn at random when left out. Stage I takes up the demonstrations' normalisation; without it the weights keep
        /// their own.
        init: Option<PathBuf> = None;
        /// Where it lives; one that is trained lives in the host's process.
        isolation: Isolation = InProcess;
    }
}

record! {
    /// A plugin component and its configuration.
    pub struct Component {
        /// Name of the plugin component, or the file that holds it (`.py`, `.c`, `.js`, `.wasm`, or a project's folder), relative to this file.
        component: Reference where non_empty();
        /// The component's own configuration.
        config: Config = ();
        /// Where it lives; an algorithm lives in the host's process.
        isolation: Isolation = InProcess;
    }
}

record! {
    /// What a sandboxed component may use. A call that wants more fails, and with it the component.
    pub struct Limits {
        /// Instructions per call. The count is the same in every run, so a limit decides nothing that a repetition would decide otherwise.
        /// 1000000000 for whatever takes part in control (environments, filters, policies), if nothing is said.
        fuel: Option<u64> = None where between(1000.0, 1e15);
        /// Memory in all, MiB.
        memory_mib: u64 = 256 where between(1.0, 65536.0);
        /// Instead of counting instructions, stop a call after this time, ms. Quicker per instruction, but whether a slow call fails depends on the
        /// machine's load, so a run in which one fails may not repeat. 2000 for rewards, if nothing is said.
        deadline_ms: Option<u64> = None where between(1.0, 3600000.0);
        /// What it may be given if its own manifest asks for it; what `sandbox` grants, every component may have.
        grants: Vec<Permission> = [];
    }
}

choice! {
    /// Something of the machine's that a sandboxed component can be given.
    pub enum Permission {
        /// The time of day and a stopwatch. What it computes may then differ from run to run.
        Clock,
        /// Random numbers, drawn from the run's seed.
        Random,
        /// Lines in the host's log.
        Log,
    }
}

record! {
    /// A reward component that is added to the environment's own reward.
    pub struct WeightedReward {
        /// Name of the plugin component, or the file that holds it (`.py`, `.c`, `.js`, `.wasm`, or a project's folder), relative to this file.
        component: Reference where non_empty();
        /// The component's own configuration.
        config: Config = ();
        /// Factor of its scores in the sum.
        weight: f64 = 1.0 where between(-1e6, 1e6);
        /// What a failure of the component means for the run.
        on_error: OnError = Stop;
        /// Where it lives.
        isolation: Isolation = InProcess;
        /// What it may use if it is sandboxed; left out, the recipe's `sandbox` holds. For each of its instances.
        limits: Option<Limits> = None;
        /// Instances that score at the same time, each its own share of the environments: for a reward that takes long, on a machine with processors
        /// to spare. One that compares environments with each other needs to be alone.
        instances: usize = 1 where between(1.0, 256.0);
        /// Take up changes of the component's source file while the stage runs, at the beginning of an iteration. In simulation only.
        live: bool = false;
    }
}

choice! {
    /// What a component's failure means for the run. Each failure is counted and shown.
    pub enum OnError {
        /// The run ends with the component's message.
        Stop,
        /// The chunk counts 0, and a sandboxed component starts anew.
        Zero,
        /// The component is left out of the rest of the stage.
        Skip,
    }
}

record! {
    /// An action monitor between policy and environment. It may make a motion smaller or forbid it, and nothing else.
    pub struct Filter {
        /// Name of the plugin component, or the file that holds it (`.py`, `.c`, `.js`, `.wasm`, or a project's folder), relative to this file.
        component: Reference where non_empty();
        /// The component's own configuration.
        config: Config = ();
        /// What it may use; left out, the recipe's `sandbox` holds.
        limits: Option<Limits> = None;
    }
}

record! {
    /// The stages. One that is `None` is left out of the run.
    pub struct Stages {
        /// Demonstrations to learn from.
        demos: Demos = ();
        /// Stage I of RL-Co: supervised fine-tuning on mixed demonstrations.
        sft: Option<Sft> = None;
        /// Stage II of RL-Co: reinforcement learning in simulation, anchored by real demonstrations.
        rl: Option<Rl> = None;
        /// Evaluation of the final policy.
        eval: Option<Eval> = None;
    }
}

record! {
    /// Where demonstrations come from.
    pub struct Demos {
        /// Demonstrations in the real twin.
        real: Option<RealDemos> = None;
        /// Demonstrations generated in simulation from a few real ones.
        sim: Option<SimDemos> = None;
    }
}

record! {
    /// Demonstrations an expert records.
    pub struct RealDemos {
        /// Environment they are recorded in.
        env: String = "real" where non_empty();
        /// The policy that demonstrates.
        expert: Component;
        /// Successful episodes to record. RL-Co uses 20 to 50 per task.
        episodes: usize = 30 where between(1.0, 1e6);
        /// Give up after this many attempts per wanted episode.
        attempts_per_episode: usize = 20 where between(1.0, 1e6);
    }
}

record! {
    /// MimicGen: each attempt moves the object-centric segments of a source demonstration to where the objects are now.
    pub struct SimDemos {
        /// Environment they are generated in.
        env: String = "sim" where non_empty();
        /// Successful episodes to generate. RL-Co uses about 1000 per task.
        episodes: usize = 300 where between(1.0, 1e7);
        /// How many of the real demonstrations, replayed in simulation, serve as sources. MimicGen uses 10.
        source_demos: usize = 10 where between(1.0, 1e6);
        /// Poses interpolated from where the arm is to the start of a segment (MimicGen: 5).
        interpolation_steps: usize = 5 where between(0.0, 1000.0);
        /// Repeats of a segment's first pose after the interpolation (MimicGen: 0).
        fixed_steps: usize = 0 where between(0.0, 1000.0);
        /// Standard deviation of the noise added to pose actions, in action units of [-1, 1] (MimicGen: 0.05).
        action_noise: f64 = 0.05 where between(0.0, 1.0);
        /// Also add that noise while interpolating.
        noise_during_interpolation: bool = false;
        /// Probability of a disturbance in a control step: noise on the pose actions that is executed but not recorded, so that the
        /// demonstrations show how to get back on course (DART, arXiv 1703.09327).
        disturbance_probability: f64 = 0.0 where between(0.0, 1.0);
        /// Standard deviation of a disturbance, in action units of [-1, 1].
        disturbance: f64 = 0.5 where between(0.0, 2.0);
        /// How the source demonstration is chosen.
        selection: Selection = ();
        /// Choose a source for every subtask instead of once per episode.
        select_per_subtask: bool = false;
        /// Control steps, least and most, by which the end of a segment is shifted at random (MimicGen: 5 to 10);
        /// the last segment always ends with the demonstration.
        offset_range: (usize, usize) = (5, 10);
        /// Give up after this many attempts per wanted episode.
        attempts_per_episode: usize = 20 where between(1.0, 1e6);
    }
}

record! {
    /// Choice of a source demonstration (MimicGen).
    pub struct Selection {
        /// What counts as similar.
        strategy: Strategy = NearestNeighborObject;
        /// Draw from this many nearest ones (MimicGen: 3).
        k: usize = 3 where between(1.0, 1e6);
    }
}

choice! {
    /// What makes a source demonstration similar to the present scene.
    pub enum Strategy {
        /// All are equal.
        Random,
        /// The pose of the segment's reference object.
        NearestNeighborObject,
        /// The end-effector's distance to the transformed start of the segment.
        NearestNeighborRobotDistance,
    }
}

record! {
    /// Stage I: `alpha * SFT(sim) + (1 - alpha) * SFT(real)`, by drawing each sample from sim with probability alpha.
    pub struct Sft {
        /// Share of simulated samples. RL-Co beats plain co-training for every value it tried.
        alpha: f64 = 0.5 where between(0.0, 1.0);
        /// Optimiser steps.
        steps: usize = 1500 where between(1.0, 1e9);
        /// Samples per optimiser step.
        batch_size: usize = 64 where between(1.0, 1e6);
        /// The supervised algorithm.
        algorithm: Component;
    }
}

record! {
    /// Stage II: `RL(sim) + beta * SFT(real)`.
    pub struct Rl {
        /// Environment the policy interacts with.
        env: String = "sim" where non_empty();
        /// Rollouts, each followed by one update of the algorithm.
        iterations: usize = 40 where between(1.0, 1e9);
        /// Action chunks per environment and rollout (T of the `[T, B]` rollout).
        chunks: usize = 12 where between(1.0, 1e6);
        /// Softmax temperature of the policy while it explores (RLinf: 1.0 or 1.6).
        temperature: f64 = 1.0 where above(0.0);
        /// The reinforcement algorithm.
        algorithm: Component;
        /// Factor of the environment's own reward in the sum; 0 leaves the components of `rewards` alone.
        env_reward_weight: f64 = 1.0 where between(-1e6, 1e6);
        /// Reward components added to the environment's own reward, each by its weight.
        rewards: Vec<WeightedReward> = [];
        /// The anchor that keeps the policy on the real robot's demonstrations.
        anchor: Anchor = ();
        /// Evaluate in the training environment after every so many iterations; 0 means never.
        eval_every: usize = 0;
        /// Episodes of each such evaluation.
        eval_episodes: usize = 32 where between(1.0, 1e6);
    }
}

record! {
    /// The term `beta * SFT(real)` added to every loss that updates the policy.
    pub struct Anchor {
        /// Weight of the term; 0 turns it off and leaves the plain algorithm, bit for bit (RL-Co's released value: 0.2).
        beta: f64 = 0.2 where at_least(0.0);
        /// Real samples per micro-batch of the algorithm (RLinf: one batch per micro-batch).
        batch_size: usize = 16 where between(1.0, 1e6);
    }
}

record! {
    /// Evaluation: every variant in every environment, with the same episode seeds for every arm.
    pub struct Eval {
        /// Environments to evaluate in.
        envs: Vec<String> = ["sim", "real"] where non_empty();
        /// Variants of the task, as the environments name them; the empty name is their training distribution.
        variants: Vec<String> = ["train"] where non_empty();
        /// Episodes per environment and variant.
        episodes: usize = 100 where between(1.0, 1e6);
        /// First seed of the episodes; independent of the recipe's seed, so that seeds and arms are compared on equal episodes.
        seed: u64 = 1000000;
        /// How actions are chosen.
        mode: ActionChoice = Greedy;
        /// Softmax temperature when actions are sampled (RLinf evaluates at 0.6).
        temperature: f64 = 0.6 where above(0.0);
        /// Episodes per environment filmed for the report.
        films: usize = 4 where between(0.0, 1000.0);
    }
}

choice! {
    /// How a policy chooses among its actions.
    pub enum ActionChoice {
        /// The most likely action.
        Greedy,
        /// A draw from the distribution.
        Sample,
    }
}

record! {
    /// When to save what a run resumes from. A run also saves at the end of each stage and when it is asked to stop.
    pub struct Checkpoint {
        /// Optimiser steps of stage I between checkpoints.
        every_steps: usize = 200 where between(1.0, 1e9);
        /// Iterations of stage II between checkpoints.
        every_iterations: usize = 5 where between(1.0, 1e9);
    }
}

/// A component's own configuration: RON text in canonical form that the host does not interpret.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub ron: String,
    /// Where it stands in the recipe, e.g. `stages.rl.algorithm.config`.
    pub path: String,
}

impl Decode for Config {
    fn shape() -> Shape {
        Shape::Raw
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { ron: Printed::of(node).text, path: decoder.path() })
    }
}

/// A part of a recipe that is laid over the rest when its arm is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    pub ron: String,
}

impl Decode for Overlay {
    fn shape() -> Shape {
        Shape::Overlay
    }
    fn decode(node: &Node, _: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { ron: Printed::of(node).text })
    }
}

impl Default for Limits {
    /// What a recipe that says nothing gets.
    fn default() -> Self {
        Self { fuel: None, memory_mib: 256, deadline_ms: None, grants: Vec::new() }
    }
}

impl Recipe {
    /// Some stage learns from simulated demonstrations.
    pub fn needs_sim_demos(&self) -> bool {
        self.stages.sft.as_ref().is_some_and(|sft| sft.alpha > 0.0)
    }

    /// The environment that the policy is told about, if it wants to know: where it is trained, or else measured first.
    pub fn policy_env(&self) -> Option<&str> {
        let stages = &self.stages;
        let tried = stages.eval.as_ref().and_then(|eval| eval.envs.first());
        stages.rl.as_ref().map(|rl| &rl.env).or(tried).or_else(|| self.envs.keys().next()).map(String::as_str)
    }

    /// Some stage learns from real demonstrations, or simulated ones are generated from them.
    pub fn needs_real_demos(&self) -> bool {
        let stages = &self.stages;
        self.needs_sim_demos()
            || stages.sft.as_ref().is_some_and(|sft| sft.alpha < 1.0)
            || stages.rl.as_ref().is_some_and(|rl| rl.anchor.beta > 0.0)
    }
}
