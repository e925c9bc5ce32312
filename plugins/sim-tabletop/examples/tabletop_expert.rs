//! Success rate and episode length of the scripted expert: `cargo run --example tabletop_expert -- [EPISODES] [TASK]`.

use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, Env, HostServices, Policy, ResetRequest, Result, names};
use twinhost_sim_tabletop::{Expert, Tabletop};

fn main() -> Result<()> {
    let episodes: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(50);
    let only = std::env::args().nth(2);
    for task in ["PickPlace", "PushCube", "OpenDrawer", "CloseDrawer"] {
        if only.as_ref().is_some_and(|o| o != task) {
            continue;
        }
        for twin in ["Sim", "Real"] {
            for variant in ["train", "ood_object", "ood_start"] {
                let text = format!("(task: {task}, twin: {twin}, num_envs: {episodes}, cameras: [])");
                let services = HostServices::standalone(2, 0);
                let mut env = Tabletop::create(ComponentConfig::new(&text), services)?;
                let mut expert = Expert::create(ComponentConfig::new(""), services)?;
                let seeds: Vec<u64> = (0..episodes as u64).collect();
                expert.reset(&(0..episodes).collect::<Vec<_>>(), &seeds)?;
                let mut observed = env.reset(&ResetRequest::new(seeds).variant(variant).privileged())?;
                let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 0, training: false };
                let mut length = vec![0usize; episodes];
                let mut over = vec![false; episodes];
                for step in 1..=env.spec().max_episode_steps {
                    let action = expert.act(&observed, &request)?;
                    observed = env.step(action.get(names::ACTION)?)?;
                    let ended = observed.slice::<bool>(names::TERMINATED)?.iter().zip(observed.slice::<bool>(names::TRUNCATED)?);
                    for (row, (terminated, truncated)) in ended.enumerate() {
                        if (*terminated || *truncated) && !over[row] {
                            over[row] = true;
                            length[row] = step;
                        }
                    }
                }
                let success = observed.slice::<bool>(names::SUCCESS)?;
                let solved = success.iter().filter(|s| **s).count();
                let steps: usize = length.iter().zip(success).filter(|(_, s)| **s).map(|(l, _)| l).sum();
                let failed: Vec<usize> = (0..episodes).filter(|i| !success[*i]).take(12).collect();
                println!(
                    "{task:12} {twin:5} {variant:11} {solved}/{episodes} solved, {:.1} steps on average, failed seeds {failed:?}",
                    steps as f64 / solved.max(1) as f64
                );
            }
        }
    }
    Ok(())
}
