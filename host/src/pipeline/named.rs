//! The components a recipe names.

use crate::loader::Kind;
use crate::recipe::{Recipe, Reference};

/// Every component of every stage; one that is named twice comes twice.
pub fn named(recipe: &Recipe) -> Vec<(Kind, &Reference)> {
    let stages = &recipe.stages;
    let mut named: Vec<(Kind, &Reference)> = recipe.envs.values().map(|env| (Kind::Env, &env.component)).collect();
    named.push((Kind::Policy, &recipe.policy.component));
    named.extend(stages.demos.real.iter().map(|real| (Kind::Policy, &real.expert.component)));
    named.extend(stages.sft.iter().map(|sft| (Kind::Algorithm, &sft.algorithm.component)));
    named.extend(stages.rl.iter().map(|rl| (Kind::Algorithm, &rl.algorithm.component)));
    named.extend(stages.rl.iter().flat_map(|rl| &rl.rewards).map(|reward| (Kind::Reward, &reward.component)));
    named.extend(recipe.envs.values().flat_map(|env| &env.filters).map(|filter| (Kind::Filter, &filter.component)));
    named
}
