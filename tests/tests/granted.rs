//! A clock, random numbers and lines in the log in every guest language: behind the language's own functions, if the manifest asks and the user agrees.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::time::Duration;
use twinhost::authoring::{Language, Project, build, ready};
use twinhost::loader::{Loader, RewardHandle, Terms, host_services};
use twinhost::recipe::{Limits, Permission};
use twinhost_plugin_api::{Batch, Result, Reward, Tensor, names};
use twinhost_tests::{host, outcome, root};

/// Language, main file, and a reward whose first step is a random number and whose second one the time in seconds.
const SOURCES: [(Language, &str, &str); 4] = [
    (
        Language::Python,
        "reward.py",
        r#"
import json
import logging
from random import random
from time import monotonic

BUILT = monotonic()

from wit_world import exports
from wit_world.exports.scoring import Scores


class Scoring(exports.Scoring):
    def configure(self, config, environment, seed):
        print("set up")
        return json.dumps({"needs": [], "decides_success": False})

    def reset(self, rows):
        pass

    def score(self, transition, steps):
        return Scores(rewards=[random(), monotonic()], done=b"", success=b"", metrics=[])
"#,
    ),
    (
        Language::JavaScript,
        "reward.js",
        r#"
const built = [Date.now(), performance.now()];
console.log("built", built);

export const scoring = {
  configure(config, environment, seed) {
    console.log("set up", seed);
    return JSON.stringify({ needs: [], decides_success: false });
  },
  reset(rows) {},
  score(transition, steps) {
    const rewards = new Float32Array([Math.random(), performance.now() / 1000]);
    return { rewards, done: new Uint8Array(), success: new Uint8Array(), metrics: [] };
  },
};
"#,
    ),
    (
        Language::C,
        "reward.c",
        r#"
#include <stdlib.h>
#include <string.h>

#include "reward.h"
#include "twinhost_grants.h"

typedef exports_twinhost_plugin_scoring_error_t error_t;

bool exports_twinhost_plugin_scoring_configure(reward_string_t *config, reward_string_t *environment, uint64_t seed,
                                               reward_string_t *ret, error_t *err) {
  twinhost_log("set up");
  reward_string_dup(ret, "{\"needs\": [], \"decides_success\": false}");
  return true;
}

bool exports_twinhost_plugin_scoring_reset(reward_list_u32_t *rows, error_t *err) { return true; }

bool exports_twinhost_plugin_scoring_score(exports_twinhost_plugin_scoring_batch_t *transition, uint32_t steps,
                                           exports_twinhost_plugin_scoring_scores_t *ret, error_t *err) {
  memset(ret, 0, sizeof *ret);
  ret->rewards.len = 2;
  ret->rewards.ptr = calloc(2, sizeof(float));
  ret->rewards.ptr[0] = (float)(twinhost_random_word() >> 40) / 16777216.0f;
  ret->rewards.ptr[1] = (float)(twinhost_clock_monotonic() * 1e-9);
  return true;
}
"#,
    ),
    (
        Language::Rust,
        "src/lib.rs",
        r##"
wit_bindgen::generate!({
    path: "wit",
    inline: "
        package mine:dice;
        world dice {
            include twinhost:plugin/reward@1.0.0;
            import twinhost:grants/clock@1.0.0;
            import twinhost:grants/log@1.0.0;
            import twinhost:grants/random@1.0.0;
        }
    ",
    generate_all,
});

use exports::twinhost::plugin::scoring::{Batch, Error, Guest, Scores};
use twinhost::grants::{clock, log, random};

struct Component;

impl Guest for Component {
    fn configure(_config: String, _environment: String, _seed: u64) -> Result<String, Error> {
        log::line("set up");
        Ok(r#"{"needs": [], "decides_success": false}"#.into())
    }

    fn reset(_rows: Vec<u32>) -> Result<(), Error> {
        Ok(())
    }

    fn score(_transition: Batch, _steps: u32) -> Result<Scores, Error> {
        let rewards = vec![(random::word() >> 40) as f32 / (1 << 24) as f32, (clock::monotonic() as f64 * 1e-9) as f32];
        Ok(Scores { rewards, done: Vec::new(), success: Vec::new(), metrics: Vec::new() })
    }
}

export!(Component);
"##,
    ),
];

/// One environment, two control steps: what the reward has to say.
fn said(reward: &mut RewardHandle) -> [f32; 2] {
    let out = reward.score(&Batch::new().with(names::REWARD, Tensor::zeros::<f32>(&[1, 2]))).unwrap();
    out.slice::<f32>(names::REWARD).unwrap().try_into().unwrap()
}

#[test]
fn every_language_has_what_it_asked_for_and_was_granted() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("recipes"), folder.path().join("recipes")).unwrap();
    for (language, file, text) in SOURCES {
        if let Err(missing) = ready(language) {
            eprintln!("NOT RUN: {language}: {missing}");
            continue;
        }
        let (code, _, complaint) = outcome(host(folder.path()).args([
            "plugin",
            "new",
            "--kind",
            "reward",
            "--lang",
            language.word(),
            "--into",
            language.word(),
            "dice",
        ]));
        assert_eq!(code, 0, "{complaint}");
        let project = folder.path().join(language.word());
        fs::remove_dir_all(project.join("cases")).unwrap();
        fs::write(project.join(file), text).unwrap();
        let manifest = fs::read_to_string(project.join("plugin.ron")).unwrap();
        let built = |asks: &str| {
            fs::write(project.join("plugin.ron"), manifest.replace("(kind: Reward,", &format!("(kind: Reward, asks: [{asks}],"))).unwrap();
            build(&Project::open(&project).unwrap())
        };
        // Compiled languages notice what was not asked for; interpreters cannot know what a source will do before it does it.
        if matches!(language, Language::C | Language::Rust) {
            let e = built("Clock, Log").unwrap_err().to_string();
            assert!(e.contains("twinhost:grants/random") && e.contains("asks: [Random]"), "{language}: {e}");
        } else {
            let loader = Loader::new(&[built("Clock, Random").unwrap().path]);
            let limits = Limits { grants: Permission::ALL.to_vec(), ..Limits::default() };
            let refused = loader.reward("dice", "", host_services(1, 7), &Terms { limits, environment: None });
            let e = refused.err().unwrap().to_string();
            assert!(e.contains("`asks: [Log]`"), "{language}: {e}");
        }
        let loader = Loader::new(&[built("Clock, Random, Log").unwrap().path]);
        let create = |grants: &[Permission], seed| -> Result<RewardHandle> {
            let limits = Limits { grants: grants.to_vec(), ..Limits::default() };
            loader.reward("dice", "", host_services(1, seed), &Terms { limits, environment: None })
        };
        let e = create(&[Permission::Random, Permission::Log], 7).err().unwrap().to_string();
        assert!(e.contains("asks for `Clock`, which nobody granted it"), "{language}: {e}");

        let all = Permission::ALL;
        let (mut one, mut same, mut other) = (create(all, 7).unwrap(), create(all, 7).unwrap(), create(all, 8).unwrap());
        let (first, second) = (said(&mut one), {
            std::thread::sleep(Duration::from_millis(20));
            said(&mut one)
        });
        assert!((0.0..1.0).contains(&first[0]) && first[0] != second[0], "{language}: {first:?}, {second:?}");
        // f32 seconds of a process that runs for minutes: steps of some 10 us.
        assert!(second[1] - first[1] >= 0.019, "{language}: the clock went from {} to {} s in 20 ms", first[1], second[1]);
        assert_eq!([said(&mut same)[0], said(&mut same)[0]], [first[0], second[0]], "{language}: equal seeds, other numbers");
        assert_ne!(said(&mut other)[0], first[0], "{language}: another seed, equal numbers");

        let recipe =
            format!("(\n    include: [\"recipes/rlco_smoke.ron\"],\n    stages: (rl: (rewards: [(component: \"./{language}\")])),\n)\n");
        fs::write(folder.path().join("recipe.ron"), recipe).unwrap();
        let (code, _, log) = outcome(host(folder.path()).args(["check", "recipe.ron", "--no-lock", "--grant", "clock,random,log"]));
        assert!(code == 0 && log.contains("reward `dice`: set up"), "{language}: {log}");
    }
}
