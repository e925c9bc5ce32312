//! Components of a catalogue that is written down here; the real plugins are tested end to end.

use super::*;
use twinhost_plugin_api::{ActionSpec, ComponentConfig, DType, EnvKind, FeatureSpec, SubtaskSpec};

const RECIPE: &str = r#"(
    name: "x",
    envs: { "sim": (component: "cell", config: (size: 64)), "real": (component: "cell", config: (size: 64)) },
    policy: (component: "vla"),
    stages: (
        demos: (real: (expert: (component: "vla")), sim: ()),
        sft: (algorithm: (component: "sft")),
        rl: (algorithm: (component: "ppo")),
        eval: (variants: ["train"]),
    ),
)"#;

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cell {
    size: usize,
    subtasks: bool,
    control_hz: f64,
}

impl Default for Cell {
    fn default() -> Self {
        Self { size: 64, subtasks: true, control_hz: 10.0 }
    }
}

struct Shelf;

impl Components for Shelf {
    fn plugin(&self, kind: Kind, component: &str) -> Result<LockedPlugin, String> {
        match (kind, component) {
            (Kind::Env, "cell")
            | (Kind::Policy, "vla" | "blind" | "wide" | "narrow")
            | (Kind::Algorithm, "ppo" | "sft")
            | (Kind::Reward, "near" | "seeing")
            | (Kind::Filter, "slow") => {
                Ok(LockedPlugin { name: format!("{kind}s"), version: "1".into(), sha256: "00".into(), abi: "1".into() })
            }
            _ => Err(format!("no plugin provides the {kind} `{component}`")),
        }
    }
    fn env(&self, _: &str, config: &str, _: Isolation) -> Result<EnvSpec, Error> {
        let cell: Cell = ComponentConfig::new(config).parse()?;
        let subtask = SubtaskSpec { name: "grasp".into(), object: Some(0), termination_signal: None };
        Ok(EnvSpec {
            kind: EnvKind::Simulated,
            num_envs: 1,
            observation: vec![FeatureSpec::new("observation.images.base", DType::U8, &[cell.size, cell.size, 3])],
            privileged: Vec::new(),
            action: ActionSpec { names: vec!["x".into()], low: vec![-1.0], high: vec![1.0], discrete: vec![false] },
            control_hz: cell.control_hz,
            max_episode_steps: 10,
            variants: vec!["train".into(), "ood_object".into()],
            subtasks: if cell.subtasks { vec![subtask] } else { Vec::new() },
            pose_delta_scale: Some((0.1, 0.1)),
        })
    }
    fn policy(&self, component: &str, config: &str, _: Isolation, _: Option<&EnvSpec>) -> Result<PolicySpec, Error> {
        if config != "()" {
            return Err(Error::config("layers", "must be from 1 to 9, got 0"));
        }
        let camera = if component == "blind" { "observation.images.wrist" } else { "observation.images.base" };
        let action_dim = if component == "wide" { 7 } else { 1 };
        Ok(PolicySpec {
            action_dim,
            chunk: 1,
            observation: vec![camera.into()],
            texts: Vec::new(),
            differentiable: true,
            parameters: 1,
            temperature: Some(1.0),
        })
    }
    fn trial(&self, component: &str, _: &str, _: Isolation, _: Option<&EnvSpec>, env: &EnvSpec) -> Result<(), Error> {
        match component {
            "narrow" => Err(Error::input(format!("`observation.state` must be [B, 9], got [1, {}]", env.action.dim()))),
            _ => Ok(()),
        }
    }
    fn algorithm(&self, component: &str, config: &str, _: (&str, &str)) -> Result<AlgorithmSpec, Error> {
        if config != "()" {
            return Err(Error::config("gamma", "must be from 0 to 1, got 2"));
        }
        let paradigm = if component == "sft" { Paradigm::Supervised } else { Paradigm::OnPolicy };
        Ok(AlgorithmSpec { paradigm, needs: Vec::new() })
    }
    fn reward(&self, component: &str, config: &str, _: Isolation, terms: &Terms) -> Result<RewardSpec, Error> {
        assert_eq!(terms.environment.as_ref().unwrap().control_hz, 10.0);
        if config != "()" {
            return Err(Error::config("goal", format!("must be above 0 (fuel {:?})", terms.limits.fuel)));
        }
        let camera = if component == "seeing" { "observation.images.wrist" } else { "final.observation.images.base" };
        Ok(RewardSpec { needs: vec![camera.into(), "action".into(), "next.success".into(), "task".into()], decides_success: false })
    }
    fn filter(&self, _: &str, _: &str, _: &Terms) -> Result<Vec<String>, Error> {
        Ok(vec!["observation.images.base".into(), "action".into()])
    }
}

