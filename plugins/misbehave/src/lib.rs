//! Components that fail in every way the host has to survive: each works well until its fault is due.
//!
//! The library's own constructor misbehaves if the variable `TWINHOST_MISBEHAVE_CONSTRUCTOR` says so (`exit`, `abort`).

mod constructor;
mod env;
mod fault;
mod policy;
mod reward;
mod robot;

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    envs: { "faulty_env" => env::FaultyEnv::create },
    robots: { "faulty_robot" => robot::FaultyRobot::create },
    rewards: { "faulty_reward" => reward::FaultyReward::create },
    policies: { "faulty_policy" => policy::FaultyPolicy::create },
}
