//! Several texts, one recipe: includes, paths, `--set`, arms, and the resolved text.

use super::super::*;
use super::{BASE, check_text, edit, findings, folder, load};

#[test]
fn includes_merge_field_by_field() {
    let top = r#"(
        include: ["parts/base.ron"],
        name: "top",
        envs: { "sim": (config: (task: PushCube, width: 96)) },
        policy: (component: "tiny", config: (layers: 2)),
        stages: (rl: None),
    )"#;
    let folder = folder(&[("recipe.ron", top), ("parts/base.ron", BASE)]);
    let loaded = Recipe::load(&folder.path().join("recipe.ron"), &[], None).unwrap();
    let recipe = &loaded.recipe;
    assert_eq!((recipe.name.as_str(), recipe.seed), ("top", 7));
    assert_eq!(recipe.envs["sim"].config.ron, r#"(task: PushCube, twin: Sim, cameras: ["base"], width: 96)"#);
    // Another component does not inherit the old one's configuration.
    assert_eq!(recipe.policy.config.ron, "(layers: 2)");
    assert_eq!(recipe.stages.rl, None);

    // A mistake of the included file is shown there, one that a plugin finds wherever the value was written.
    let error = |line, column| api::Error { line, column, ..api::Error::new(api::ErrorKind::InvalidConfig, "no") };
    let config = &recipe.envs["sim"].config;
    let at = |e: api::Error| findings(&loaded.errors(vec![loaded.config_finding(config, &e)])).remove(0);
    assert_eq!(at(error(1, config.ron.find("Sim").unwrap() as u32 + 1)), "base.ron 5:72 envs.sim.config: no");
    assert_eq!(at(error(1, config.ron.find("PushCube").unwrap() as u32 + 1)), "4:40 envs.sim.config: no");
    assert_eq!(at(api::Error::config("cameras[0]", "no such camera")), "base.ron 5:87 envs.sim.config.cameras[0]: no such camera");
}

#[test]
fn includes_that_do_not_work() {
    let check = |files: &[(&str, &str)], expect: &[&str]| {
        let folder = folder(files);
        let errors = Recipe::load(&folder.path().join("recipe.ron"), &[], None).unwrap_err();
        let path = folder.path().display().to_string();
        let found: Vec<_> = findings(&errors).into_iter().map(|f| f.replace(&format!("{path}/"), "")).collect();
        assert_eq!(found, expect);
    };
    check(
        &[("recipe.ron", &format!("(include: [\"bsae.ron\"], {}", &BASE[1..]))],
        &[
            "1:12 include: cannot read `bsae.ron`: No such file or directory (os error 2) (the path is relative to the file that includes it)",
        ],
    );
    check(
        &[
            ("recipe.ron", &format!("(include: [\"a.ron\"], {}", &BASE[1..])),
            ("a.ron", "(include: [\"b.ron\"])"),
            ("b.ron", "(include: [\"a.ron\"])"),
        ],
        &["b.ron 1:12 include: `a.ron` includes itself, directly or through others (remove this include)"],
    );
    // Of an include that cannot be read, only that is told: what it would have brought is not missing.
    check(
        &[("recipe.ron", "(include: [\"a.ron\"], seed: x)"), ("a.ron", "(seed: (")],
        &[
            "1:28 seed: expected a whole number, 0 or more, found `x` (write a whole number, 0 or more)",
            "a.ron 1:9 expected a value, found the end of the text",
        ],
    );
    check(
        &[("recipe.ron", &format!("(include: \"a.ron\", {}", &BASE[1..]))],
        &["1:11 include: expected a list in square brackets, found `\"a.ron\"` (write a list in square brackets)"],
    );
}

