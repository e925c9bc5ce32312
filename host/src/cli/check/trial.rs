//! One action of a policy on an observation that is empty but has the environment's shapes: what the policy cannot read shows here and not
//! minutes into a run.

use twinhost_plugin_api::{
    ActMode, ActRequest, Batch, DatasetStatistics, EnvSpec, Error, FeatureStatistics, Policy, PolicySpec, Result, Tensor, names,
};

/// Beyond this many parameters one more policy and one action take too long for a check.
pub const LARGE: u64 = 200_000_000;

const INSTRUCTION: &str = "try";

/// Statistics of data that fill [-1, 1] in every dimension.
fn unit(dims: usize) -> FeatureStatistics {
    let all = |value: f64| vec![value; dims];
    FeatureStatistics {
        mean: all(0.0),
        std: all(1.0),
        min: all(-1.0),
        max: all(1.0),
        q01: all(-1.0),
        q99: all(1.0),
        mask: vec![true; dims],
    }
}

fn blank(spec: &PolicySpec, env: &EnvSpec) -> Result<Batch> {
    let mut batch = Batch::new();
    for feature in env.observation.iter().filter(|feature| spec.observation.contains(&feature.name)) {
        let shape: Vec<usize> = [1].into_iter().chain(feature.shape.iter().copied()).collect();
        batch.insert(feature.name.clone(), Tensor::zeros_of(feature.dtype, &shape)?);
    }
    for text in &spec.texts {
        batch.insert_text(text.clone(), vec![INSTRUCTION.to_owned()]);
    }
    Ok(batch)
}

/// Lets a fresh policy act once in `env`, whose features have the names that it reads.
///
/// # Errors
/// What the policy says, or that its actions have another shape than it stated.
pub fn act_once(policy: &mut dyn Policy, env: &EnvSpec) -> Result<()> {
    let spec = policy.spec();
    let state = env.observation.iter().find(|feature| feature.name == names::STATE).map_or(0, |f| f.shape.iter().product());
    policy.set_statistics(&DatasetStatistics {
        action: unit(env.action.dim()),
        state: unit(state),
        tasks: vec![INSTRUCTION.to_owned()],
        num_transitions: 1,
        num_trajectories: 1,
    })?;
    policy.reset(&[0], &[0])?;
    let request = ActRequest { mode: ActMode::Greedy, temperature: spec.temperature.unwrap_or(1.0), seed: 0, training: false };
    let acted = policy.act(&blank(&spec, env)?, &request)?;
    let (shape, stated) = (acted.get(names::ACTION)?.shape(), [1, spec.chunk, spec.action_dim]);
    if shape[..] != stated {
        return Err(Error::internal(format!("returned actions of shape {shape:?} and had stated {stated:?}")));
    }
    Ok(())
}