#[track_caller]
fn check(from: &str, to: &str, expect: &[&str]) {
    assert!(RECIPE.contains(from));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.ron");
    std::fs::write(&path, RECIPE.replacen(from, to, 1)).unwrap();
    let loaded = Recipe::load(&path, &[], None).unwrap_or_else(|e| panic!("{e}"));
    let found = match components(&loaded, &Shelf) {
        Ok(()) => locked_plugins(&Shelf, &loaded).into_iter().map(|p| p.name).collect(),
        Err(errors) => {
            let show = |f: &Finding| {
                let (line, column) = errors.sources.line_column(f.at);
                format!("{line}:{column} {}: {}{}", f.path, f.message, f.help.as_ref().map_or_else(String::new, |h| format!(" ({h})")))
            };
            errors.findings.iter().map(show).collect::<Vec<_>>()
        }
    };
    assert_eq!(found, expect);
}

#[test]
fn a_recipe_in_order_gives_its_plugins() {
    check("", "", &["algorithms", "envs", "policys"]);
}

#[test]
fn components_that_are_missing_or_refuse() {
    check("\"ppo\"", "\"pop\"", &["8:37 stages.rl.algorithm.component: no plugin provides the algorithm `pop`"]);
    check(
        "(component: \"ppo\")",
        "(component: \"ppo\", config: (gamma: 2))",
        &["8:60 stages.rl.algorithm.config.gamma: must be from 0 to 1, got 2"],
    );
    check(
        "size: 64",
        "seize: 64",
        &[
            "3:49 envs.sim.config.seize: Unexpected field named `seize` in `Cell`, expected one of `size`, `subtasks`, or `control_hz` instead (did you mean `size`?)",
        ],
    );
}

#[test]
fn rollouts_sample_at_the_temperature_at_which_the_policy_scores() {
    check(
        "(component: \"ppo\")",
        "(component: \"ppo\"), temperature: 1.6",
        &[concat!(
            "8:58 stages.rl.temperature: rollouts would sample at temperature 1.6, but the policy scores its actions at 1 ",
            "(write 1 here, or set `temperature: 1.6` in policy.config)"
        )],
    );
}

