//! Physics twins of a table-top manipulation cell: MuJoCo, a Franka-like arm with a parallel gripper, four tasks, two looks.
//!
//! The story in order: [`config`] and [`gap`] say what a recipe may set; [`objects`] and `scene` build the world;
//! [`kinematics`] and [`controller`] move the arm; `task` says where episodes start and what counts; `instance` runs one
//! episode, `workers` many; [`Tabletop`] is the component, [`Expert`] the scripted planner that solves the tasks.

mod cell;
pub mod config;
pub mod controller;
mod expert;
pub mod frustum;
pub mod gap;
mod instance;
pub mod kinematics;
pub mod measure;
pub mod objects;
pub mod observe;
mod photometry;
mod random;
pub mod randomization;
pub mod render;
pub mod scene;
mod snapshot;
mod tabletop;
pub mod task;
mod workers;

pub use expert::Expert;
pub use tabletop::Tabletop;

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    envs: { "tabletop" => Tabletop::create },
    policies: { "tabletop_expert" => Expert::create },
}
