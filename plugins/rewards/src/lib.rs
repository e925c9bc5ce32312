//! Native reward components: shaping terms that a recipe adds, by weight, to an environment's own reward.

mod action_smoothness;
mod reach;
mod step_penalty;

pub use action_smoothness::ActionSmoothness;
pub use reach::Reach;
pub use step_penalty::StepPenalty;

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    rewards: {
        "step_penalty" => StepPenalty::create,
        "action_smoothness" => ActionSmoothness::create,
        "reach" => Reach::create,
    },
}
