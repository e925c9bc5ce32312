//! Data-driven: a recipe with one edit, and everything that must be said about it.

use super::*;

mod composition;
mod hostile;
mod lock;

/// A complete recipe; line numbers in the expectations count from its first line.
pub const BASE: &str = r#"(
    name: "base",
    seed: 7,
    envs: {
        "sim": (component: "tabletop", config: (task: PickPlace, twin: Sim, cameras: ["base"])),
        "real": (component: "tabletop", config: (task: PickPlace, twin: Real)),
    },
    policy: (component: "openvla", config: (preset: Tiny)),
    stages: (
        demos: (
            real: (expert: (component: "expert"), episodes: 30),
            sim: (episodes: 300, offset_range: (2, 4)),
        ),
        sft: (alpha: 0.5, algorithm: (component: "sft")),
        rl: (iterations: 40, algorithm: (component: "ppo", config: (gamma: 0.99)), anchor: (beta: 0.2)),
        eval: (variants: ["train", "ood_object"]),
    ),
)
"#;

/// A folder with `recipe.ron` and other files.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

pub fn load(text: &str, sets: &[&str], arm: Option<&str>) -> Result<LoadedRecipe, RecipeErrors> {
    let folder = folder(&[("recipe.ron", text)]);
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Recipe::load(&folder.path().join("recipe.ron"), &sets, arm)
}

/// `line:column path: message (help)` of every finding; findings in other texts than the recipe have the text's name in front.
pub fn findings(errors: &RecipeErrors) -> Vec<String> {
    let show = |f: &Finding| {
        let (line, column) = errors.sources.line_column(f.at);
        let source = &errors.sources.get(f.at.source).name;
        let source = if source.ends_with("recipe.ron") { String::new() } else { format!("{} ", source.rsplit('/').next().unwrap()) };
        let path = if f.path.is_empty() { String::new() } else { format!("{}: ", f.path) };
        let help = f.help.as_ref().map_or_else(String::new, |h| format!(" ({h})"));
        format!("{source}{line}:{column} {path}{}{help}", f.message)
    };
    errors.findings.iter().map(show).collect()
}

#[track_caller]
fn check_text(text: &str, sets: &[&str], arm: Option<&str>, expect: &[&str]) {
    let found = load(text, sets, arm).map_or_else(|e| findings(&e), |_| Vec::new());
    assert_eq!(found, expect, "for {sets:?}\n{text}");
}

/// Replaces pieces of the base recipe.
fn edit(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the base recipe has no `{from}`");
        text.replacen(from, to, 1)
    })
}

#[track_caller]
fn check(edits: &[(&str, &str)], expect: &[&str]) {
    check_text(&edit(edits), &[], None, expect);
}