#[test]
fn files_that_are_not_there() {
    let text = edit(&[("policy: (", "plugins: [\".\", \"plug\"], policy: (init: \"weights\", ")]);
    let folder = folder(&[("recipe.ron", &text)]);
    let errors = Recipe::load(&folder.path().join("recipe.ron"), &[], None).unwrap_err();
    let found: Vec<_> = findings(&errors).into_iter().map(|f| f.replace(&folder.path().display().to_string(), "FOLDER")).collect();
    let why = "No such file or directory (os error 2) (the path is relative to the file it is written in)";
    assert_eq!(
        found,
        [format!("8:20 plugins[1]: cannot use `FOLDER/plug`: {why}"), format!("8:44 policy.init: cannot use `FOLDER/weights`: {why}")]
    );

    // Paths of an included file start at that file, and are absolute once resolved.
    let folder = super::folder(&[
        ("recipe.ron", "(include: [\"parts/base.ron\"])"),
        ("parts/base.ron", &text),
        ("parts/plug/x", ""),
        ("parts/weights/x", ""),
    ]);
    let loaded = Recipe::load(&folder.path().join("recipe.ron"), &[], None).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.recipe.policy.init, Some(folder.path().join("parts/weights")));
}

#[test]
fn overrides_reach_every_field() {
    let set = |sets: &[&str]| load(BASE, sets, None).unwrap_or_else(|e| panic!("{e}")).recipe;
    assert_eq!(set(&["stages.rl.anchor.beta=0"]).stages.rl.unwrap().anchor.beta, 0.0);
    assert_eq!(set(&["stages.rl.anchor=(beta: 1)"]).stages.rl.unwrap().anchor, Anchor { beta: 1.0, batch_size: 16 });
    assert_eq!(set(&["stages.rl=None"]).stages.rl, None);
    assert_eq!(set(&["name=other"]).name, "other");
    assert_eq!(set(&["name=\"other\""]).name, "other");
    assert_eq!(set(&["checkpoint.every_steps=5"]).checkpoint.every_steps, 5);
    assert_eq!(set(&["stages.eval.variants[1]=ood_start"]).stages.eval.unwrap().variants, ["train", "ood_start"]);
    assert_eq!(set(&["stages.eval.variants.0=ood_start"]).stages.eval.unwrap().variants, ["ood_start", "ood_object"]);
    assert_eq!(set(&["stages.demos.sim.offset_range[1]=9"]).stages.demos.sim.unwrap().offset_range, (2, 9));
    assert_eq!(set(&["stages.eval.mode=Sample"]).stages.eval.unwrap().mode, ActionChoice::Sample);
    // Later ones win, and see what earlier ones made.
    assert_eq!(
        set(&["stages.rl.anchor=(beta: 1)", "stages.rl.anchor.batch_size=3"]).stages.rl.unwrap().anchor,
        Anchor { beta: 1.0, batch_size: 3 }
    );
    // A plugin's own configuration: text stays text, words stay words, new fields are added.
    let config = |sets: &[&str]| set(sets).envs["sim"].config.ron.clone();
    assert_eq!(config(&["envs.sim.config.task=PushCube"]), r#"(task: PushCube, twin: Sim, cameras: ["base"])"#);
    assert_eq!(config(&["envs.sim.config.cameras[0]=wrist"]), r#"(task: PickPlace, twin: Sim, cameras: ["wrist"])"#);
    assert_eq!(config(&["envs.sim.config.gap.friction=0.5"]), r#"(task: PickPlace, twin: Sim, cameras: ["base"], gap: (friction: 0.5))"#);
    assert_eq!(&*set(&["envs.third=(component: \"x\")"]).envs["third"].component, "x");
}

#[test]
fn overrides_that_do_not_work() {
    let check = |set: &str, expect: &[&str]| check_text(BASE, &[set], None, expect);
    check("seed", &["--set 1:1 there is no `=` (write `--set path=value`, for example `--set stages.rl.anchor.beta=0`)"]);
    check(
        "a..b=1",
        &["--set 1:1 the part before `=` is not a path (write `--set path=value`, for example `--set stages.rl.anchor.beta=0`)"],
    );
    check("stages.rl.anchor.btea=0", &["--set 1:18 there is no `btea` (did you mean `beta`?)"]);
    check("stages.rll.iterations=1", &["--set 1:8 there is no `rll` (did you mean `rl`?)"]);
    check("envs.smi.component=x", &["--set 1:6 there is no `smi` (did you mean `sim`?)"]);
    check("seed.x=1", &["--set 1:6 `seed` is a single value, so there is no `x` in it (write `--set seed=...`)"]);
    check(
        "envs.sim.config.task.x=1",
        &["--set 1:22 `envs.sim.config.task` is a single value, so there is no `x` in it (write `--set envs.sim.config.task=...`)"],
    );
    check("stages.eval.variants[2]=x", &["--set 1:22 there is no entry `2` (entries are numbered 0 to 1)"]);
    check("stages.rl.anchor.beta=-1", &["--set 1:23 stages.rl.anchor.beta: must be 0 or more, got `-1` (write a number, 0 or more)"]);
    check("stages.rl.anchor=(beta: 1", &["--set 1:26 expected `,` or `)`, found the end of the text"]);
    check("seed=many", &["--set 1:6 seed: expected a whole number, 0 or more, found `many` (write a whole number, 0 or more)"]);
    check_text(
        &edit(&[("        rl: (iterations: 40, algorithm: (component: \"ppo\", config: (gamma: 0.99)), anchor: (beta: 0.2)),\n", "")]),
        &["stages.rl.anchor.beta=0"],
        None,
        &["--set 1:11 `stages.rl` is not part of this recipe (give all of it: `--set 'stages.rl=(...)'`)"],
    );
}

#[test]
fn arms() {
    let arm = |name: &str| load(BASE, &[], Some(name)).unwrap_or_else(|e| panic!("{e}")).recipe.stages;
    let beta = |stages: &Stages| stages.rl.as_ref().map(|rl| rl.anchor.beta);
    let summary = |name: &str| {
        let stages = arm(name);
        (stages.sft.as_ref().unwrap().alpha, beta(&stages))
    };
    assert_eq!(summary("sft_real"), (0.0, None));
    assert_eq!(summary("sft_cotrain"), (0.5, None));
    assert_eq!(summary("rlco"), (0.5, Some(0.2)));
    assert_eq!(summary("rlco_no_anchor"), (0.5, Some(0.0)));
    assert_eq!(summary("no_sim_sft"), (0.0, Some(0.2)));
    check_text(BASE, &[], Some("rlc0"), &["--arm 1:1 there is no arm `rlc0` (did you mean `rlco`?)"]);

    let own = edit(&[("seed: 7,", "seed: 7, arms: { \"strong\": (stages: (rl: (anchor: (beta: 2.0)))), \"rlco\": (seed: 8) },")]);
    let loaded = load(&own, &["stages.rl.iterations=3"], Some("strong")).unwrap();
    assert_eq!(loaded.recipe.stages.rl.as_ref().map(|rl| (rl.anchor.beta, rl.iterations)), Some((2.0, 3)));
    assert_eq!(loaded.arms.last().map(String::as_str), Some("strong"));
    assert_eq!(load(&own, &[], Some("rlco")).unwrap().recipe.seed, 8);
    // The mistakes of an arm are told even if another one is chosen; those of the recipe under it only once.
    let wrong = own.replace("beta: 2.0", "beat: 2.0").replace("alpha: 0.5", "alpha: 5");
    let expect = [
        "3:56 stages.rl.anchor.beat: there is no field `beat` (did you mean `beta`?)",
        "14:22 stages.sft.alpha: must be between 0 and 1, got `5` (write a number between 0 and 1)",
    ];
    check_text(&wrong, &[], None, &expect);
    check_text(&wrong, &[], Some("rlco"), &expect);
}

#[test]
fn the_resolved_text_is_the_same_recipe() {
    for (sets, arm) in [(&[][..], None), (&["seed=9", "policy.config.preset=Openvla7b"][..], Some("sft_real"))] {
        let loaded = load(BASE, sets, arm).unwrap();
        let again = load(&loaded.text, &[], None).unwrap_or_else(|e| panic!("{e}\n{}", loaded.text));
        assert_eq!((&again.recipe, &again.text, &again.hash), (&loaded.recipe, &loaded.text, &loaded.hash));
        assert_eq!(again.fingerprint(&["policy", "stages.demos"]), loaded.fingerprint(&["policy", "stages.demos"]));
    }
    // Comments, order and defaults do not count; values do.
    let hash = |text: &str| load(text, &[], None).unwrap().hash;
    assert_eq!(hash(BASE), hash(&edit(&[("name: \"base\",\n    seed: 7,", "seed: 7, // first\n include: [],\n name: \"base\",")])));
    assert_ne!(hash(BASE), hash(&edit(&[("seed: 7", "seed: 8")])));
}
