//! Rules between fields: what one field says must exist or fit elsewhere in the recipe.

use std::path::Path;

use super::diagnostics::{Finding, suggest};
use super::model::{Isolation, Recipe};
use super::overrides::find;
use super::syntax::Node;
use crate::codes::Code;

const REMEDY: &str = "write InProcess, or leave the field out";

/// Everything that is wrong with a recipe whose single fields are all right.
pub fn check(recipe: &Recipe, root: &Node) -> Vec<Finding> {
    let mut rules = Rules { recipe, root, findings: Vec::new() };
    rules.environments();
    rules.demonstrations();
    rules.rewards();
    rules.evaluation();
    rules.isolation();
    rules.limits();
    rules.files();
    rules.findings
}

struct Rules<'a> {
    recipe: &'a Recipe,
    root: &'a Node,
    findings: Vec<Finding>,
}

impl Rules<'_> {
    fn report(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let at = find(self.root, path).map_or_else(|| self.root.opening(), Node::opening);
        self.findings.push(Finding::new(Code::Contradiction, at, path, message).help(help));
    }

    /// Stages refer to environments by name.
    fn environments(&mut self) {
        let stages = &self.recipe.stages;
        let mut uses: Vec<(String, &String)> = Vec::new();
        uses.extend(stages.demos.real.as_ref().map(|d| ("stages.demos.real.env".to_owned(), &d.env)));
        uses.extend(stages.demos.sim.as_ref().map(|d| ("stages.demos.sim.env".to_owned(), &d.env)));
        uses.extend(stages.rl.as_ref().map(|rl| ("stages.rl.env".to_owned(), &rl.env)));
        let evaluated = stages.eval.iter().flat_map(|e| e.envs.iter().enumerate());
        uses.extend(evaluated.map(|(i, env)| (format!("stages.eval.envs[{i}]"), env)));
        for (path, env) in uses {
            if !self.recipe.envs.contains_key(env) {
                let help = suggest(env, "environments", self.recipe.envs.keys().map(String::as_str));
                self.report(&path, format!("there is no environment `{env}` under `envs`"), help);
            }
        }
    }

    /// Stages need the demonstrations they learn from.
    fn demonstrations(&mut self) {
        let stages = &self.recipe.stages;
        let (real, sim) = (stages.demos.real.as_ref(), stages.demos.sim.as_ref());
        if let Some(sft) = &stages.sft {
            if sft.alpha > 0.0 && sim.is_none() {
                let message = format!("alpha {} draws simulated samples, but there is no `stages.demos.sim`", sft.alpha);
                self.report("stages.sft.alpha", message, "add `stages.demos.sim`, or set alpha to 0");
            }
            if sft.alpha < 1.0 && real.is_none() {
                let message = format!("alpha {} draws real samples, but there is no `stages.demos.real`", sft.alpha);
                self.report("stages.sft.alpha", message, "add `stages.demos.real`, or set alpha to 1");
            }
        }
        if let Some(rl) = stages.rl.as_ref().filter(|rl| rl.anchor.beta > 0.0 && real.is_none()) {
            let message = format!("beta {} anchors to real demonstrations, but there is no `stages.demos.real`", rl.anchor.beta);
            self.report("stages.rl.anchor.beta", message, "add `stages.demos.real`, or set beta to 0");
        }
        let Some(sim) = sim else { return };
        match real {
            None => self.report(
                "stages.demos.sim",
                "simulated demonstrations are generated from real ones, but there is no `stages.demos.real`",
                "add `stages.demos.real`",
            ),
            Some(real) if sim.source_demos > real.episodes => {
                let message = format!("{} source demonstrations are wanted, but only {} are recorded", sim.source_demos, real.episodes);
                self.report("stages.demos.sim.source_demos", message, format!("write {} or less, or record more episodes", real.episodes));
            }
            Some(_) => {}
        }
        let (least, most) = sim.offset_range;
        if least > most {
            self.report(
                "stages.demos.sim.offset_range",
                format!("the least offset {least} is above the most {most}"),
                format!("write ({most}, {least})"),
            );
        }
    }

    /// Something must be left to learn from.
    fn rewards(&mut self) {
        let Some(rl) = &self.recipe.stages.rl else { return };
        if rl.env_reward_weight == 0.0 && rl.rewards.iter().all(|reward| reward.weight == 0.0) {
            let message = "every reward counts 0, so there is nothing to learn from".to_owned();
            self.report("stages.rl.env_reward_weight", message, "add a component to `stages.rl.rewards`, or write another weight");
        }
        for (i, reward) in rl.rewards.iter().enumerate().filter(|(_, reward)| reward.live && reward.component.file().is_none()) {
            let message = format!("`{}` is the name of an installed component, whose file does not change during a run", reward.component);
            let help = "name the component by its source file or project folder, or leave `live` out";
            self.report(&format!("stages.rl.rewards[{i}].live"), message, help);
        }
    }

    fn evaluation(&mut self) {
        let Some(eval) = &self.recipe.stages.eval else { return };
        for (field, names) in [("envs", &eval.envs), ("variants", &eval.variants)] {
            for (i, name) in names.iter().enumerate() {
                if names[..i].contains(name) {
                    self.report(&format!("stages.eval.{field}[{i}]"), format!("`{name}` is listed twice"), "keep one of the two");
                }
            }
        }
    }

    /// Gradients do not cross between processes.
    fn isolation(&mut self) {
        let stages = &self.recipe.stages;
        let sft = stages.sft.as_ref().map(|s| ("stages.sft.algorithm.isolation", &s.algorithm));
        let rl = stages.rl.as_ref().map(|s| ("stages.rl.algorithm.isolation", &s.algorithm));
        let algorithms: Vec<_> = sft.into_iter().chain(rl).collect();
        let trained = !algorithms.is_empty();
        let apart: Vec<&str> = algorithms.iter().filter(|(_, a)| a.isolation == Isolation::Process).map(|(path, _)| *path).collect();
        for path in apart {
            self.report(path, "an algorithm cannot live in a process of its own: gradients do not cross between processes", REMEDY);
        }
        if trained && self.recipe.policy.isolation == Isolation::Process {
            let message = "a policy that is trained cannot live in a process of its own: gradients do not cross between processes";
            self.report("policy.isolation", message, REMEDY);
        }
    }

    /// A sandboxed call is stopped in one way.
    fn limits(&mut self) {
        let envs = self.recipe.envs.iter().flat_map(|(name, env)| {
            let filters = env.filters.iter().enumerate();
            filters.map(move |(i, filter)| (format!("envs.{name}.filters[{i}].limits"), filter.limits.as_ref()))
        });
        let rewards = self.recipe.stages.rl.iter().flat_map(|rl| rl.rewards.iter().enumerate());
        let rewards = rewards.map(|(i, reward)| (format!("stages.rl.rewards[{i}].limits"), reward.limits.as_ref()));
        let all = std::iter::once(("sandbox".to_owned(), Some(&self.recipe.sandbox))).chain(envs).chain(rewards);
        let twice: Vec<String> = all
            .filter(|(_, limits)| limits.is_some_and(|limits| limits.fuel.is_some() && limits.deadline_ms.is_some()))
            .map(|(path, _)| format!("{path}.deadline_ms"))
            .collect();
        for path in twice {
            self.report(&path, "a call is stopped by the clock or by its fuel, and both are given", "keep one of `deadline_ms` and `fuel`");
        }
    }

    /// Files and folders the recipe names.
    fn files(&mut self) {
        for (i, path) in self.recipe.plugins.iter().enumerate() {
            self.exists(&format!("plugins[{i}]"), path);
        }
        if let Some(init) = &self.recipe.policy.init {
            self.exists("policy.init", init);
        }
    }

    fn exists(&mut self, field: &str, path: &Path) {
        // `metadata` and not `exists`, because "permission denied" is worth telling apart from "not there".
        if let Err(e) = std::fs::metadata(path) {
            self.report(field, format!("cannot use `{}`: {e}", path.display()), "the path is relative to the file it is written in");
        }
    }
}