#[test]
fn the_base_recipe_loads_with_defaults() {
    let loaded = load(BASE, &[], None).unwrap();
    let stages = &loaded.recipe.stages;
    assert_eq!(loaded.recipe.seed, 7);
    assert_eq!(stages.rl.as_ref().unwrap().anchor, Anchor { beta: 0.2, batch_size: 16 });
    assert_eq!(stages.demos.sim.as_ref().unwrap().offset_range, (2, 4));
    assert_eq!(stages.demos.sim.as_ref().unwrap().selection.strategy, Strategy::NearestNeighborObject);
    assert_eq!(loaded.recipe.envs["sim"].config.ron, r#"(task: PickPlace, twin: Sim, cameras: ["base"])"#);
    assert_eq!(stages.sft.as_ref().unwrap().algorithm.config.ron, "()");
    assert_eq!(loaded.arms, ["sft_real", "sft_cotrain", "rlco", "rlco_no_anchor", "no_sim_sft"]);
}

#[test]
fn limits_have_one_set_of_defaults() {
    let loaded = load(&edit(&[("iterations: 40", "rewards: [(component: \"near\", limits: (fuel: 5000))]")]), &[], None).unwrap();
    assert_eq!(loaded.recipe.sandbox, Limits::default());
    let rewards = &loaded.recipe.stages.rl.as_ref().unwrap().rewards;
    assert_eq!(rewards[0].limits, Some(Limits { fuel: Some(5000), ..Limits::default() }));
    assert_eq!((rewards[0].weight, rewards[0].on_error), (1.0, OnError::Stop));
}

#[test]
fn single_fields() {
    check(&[("seed: 7", "sede: 7")], &["3:5 sede: there is no field `sede` (did you mean `seed`?)"]);
    check(
        &[("alpha: 0.5", "alpha: 1.5")],
        &["14:22 stages.sft.alpha: must be between 0 and 1, got `1.5` (write a number between 0 and 1)"],
    );
    check(
        &[("alpha: 0.5", "alpha: -0.1")],
        &["14:22 stages.sft.alpha: must be between 0 and 1, got `-0.1` (write a number between 0 and 1)"],
    );
    check(&[("beta: 0.2", "beta: -1")], &["15:99 stages.rl.anchor.beta: must be 0 or more, got `-1` (write a number, 0 or more)"]);
    check(&[("beta: 0.2", "beta: inf")], &["15:99 stages.rl.anchor.beta: must be 0 or more, got `inf` (write a number, 0 or more)"]);
    check(
        &[("iterations: 40", "iterations: 0")],
        &["15:26 stages.rl.iterations: must be between 1 and 1000000000, got `0` (write a number between 1 and 1000000000)"],
    );
    check(
        &[("iterations: 40", "iterations: 0x0")],
        &["15:26 stages.rl.iterations: must be between 1 and 1000000000, got `0x0` (write a number between 1 and 1000000000)"],
    );
    check(
        &[("iterations: 40", "iterations: 2.5")],
        &["15:26 stages.rl.iterations: expected a whole number, 0 or more, found `2.5` (write a whole number, 0 or more)"],
    );
    check(
        &[("iterations: 40", "iterations: \"many\"")],
        &["15:26 stages.rl.iterations: expected a whole number, 0 or more, found `\"many\"` (write a whole number, 0 or more)"],
    );
    check(&[("seed: 7", "seed: -7")], &["3:11 seed: expected a whole number, 0 or more, found `-7` (write a whole number, 0 or more)"]);
    check(&[("name: \"base\"", "name: base")], &["2:11 name: expected text in double quotes, found `base` (write \"base\")"]);
    check(
        &[("name: \"base\"", "name: \"a/b\"")],
        &["2:11 name: must be a name of letters, digits, `_`, `-` and `.`, got `\"a/b\"` (write another name)"],
    );
    check(&[("name: \"base\",", "")], &["1:1 name: this field is missing (add `name: ...`; it has no default)"]);
    check(
        &[("(alpha: 0.5, algorithm: (component: \"sft\"))", "[1]")],
        &["14:14 stages.sft: expected named fields in round brackets, found a list (write named fields in round brackets)"],
    );
    check(
        &[("(2, 4)", "(2, 4, 5)")],
        &["12:48 stages.demos.sim.offset_range: expected two values in round brackets, found a tuple (write two values in round brackets)"],
    );
    check(
        &[("episodes: 300,", "episodes: 300, selection: (strategy: NearestNeighbourObject),")],
        &[
            "12:56 stages.demos.sim.selection.strategy: `NearestNeighbourObject` is not one of Random, NearestNeighborObject, NearestNeighborRobotDistance (did you mean `NearestNeighborObject`?)",
        ],
    );
    check(&[("[\"train\", \"ood_object\"]", "[]")], &["16:26 stages.eval.variants: must not be empty (list at least one)"]);
    check(
        &[("\"train\", \"ood_object\"", "\"train\", 3")],
        &["16:36 stages.eval.variants[1]: expected text in double quotes, found `3` (write \"3\")"],
    );
}

#[test]
fn nan_is_refused_everywhere() {
    check(
        &[("beta: 0.2", "beta: NaN"), ("gamma: 0.99", "gamma: NaN")],
        &[
            "15:76 stages.rl.algorithm.config.gamma: NaN is not a setting (write a finite number)",
            "15:98 stages.rl.anchor.beta: must be 0 or more, got `NaN` (write a number, 0 or more)",
        ],
    );
    check(&[("gamma: 0.99", "gamma: -NaN")], &["15:76 stages.rl.algorithm.config.gamma: NaN is not a setting (write a finite number)"]);
}

#[test]
fn fields_that_must_fit_each_other() {
    check(
        &[("rl: (iterations: 40,", "rl: (env: \"simm\", iterations: 40,")],
        &["15:19 stages.rl.env: there is no environment `simm` under `envs` (did you mean `sim`?)"],
    );
    check(
        &[("eval: (", "eval: (envs: [\"sim\", \"lab\"], ")],
        &["16:30 stages.eval.envs[1]: there is no environment `lab` under `envs` (environments here: `real`, `sim`)"],
    );
    // The default of `env` names an environment that is not there: shown at the bracket it belongs to.
    check(
        &[
            ("\"sim\": (component", "\"twin\": (component"),
            ("rl: (", "rl: (env: \"twin\", "),
            ("sim: (episodes", "sim: (env: \"twin\", episodes"),
        ],
        &["16:15 stages.eval.envs[0]: there is no environment `sim` under `envs` (environments here: `real`, `twin`)"],
    );
    check(
        &[("            real: (expert: (component: \"expert\"), episodes: 30),\n", "")],
        &[
            "11:18 stages.demos.sim: simulated demonstrations are generated from real ones, but there is no `stages.demos.real` (add `stages.demos.real`)",
            "13:22 stages.sft.alpha: alpha 0.5 draws real samples, but there is no `stages.demos.real` (add `stages.demos.real`, or set alpha to 1)",
            "14:99 stages.rl.anchor.beta: beta 0.2 anchors to real demonstrations, but there is no `stages.demos.real` (add `stages.demos.real`, or set beta to 0)",
        ],
    );
    check(
        &[("iterations: 40", "env_reward_weight: 0")],
        &[
            "15:33 stages.rl.env_reward_weight: every reward counts 0, so there is nothing to learn from (add a component to `stages.rl.rewards`, or write another weight)",
        ],
    );
    check(&[("iterations: 40", "env_reward_weight: 0, rewards: [(component: \"near\")]")], &[]);
    let one_stop = "a call is stopped by the clock or by its fuel, and both are given (keep one of `deadline_ms` and `fuel`)";
    check(
        &[
            ("seed: 7", "seed: 7, sandbox: (fuel: 5000, deadline_ms: 9)"),
            (
                "\"tabletop\", config: (task: PickPlace, twin: Real)",
                "\"tabletop\", filters: [(component: \"slow\", limits: (deadline_ms: 9))]",
            ),
            ("iterations: 40", "rewards: [(component: \"near\"), (component: \"far\", limits: (fuel: 5000, deadline_ms: 9))]"),
        ],
        &[&format!("3:49 sandbox.deadline_ms: {one_stop}"), &format!("15:98 stages.rl.rewards[1].limits.deadline_ms: {one_stop}")],
    );
    check(&[("(2, 4)", "(4, 2)")], &["12:48 stages.demos.sim.offset_range: the least offset 4 is above the most 2 (write (2, 4))"]);
    check(
        &[("episodes: 30)", "episodes: 3)")],
        &[
            "12:18 stages.demos.sim.source_demos: 10 source demonstrations are wanted, but only 3 are recorded (write 3 or less, or record more episodes)",
        ],
    );
    check(&[("\"ood_object\"", "\"train\"")], &["16:36 stages.eval.variants[1]: `train` is listed twice (keep one of the two)"]);
}

#[test]
fn every_mistake_at_once() {
    check(
        &[
            ("seed: 7", "seed: x"),
            ("policy:", "polcy:"),
            ("alpha: 0.5", "alpha: 2"),
            ("gamma: 0.99", "gamma: 1, gamma: 2"),
            ("variants", "variant"),
        ],
        &[
            "1:1 policy: this field is missing (add `policy: ...`; it has no default)",
            "3:11 seed: expected a whole number, 0 or more, found `x` (write a whole number, 0 or more)",
            "8:5 polcy: there is no field `polcy` (did you mean `policy`?)",
            "14:22 stages.sft.alpha: must be between 0 and 1, got `2` (write a number between 0 and 1)",
            "15:79 `gamma` is given twice in the same brackets (keep one of the two)",
            "16:16 stages.eval.variant: there is no field `variant` (did you mean `variants`?)",
        ],
    );
}

#[test]
fn a_wrong_field_does_not_hide_what_does_not_fit() {
    // `alpha: 2` draws simulated samples as well; what depends on a wrong field is not told, everything else is.
    check(
        &[
            ("alpha: 0.5", "alpha: 2"),
            ("            sim: (episodes: 300, offset_range: (2, 4)),\n", ""),
            ("rl: (iterations: 40", "rl: (env: \"lab\", iterations: \"many\""),
        ],
        &[
            "13:22 stages.sft.alpha: must be between 0 and 1, got `2` (write a number between 0 and 1)",
            "14:19 stages.rl.env: there is no environment `lab` under `envs` (environments here: `real`, `sim`)",
            "14:38 stages.rl.iterations: expected a whole number, 0 or more, found `\"many\"` (write a whole number, 0 or more)",
        ],
    );
}

#[test]
fn syntax() {
    check_text("", &[], None, &["1:1 expected a value, found the end of the text"]);
    check_text("[1]", &[], None, &["1:1 a recipe is a bracket with named fields (write `(name: ..., envs: ..., ...)`)"]);
    check_text("(name: \"x)", &[], None, &["1:8 this string is never closed (add `\"`)"]);
    check_text("(name: \"x\" seed: 1)", &[], None, &["1:12 expected `,` or `)`, found `s`"]);
    check_text("(seed: 1.2.3)", &[], None, &["1:8 `1.2.3` is not a number"]);
    check_text("(seed: 1 /* )", &[], None, &["1:10 this comment is never closed (add `*/`)"]);
    check_text("(seed: )", &[], None, &["1:8 expected a value, found `)`"]);
    check_text("(seed: 1) 2", &[], None, &["1:11 expected the end of the text, found `2`"]);
    check_text(
        "#![enable(unwrap_newtypes)] ()",
        &[],
        None,
        &["1:1 this attribute is not supported in recipes (remove it; `Some(...)` may be left out anyway)"],
    );
    let deep = format!("(seed: {})", "(".repeat(100_000));
    check_text(&deep, &[], None, &["1:56 expected at most 48 levels of brackets, found `(`"]);
}

#[test]
fn comments_raw_strings_and_explicit_some_are_read() {
    let text = edit(&[
        ("seed: 7,", "seed: /* a /* nested */ comment */ 0x10, // end"),
        ("name: \"base\"", "name: r#\"base\"#"),
        ("anchor: (", "anchor: (\n"),
    ]);
    let text =
        text.replace("sft: (alpha: 0.5, algorithm: (component: \"sft\"))", "sft: Some((alpha: 0.5, algorithm: (component: \"sft\")))");
    let loaded = load(&format!("#![enable(implicit_some)]\n{text}"), &[], None).unwrap();
    assert_eq!((loaded.recipe.seed, loaded.recipe.name.as_str()), (16, "base"));
    assert_eq!(loaded.recipe.stages.sft.unwrap().alpha, 0.5);
}

#[test]
fn a_plugin_error_points_into_the_recipe() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ppo {
        #[allow(dead_code)]
        gamma: f64,
        #[allow(dead_code)]
        clip: Option<Clip>,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Clip {
        #[allow(dead_code)]
        low: f64,
    }
    let check = |config: &str, expect: &str| {
        let loaded = load(&edit(&[("(gamma: 0.99)", config)]), &[], None).unwrap();
        let config = &loaded.recipe.stages.rl.as_ref().unwrap().algorithm.config;
        let error = api::ComponentConfig::new(&config.ron).parse::<Ppo>().unwrap_err();
        assert_eq!(findings(&loaded.locate(config, "ppo", &error)), [expect], "{error:?}");
    };
    check("(gamma: \"x\")", "15:76 stages.rl.algorithm.config.gamma: ppo: Expected float, found `\"x\"`");
    check(
        "(gama: 1)",
        "15:69 stages.rl.algorithm.config.gama: ppo: Unexpected field named `gama` in `Ppo`, expected either `gamma` or `clip` instead (did you mean `gamma`?)",
    );
    check(
        "(gamma: 1, clip: (lwo: 2))",
        "15:86 stages.rl.algorithm.config.clip.lwo: ppo: Unexpected field named `lwo` in `Clip`, expected `low` instead (did you mean `low`?)",
    );
    check("(gamma: 1,\n\n clip: (low: /* here */ fast))", "17:25 stages.rl.algorithm.config.clip.low: ppo: Expected float, found `fast`");
    check("(clip: None)", "15:68 stages.rl.algorithm.config: ppo: Unexpected missing field named `gamma` in `Ppo`");
}

#[test]
fn rendered_for_people() {
    let errors = load(&edit(&[("beta: 0.2", "beta: -1")]), &[], None).unwrap_err();
    let text = errors.render(false);
    for part in [
        "stages.rl.anchor.beta: must be 0 or more, got `-1`",
        "recipe.ron:15:99]",
        "anchor: (beta: -1)",
        "^^",
        "help: write a number, 0 or more",
        "1 error in the recipe",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours in plain text");
    assert!(errors.render(true).contains('\u{1b}'));
}

#[test]
fn declared_defaults_and_ranges_agree() {
    fn walk(shape: &shape::Shape, path: &str) {
        use shape::Shape;
        match shape {
            Shape::Record(record) => {
                for field in &record.fields {
                    let path = format!("{path}.{}", field.name);
                    assert!(!field.doc.is_empty(), "{path} is not documented");
                    if let Some(default) = field.default {
                        let mut findings = Vec::new();
                        let node = syntax::parse(default, 0, 0, &mut findings).unwrap_or_else(|f| panic!("{path}: {}", f.message));
                        assert!(
                            field.check.is_none_or(|c| node.is_none() || c.accepts(&node)),
                            "{path}: the default {default} is out of range"
                        );
                    }
                    walk(&field.shape, &path);
                }
            }
            Shape::Optional(inner) | Shape::List(inner) | Shape::Map(inner) | Shape::Pair(inner) => walk(inner, path),
            _ => {}
        }
    }
    walk(&Recipe::shape(), "");
}

#[test]
fn the_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/schema.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, schema::text()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == schema::text(), "recipes/schema.json is out of date: run this test with UPDATE_EXPECT=1");
}

#[test]
fn recipes_of_the_repository_load_with_every_arm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in [folder.clone(), folder.join("tasks")] {
        files.extend(std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "ron")));
    }
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let arms = Recipe::load(&file, &[], None).unwrap_or_else(|e| panic!("{e}")).arms;
        for arm in arms {
            Recipe::load(&file, &[], Some(&arm)).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}
