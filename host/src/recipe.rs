//! Recipes: RON text -> typed recipe, or every mistake at once, each with its line, field path and remedy.
//!
//! The way of a recipe: [`syntax`] reads texts into trees that know their positions; [`compose`] merges includes and the
//! chosen arm; [`overrides`] applies `--set`; [`decode`] adds defaults and decodes into the types of [`model`], whose
//! fields, ranges and defaults are declared once ([`shape`]); [`rules`] checks fields against each other. The merged tree
//! stays at hand, so that whatever goes wrong later (a plugin refuses its configuration, an environment lacks a variant)
//! is shown at the line that caused it. [`lock`] records what a recipe resolved to.

pub mod compose;
pub mod decode;
pub mod diagnostics;
pub mod json;
pub mod lock;
pub mod model;
pub mod overrides;
pub mod print;
pub mod reference;
pub mod rules;
pub mod schema;
pub mod shape;
pub mod syntax;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use twinhost_plugin_api as api;

use crate::codes::Code;

use compose::Composed;
use decode::Decoder;
use diagnostics::Source;
pub use diagnostics::{Finding, RecipeErrors, Sources};
pub use model::*;
use print::Printed;
pub use reference::Reference;
use shape::Decode;
use syntax::{Kind, Node};

/// A recipe that is in order, and what it was made from.
#[derive(Clone, Debug)]
pub struct LoadedRecipe {
    pub recipe: Recipe,
    /// The file that was loaded.
    pub path: PathBuf,
    /// The arm laid over it.
    pub arm: Option<String>,
    /// Every arm that can be chosen.
    pub arms: Vec<String>,
    /// Canonical text with includes, arm, `--set` and defaults resolved; loading it gives the same recipe and hash.
    pub text: String,
    /// SHA-256 (hex) of `text`.
    pub hash: String,
    pub sources: Sources,
    root: Node,
}

impl Recipe {
    /// Loads a recipe with an arm and `--set` overrides (`path=value`), in this order of increasing precedence:
    /// included files, the file, the overrides, the arm. So `--set` changes what all arms have in common, and an arm stays what its name says.
    ///
    /// # Errors
    /// All mistakes of the recipe and of the arms it defines, chosen or not.
    pub fn load(path: &Path, sets: &[String], arm: Option<&str>) -> Result<LoadedRecipe, RecipeErrors> {
        let mut sources = Sources::default();
        let mut findings = Vec::new();
        let composed = match compose::read(path, &mut sources, &mut findings) {
            Ok(composed) => composed,
            Err(e) => {
                let text = path.display().to_string();
                let at = diagnostics::Location { source: 0, start: 0, end: text.len() };
                sources.add(Source { name: "command line".to_owned(), text, folder: PathBuf::new(), is_argument: true });
                findings.push(
                    Finding::new(Code::Unreadable, at, "", format!("cannot read this recipe: {e}")).help("give the path of a .ron file"),
                );
                None
            }
        };
        let Some(composed) = composed else { return Err(RecipeErrors::new(sources, findings)) };

        let chosen = Resolution::new(&composed, arm, sets, &mut sources, &mut findings);
        for (name, _) in compose::own_arms(&composed.root) {
            if Some(name.as_str()) != arm {
                // Only for its mistakes. `--set` mistakes are the same as above and told once.
                Resolution::new(&composed, Some(&name), &[], &mut sources, &mut findings);
            }
        }
        let loaded = chosen.map(|Resolution { recipe, root: resolved }| {
            let text = Printed::of(&resolved).text + "\n";
            let hash = hex::encode(Sha256::digest(&text));
            let (arm, arms) = (arm.map(str::to_owned), compose::arm_names(&composed.root));
            LoadedRecipe { recipe, path: path.to_path_buf(), arm, arms, text, hash, sources: sources.clone(), root: resolved }
        });
        match loaded {
            Some(loaded) if findings.is_empty() => Ok(loaded),
            stand_in => Err(RecipeErrors { stand_in: stand_in.map(Box::new), ..RecipeErrors::new(sources, findings) }),
        }
    }
}

/// One arm of a recipe with everything applied.
struct Resolution {
    recipe: Recipe,
    root: Node,
}

