//! RL-Co, stage by stage (arXiv 2602.12628).
//!
//! ```text
//! demos:  an expert records real demonstrations; MimicGen multiplies them in simulation
//! sft:    alpha * SFT(sim) + (1 - alpha) * SFT(real)
//! rl:     RL(sim) + beta * SFT(real)
//! eval:   both twins, in and out of distribution, the same episodes for every arm
//! ```
//!
//! An *arm* is a variation of the recipe (no anchor, real data only, ...). Arms are run one after the other; a stage that two arms
//! share is run once, because a stage is identified by everything that determines its result ([`stage_key`]).

mod checkpoint;
mod demos;
mod error;
mod evaluation;
mod live;
mod named;
mod rl;
mod session;
mod sft;

pub use checkpoint::{RunState, StageState, checkpoint_folder, stage_key};
pub use demos::Demonstrations;
pub use error::{Error, Result};
pub use evaluation::{measure, success_rate, summary};
pub use live::add_file;
pub use named::named;
pub use session::{Session, create_algorithm, create_env, create_expert, create_policy, request_stop, stop_requested, terms};

use crate::recipe::LoadedRecipe;

/// One arm: its name and the recipe with the arm applied.
pub struct Arm {
    pub name: String,
    pub recipe: LoadedRecipe,
}

/// Runs every arm, skipping what the run folder already has.
///
/// # Errors
/// If a component fails, a file cannot be written, or the user stops the run. The run can be resumed in each case.
pub fn run(session: &mut Session, arms: &[Arm]) -> Result<()> {
    for arm in arms {
        session.arm.clone_from(&arm.name);
        if session.state.finished.contains_key(&arm.name) {
            continue;
        }
        let stages = &arm.recipe.recipe.stages;
        let demos = demos::prepare(session, &arm.recipe)?;
        let mut last = None;
        if let Some(stage) = &stages.sft {
            last = Some(sft::run(session, &arm.recipe, stage, &demos)?);
        }
        if let Some(stage) = &stages.rl {
            last = Some(rl::run(session, &arm.recipe, stage, last.as_deref(), &demos)?);
        }
        if let Some(stage) = &stages.eval {
            let mut policy = session.policy(&arm.recipe)?;
            if let Some(key) = &last {
                session.restore(key, &mut policy, None)?;
            }
            evaluation::run(session, &arm.recipe, stage, &mut policy)?;
        }
        session.sink.sync()?;
        session.state.global_step = session.sink.global_step();
        session.state.finished.insert(arm.name.clone(), last);
        session.run.write_state(&session.state)?;
    }
    Ok(())
}