#[test]
fn a_refused_policy_does_not_hide_what_algorithms_refuse() {
    check(
        "(component: \"vla\"),\n    stages: (\n        demos: (real: (expert: (component: \"vla\")), sim: ()),\n        sft: (algorithm: (component: \"sft\")),",
        "(component: \"vla\", config: (layers: 0)), stages: (demos: (real: (expert: (component: \"vla\")), sim: ()),
        sft: (algorithm: (component: \"sft\", config: (gamma: 2))),",
        &["4:49 policy.config.layers: must be from 1 to 9, got 0", "5:61 stages.sft.algorithm.config.gamma: must be from 0 to 1, got 2"],
    );
}

#[test]
fn components_that_do_not_fit() {
    check(
        "\"ppo\"",
        "\"sft\"",
        &["8:37 stages.rl.algorithm.component: `sft` is an algorithm of kind Supervised, this stage needs OnPolicy"],
    );
    check(
        "size: 64",
        "size: 32",
        &[
            "8:13 stages.rl.env: the twins `sim` and `real` differ in their observations or actions (give both the same cameras, image size and action scale)",
        ],
    );
    check("sim: ()", "sim: ()", &["algorithms", "envs", "policys"]);
    check(
        "size: 64",
        "subtasks: false",
        &[
            "6:58 stages.demos.sim: environment `sim` has no object-centric subtasks with pose actions, so demonstrations cannot be generated in it (record demonstrations instead)",
        ],
    );
    check(
        "[\"train\"]",
        "[\"train\", \"ood_objekt\"]",
        &[
            "9:36 stages.eval.variants[1]: environment `real` has no variant `ood_objekt` (did you mean `ood_object`?)",
            "9:36 stages.eval.variants[1]: environment `sim` has no variant `ood_objekt` (did you mean `ood_object`?)",
        ],
    );
    check(
        "(component: \"vla\")",
        "(component: \"wide\")",
        &[
            "4:13 policy.config: the policy's actions have 7 entries, those of environment `real` 1",
            "4:13 policy.config: the policy's actions have 7 entries, those of environment `sim` 1",
        ],
    );
    check(
        "(component: \"vla\")",
        "(component: \"blind\")",
        &[
            "4:13 policy.config: the policy reads `observation.images.wrist`, which environment `real` does not have (it has: observation.images.base)",
            "4:13 policy.config: the policy reads `observation.images.wrist`, which environment `sim` does not have (it has: observation.images.base)",
        ],
    );
}

#[test]
fn shapes_that_do_not_fit_show_before_the_run() {
    check(
        "(component: \"vla\")",
        "(component: \"narrow\")",
        &[
            "4:13 policy.config: the policy cannot act in environment `real`: `observation.state` must be [B, 9], got [1, 1]",
            "4:13 policy.config: the policy cannot act in environment `sim`: `observation.state` must be [B, 9], got [1, 1]",
        ],
    );
}

#[test]
fn a_name_that_is_a_file_beside_the_recipe_gets_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.ron");
    std::fs::write(folder.path().join("pop.py"), "").unwrap();
    std::fs::write(&path, RECIPE.replacen("\"ppo\"", "\"pop\"", 1)).unwrap();
    let errors = components(&Recipe::load(&path, &[], None).unwrap(), &Shelf).unwrap_err();
    assert_eq!(errors.findings[0].help.as_deref(), Some("if you mean the file beside the recipe, write `./pop.py`"));
}

/// Counts how often a component is created, and notes of which environment a policy is told (by its control rate) when it is created and tried.
#[derive(Default)]
struct Counting {
    created: std::cell::Cell<usize>,
    told: std::cell::RefCell<Vec<Option<f64>>>,
    tried: std::cell::RefCell<Vec<(Option<f64>, f64)>>,
}

impl Components for Counting {
    fn plugin(&self, kind: Kind, component: &str) -> Result<LockedPlugin, String> {
        Shelf.plugin(kind, component)
    }
    fn env(&self, component: &str, config: &str, isolation: Isolation) -> Result<EnvSpec, Error> {
        self.created.set(self.created.get() + 1);
        Shelf.env(component, config, isolation)
    }
    fn policy(&self, component: &str, config: &str, isolation: Isolation, env: Option<&EnvSpec>) -> Result<PolicySpec, Error> {
        self.created.set(self.created.get() + 1);
        self.told.borrow_mut().push(env.map(|env| env.control_hz));
        Shelf.policy(component, config, isolation, env)
    }
    fn trial(&self, component: &str, config: &str, isolation: Isolation, told: Option<&EnvSpec>, env: &EnvSpec) -> Result<(), Error> {
        self.tried.borrow_mut().push((told.map(|env| env.control_hz), env.control_hz));
        Shelf.trial(component, config, isolation, told, env)
    }
    fn algorithm(&self, component: &str, config: &str, policy: (&str, &str)) -> Result<AlgorithmSpec, Error> {
        self.created.set(self.created.get() + 1);
        Shelf.algorithm(component, config, policy)
    }
    fn reward(&self, component: &str, config: &str, isolation: Isolation, terms: &Terms) -> Result<RewardSpec, Error> {
        Shelf.reward(component, config, isolation, terms)
    }
    fn filter(&self, component: &str, config: &str, terms: &Terms) -> Result<Vec<String>, Error> {
        Shelf.filter(component, config, terms)
    }
}

#[test]
fn arms_share_what_is_equal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.ron");
    std::fs::write(&path, RECIPE).unwrap();
    let arms: Vec<LoadedRecipe> = ["sft_real", "rlco"].into_iter().map(|arm| Recipe::load(&path, &[], Some(arm)).unwrap()).collect();
    let counting = Counting::default();
    validate_all(&counting, &arms).unwrap();
    // One environment (both twins have the same configuration), one policy (also the expert), two algorithms.
    assert_eq!(counting.created.get(), 4);
}

