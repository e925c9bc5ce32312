//! The Twinhost host: loads plugins and composes them from recipes.

pub mod authoring;
pub mod cli;
pub mod codes;
pub mod data;
pub mod folders;
pub mod loader;
pub mod observe;
pub mod pipeline;
pub mod recipe;
pub mod rollout;
