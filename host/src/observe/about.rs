//! `run.json`: what a run is (recipe, seed, arms) and where it ran; `status.json`: how it stands.

use serde::{Deserialize, Serialize};
use std::fs;

use super::clock;

/// Written once when a run folder is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunAbout {
    /// Short name of the recipe, e.g. `rlco_openvla`.
    pub recipe: String,
    /// One line for people, shown as the report's title.
    pub title: String,
    pub seed: u64,
    /// In the order in which they are shown.
    pub arms: Vec<ArmAbout>,
    pub started_unix: f64,
    pub host_version: String,
    /// The command line, without the program's folder.
    pub command: Vec<String>,
    pub machine: Machine,
}

/// One arm of the comparison (a row of the report's table).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmAbout {
    /// Key in file names and metrics, e.g. `rlco_no_anchor`.
    pub name: String,
    /// For people, e.g. `RL-Co without the anchor`.
    pub title: String,
}

impl ArmAbout {
    pub fn new(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self { name: name.into(), title: title.into() }
    }
}

impl RunAbout {
    /// A run that starts now on this machine with this process's command line.
    pub fn new(recipe: impl Into<String>, title: impl Into<String>, seed: u64, arms: Vec<ArmAbout>) -> Self {
        let mut command: Vec<String> = std::env::args().collect();
        if let Some(program) = command.first_mut() {
            *program = program.rsplit('/').next().unwrap_or(program).to_owned();
        }
        Self {
            recipe: recipe.into(),
            title: title.into(),
            seed,
            arms,
            started_unix: clock::unix_now(),
            host_version: env!("CARGO_PKG_VERSION").into(),
            command,
            machine: Machine::detect(),
        }
    }
}

/// The computer, as far as it explains the run's speed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub system: String,
    pub cpu: String,
    /// Threads that this process may run at once.
    pub cores: usize,
    pub memory_bytes: u64,
    /// Empty without an NVIDIA GPU.
    pub gpus: Vec<String>,
}

impl Machine {
    /// Reads `/proc` and `/etc/os-release`; what cannot be read stays empty.
    pub fn detect() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value_of = |text: &str, key: &str, separator: char| {
            text.lines()
                .find_map(|l| l.split_once(separator).filter(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().trim_matches('"').to_owned()))
        };
        let memory_kib = value_of(&read("/proc/meminfo"), "MemTotal", ':').and_then(|v| v.trim_end_matches(" kB").parse::<u64>().ok());
        let gpu_files = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
        let mut gpus: Vec<String> =
            gpu_files.filter_map(|e| value_of(&fs::read_to_string(e.path().join("information")).ok()?, "Model", ':')).collect();
        gpus.sort();
        Self {
            system: value_of(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or_else(|| std::env::consts::OS.into()),
            cpu: value_of(&read("/proc/cpuinfo"), "model name", ':').unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_kib.unwrap_or(0) * 1024,
            gpus,
        }
    }

    /// `2 × Some CPU, 24 GiB, Debian GNU/Linux 12`.
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("{} × {}", self.cores, self.cpu)];
        if self.memory_bytes > 0 {
            parts.push(format!("{:.0} GiB", self.memory_bytes as f64 / (1u64 << 30) as f64));
        }
        parts.extend(self.gpus.iter().cloned());
        parts.push(self.system.clone());
        parts.join(", ")
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    pub phase: RunPhase,
    pub since_unix: f64,
    /// What is going on, or why it stopped.
    #[serde(default)]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    Running,
    /// Stopped by the user after a checkpoint; can be resumed.
    Interrupted,
    Failed,
    Finished,
}

impl RunPhase {
    pub fn label(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::detect();
        assert!(machine.cores >= 1 && !machine.cpu.is_empty() && machine.memory_bytes > 1 << 28, "{machine:?}");
        assert!(machine.summary().contains("GiB"));
    }
}