#[test]
fn a_policy_is_told_of_the_environment_that_it_is_trained_in_and_an_expert_of_its_own() {
    let real = r#""real": (component: "cell", config: (size: 64))"#;
    let faster = RECIPE.replace(real, r#""real": (component: "cell", config: (size: 64, control_hz: 20))"#);
    let told = |recipe: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.ron");
        std::fs::write(&path, recipe).unwrap();
        let counting = Counting::default();
        validate_all(&counting, &[Recipe::load(&path, &[], None).unwrap()]).unwrap();
        (counting.told.take(), counting.tried.take())
    };
    // Both environments show the same, so one trial answers for both: that in `real`, the first by name.
    let (sim, real) = (Some(10.0), Some(20.0));
    assert_eq!(told(&faster), (vec![sim, real], vec![(sim, 20.0)]));
    // Without training it is the first one that is evaluated.
    let stage = r#"sft: (algorithm: (component: "sft")),
        rl: (algorithm: (component: "ppo")),
        eval: (variants: ["train"]),"#;
    assert!(faster.contains(stage));
    let evaluated = faster.replace(stage, r#"eval: (envs: ["real", "sim"], variants: ["train"]),"#);
    assert_eq!(told(&evaluated).0, [real]);
}

#[test]
fn rewards_and_filters_are_created_and_must_find_what_they_read() {
    let rl = "rl: (algorithm: (component: \"ppo\"))";
    let with = |rewards: &str| rl.replace("))", &format!("), {rewards})"));
    check(rl, &with("rewards: [(component: \"near\", weight: 0.5)]"), &["algorithms", "envs", "policys", "rewards"]);
    check(rl, &with("rewards: [(component: \"nere\")]"), &["8:67 stages.rl.rewards[0].component: no plugin provides the reward `nere`"]);
    check(
        rl,
        &with("rewards: [(component: \"near\", config: (goal: 0), limits: (fuel: 5000))]"),
        &["8:90 stages.rl.rewards[0].config.goal: must be above 0 (fuel Some(5000))"],
    );
    check(
        rl,
        &with("rewards: [(component: \"seeing\")]"),
        &[concat!(
            "8:67 stages.rl.rewards[0].component: `seeing` reads `observation.images.wrist`, which environment `sim` does not have (there are: ",
            "observation.images.base, task, action, next.reward, next.terminated, next.truncated, next.success)"
        )],
    );
    let env = "\"sim\": (component: \"cell\", config: (size: 64))";
    check(
        env,
        "\"sim\": (component: \"cell\", config: (size: 64), filters: [(component: \"slow\")])",
        &[concat!(
            "3:82 envs.sim.filters[0].component: `slow` reads `action`, which environment `sim` does not have (there are: ",
            "observation.images.base, task)"
        )],
    );
}
