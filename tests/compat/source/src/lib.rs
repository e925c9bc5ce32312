//! One component of every kind, small, whole and deterministic: what hosts to come must still load and call.

mod devices;
mod learning;
mod line;

twinhost_plugin_api::export_plugin! {
    manifest: "../plugin.ron",
    envs: { "line" => line::Line::create },
    robots: { "joint" => devices::Joint::create },
    cameras: { "grey" => devices::Grey::create },
    teleops: { "nobody" => devices::Nobody::create },
    rewards: { "length" => learning::Length::create },
    policies: { "still" => learning::Still::create },
    algorithms: { "count" => learning::Count::create },
}