impl Resolution {
    fn new(composed: &Composed, arm: Option<&str>, sets: &[String], sources: &mut Sources, findings: &mut Vec<Finding>) -> Option<Self> {
        let shape = Recipe::shape();
        let mut root = composed.root.clone();
        for set in sets {
            if let Err(finding) = overrides::apply(set, &mut root, &shape, sources) {
                findings.push(finding);
            }
        }
        if let Some(name) = arm {
            let overlay = compose::arm(&root, name, sources, findings)?;
            root = compose::merge(root, overlay);
            // What is resolved has no arms any more: laying one over another would be a third thing.
            if let Kind::Struct { fields, .. } = &mut root.kind {
                fields.retain(|f| f.name != "arms");
            }
        }
        decode::complete(&mut root, &shape, sources);
        let mut decoder = Decoder::new(sources, composed.partial);
        let recipe = Recipe::decode(&root, &mut decoder);
        decoder.refuse_nan(&root);
        let told = std::mem::take(&mut decoder.findings);
        if let Some(recipe) = &recipe {
            // Of a field that is wrong in itself, whether it fits others is not worth telling.
            let sound = |f: &Finding| !told.iter().any(|t| !t.path.is_empty() && (f.path.starts_with(&t.path) || f.at == t.at));
            findings.extend(rules::check(recipe, &root).into_iter().filter(sound));
        }
        findings.extend(told);
        let recipe = recipe?;
        Some(Self { recipe, root })
    }
}

/// Where a component lives decides nothing about what is made with it.
fn without_isolation(mut node: Node) -> Node {
    match &mut node.kind {
        Kind::Struct { fields, .. } => {
            if fields.iter().any(|f| f.name == "component") {
                fields.retain(|f| f.name != "isolation");
            }
            // A component's own configuration stays as it is.
            for field in fields.iter_mut().filter(|f| f.name != "config") {
                field.value = without_isolation(field.value.clone());
            }
        }
        Kind::List(items) => items.iter_mut().for_each(|item| *item = without_isolation(item.clone())),
        _ => {}
    }
    node
}

impl LoadedRecipe {
    /// A mistake found after loading, shown at the field it is about, e.g. `stages.eval.variants[1]`.
    pub fn finding(&self, code: Code, path: &str, message: impl Into<String>, help: Option<String>) -> Finding {
        let at = overrides::find(&self.root, path).map_or_else(|| self.root.opening(), Node::opening);
        Finding { help, ..Finding::new(code, at, path, message) }
    }

    /// A component refused its configuration: the same error at the line of the recipe.
    pub fn config_finding(&self, config: &Config, error: &api::Error) -> Finding {
        let Some(node) = overrides::find(&self.root, &config.path) else {
            return self.finding(Code::RefusedConfig, &config.path, error.message.as_str(), None);
        };
        let field = error.field.as_ref().map_or("", |field| field.as_str());
        let path = if field.is_empty() { config.path.clone() } else { format!("{}.{field}", config.path) };
        let named = overrides::find(node, field);
        let positioned = || Printed::of(node).origin(error.line.checked_sub(1)? as usize, error.column.saturating_sub(1) as usize);
        let mut message = error.message.to_string();
        let quoted: Vec<&str> = error.message.split('`').skip(1).step_by(2).collect();
        // "Unexpected field named `gama`, expected one of `gamma`, ...": the name is what is wrong, not its value.
        let wrong_name =
            quoted.first().filter(|name| field.rsplit('.').next() == Some(**name)).and_then(|_| overrides::find_name(node, field));
        let at = wrong_name.or(named.map(Node::opening)).or_else(positioned).unwrap_or_else(|| node.opening());
        if wrong_name.is_none() && message.starts_with("Expected ") && named.is_some_and(|n| n.scalar().is_some()) {
            message.push_str(&format!(", found `{}`", self.sources.snippet(at)));
        }
        let typo = quoted.split_first().and_then(|(wrong, known)| diagnostics::closest(wrong, known.iter().copied()));
        Finding { help: typo.map(|best| format!("did you mean `{best}`?")), ..Finding::new(Code::RefusedConfig, at, path, message) }
    }

    /// Like [`Self::config_finding`], as a whole.
    pub fn locate(&self, config: &Config, component: &str, error: &api::Error) -> RecipeErrors {
        let mut finding = self.config_finding(config, error);
        finding.message = format!("{component}: {}", finding.message);
        self.errors(vec![finding])
    }

    /// Findings together with the texts to show them in.
    pub fn errors(&self, findings: Vec<Finding>) -> RecipeErrors {
        RecipeErrors::new(self.sources.clone(), findings)
    }

    /// SHA-256 (hex) of some parts of the resolved recipe, e.g. `["envs.sim", "stages.demos"]`: equal for equal parts, so
    /// that what was made from them (demonstrations, a trained stage) can be found again.
    pub fn fingerprint(&self, paths: &[&str]) -> String {
        let mut hasher = Sha256::new();
        for path in paths {
            let text = overrides::find(&self.root, path).map_or_else(String::new, |n| Printed::of(&without_isolation(n.clone())).text);
            hasher.update(format!("{path}={text}\n"));
        }
        hex::encode(hasher.finalize())
    }
}
