//! What may be loaded: under `trust: Locked`, what the user has allowed and nothing else.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use twinhost_tests::{host, outcome, plugin};

#[test]
fn a_locked_recipe_loads_what_was_allowed_and_refuses_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    let bundle = f.join("bundle");
    fs::create_dir(&bundle).unwrap();
    let library = bundle.join("libtwinhost_misbehave.so");
    fs::copy(plugin("misbehave"), &library).unwrap();
    fs::copy(twinhost_tests::root().join("plugins/misbehave/plugin.ron"), bundle.join("plugin.ron")).unwrap();
    let recipe = f.join("locked.ron");
    let text = "(\n  name: \"locked\",\n  trust: Locked,\n  plugins: [\"bundle\"],\n  envs: {\"sim\": (component: \"faulty_env\")},\n  \
                policy: (component: \"faulty_policy\"),\n  stages: (),\n)\n";
    fs::write(&recipe, text).unwrap();
    let check = |locked: bool| {
        let mut command = host(f);
        command.arg("check").arg("--no-lock").arg(&recipe).args(if locked { &[][..] } else { &["--set", "trust=Any"] });
        outcome(&mut command)
    };
    let refused = |words: &[&str]| {
        let (code, _, stderr) = check(true);
        assert_eq!(code, 2, "{stderr}");
        for word in words.iter().chain(&["libtwinhost_misbehave.so", "locked.ron:5", "not trusted"]) {
            assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
        }
    };
    assert_eq!(check(false).0, 0);
    refused(&["nobody allowed it", "host plugin trust"]);

    let (code, stdout, stderr) = outcome(host(f).args(["plugin", "trust"]).arg(&bundle));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("allowed misbehave 0.1.0"), "{stdout}");
    let (code, _, stderr) = check(true);
    assert_eq!(code, 0, "{stderr}");
    assert!(outcome(host(f).args(["plugin", "trust"])).1.contains("misbehave 0.1.0"));

    // One byte more, which changes nothing but the file.
    let mut bytes = fs::read(&library).unwrap();
    bytes.push(0);
    fs::write(&library, bytes).unwrap();
    refused(&["another than the one that was allowed"]);

    let (code, stdout, _) = outcome(host(f).args(["plugin", "trust", "--remove", "misbehave"]));
    assert!(code == 0 && stdout.contains("removed 1"), "{stdout}");
    refused(&["nobody allowed it"]);
}

#[test]
fn what_cannot_be_trusted_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = |args: &[&str], words: &str| {
        let (code, _, stderr) = outcome(host(folder.path()).args(["plugin", "trust"]).args(args));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    };
    fs::write(folder.path().join("notes.txt"), "hello").unwrap();
    check(&["notes.txt"], "neither a shared library");
    check(&["missing.so"], "cannot be read");
    check(&["--key", "notes.txt"], "not a minisign public key");
    check(&["--key", "missing.pub"], "missing.pub");
    check(&["--remove", "nothing"], "nothing on the list begins with `nothing`");
    fs::create_dir_all(folder.path().join("xdg-config/twinhost")).unwrap();
    fs::write(folder.path().join("xdg-config/twinhost/trust.ron"), "(libraries: yes)").unwrap();
    check(&[], "trust.ron is damaged at line 1");
}
