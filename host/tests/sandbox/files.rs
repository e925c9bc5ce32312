//! Component files on disk: discovery, manifests, refusals, and code that is kept between runs.

use std::path::Path;
use twinhost::loader::{Candidate, Catalog, Kind, Loader, Terms, host_services, inspect};
use twinhost_plugin_api::{Reward as _, names};

use super::guests::{component, manifest, misbehaving, reward_with, transition, with_manifest};

fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    std::fs::write(&file, bytes).unwrap();
    inspect(&file).unwrap_err().reason
}

#[test]
fn a_file_or_a_folder_with_plugin_ron_is_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.wasm"), with_manifest(reward_with(""), &manifest("Reward", "one"))).unwrap();
    let bundle = folder.path().join("two");
    std::fs::create_dir(&bundle).unwrap();
    std::fs::write(bundle.join("two.wasm"), reward_with("")).unwrap();
    std::fs::write(bundle.join("plugin.ron"), manifest("Reward", "two")).unwrap();
    // Somebody else's component is passed over in silence.
    std::fs::write(folder.path().join("other.wasm"), wat::parse_str("(component)").unwrap()).unwrap();

    let catalog = Catalog::only(&[folder.path().to_path_buf()]);
    let found: Vec<&str> = catalog.components(Kind::Reward).filter(|(b, _)| b.sandboxed).map(|(_, c)| c.name.as_str()).collect();
    assert_eq!(found, ["one", "two"]);
    let (bundle, _) = catalog.find(Kind::Reward, "ones:one").unwrap();
    assert_eq!(bundle.stamp, "twinhost:plugin@1.0.0 reward");
    let about_other = |c: &Candidate| format!("{c:?}").contains("other.wasm");
    assert!(!catalog.candidates.iter().any(about_other), "{:?}", catalog.candidates);
}

#[test]
fn what_does_not_fit_is_refused_in_a_sentence() {
    let check = |bytes: &[u8], words: &str| {
        let said = refusal(bytes);
        assert!(said.contains(words), "{said} does not say {words}");
    };
    let good = reward_with("");
    check(b"hello", "is neither a shared library");
    check(&wat::parse_str("(module)").unwrap(), "is a bare WebAssembly module, not a component");
    check(&good[..good.len() / 2], "is a damaged component");
    check(&good, "carries no manifest");
    check(&with_manifest(good.clone(), "(name: "), "its plugin.ron is wrong at line 1");
    check(
        &with_manifest(good.clone(), &manifest("Env", "x")),
        "says in its plugin.ron that `x` is a env, but exports `twinhost:plugin/scoring@1.0.0`",
    );
    let two = manifest("Reward", "x").replace("components: [", "components: [(kind: Reward, name: \"y\"), ");
    check(&with_manifest(good.clone(), &two), "lists 2 components in its plugin.ron");
    check(&with_manifest(good, &" ".repeat(70_000)), "has a manifest of 70000 bytes");
    let later = "(component (instance $i) (export \"twinhost:plugin/scoring@2.0.0\" (instance $i)))";
    check(&wat::parse_str(later).unwrap(), "was built for `twinhost:plugin/scoring@2.0.0`, this host speaks twinhost:plugin@1.0.0");
    let unknown = "(component (instance $i) (export \"twinhost:plugin/dancing@1.0.0\" (instance $i)))";
    check(&wat::parse_str(unknown).unwrap(), "is not an interface of twinhost:plugin@1.0.0");
    let both = "(component (instance $i) (export \"twinhost:plugin/scoring@1.0.0\" (instance $i)) (instance $j) (export \"twinhost:plugin/acting@1.0.0\" (instance $j)))";
    check(&wat::parse_str(both).unwrap(), "holds exactly one component");
}

/// Exports an interface by name without its functions: found at the start, with the function's name.
#[test]
fn a_component_that_only_pretends_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    let empty = "(component (instance $i) (export \"twinhost:plugin/scoring@1.0.0\" (instance $i)))";
    std::fs::write(&file, with_manifest(wat::parse_str(empty).unwrap(), &manifest("Reward", "x"))).unwrap();
    let e = Loader::of(Catalog::only(&[file]))
        .keeping_code(None)
        .reward("x", "", host_services(1, 0), &Terms::default())
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("start:") && e.contains("configure"), "{e}");
}

#[test]
fn code_is_kept_in_a_private_folder_and_used_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.wasm");
    std::fs::write(&file, with_manifest(reward_with(""), &manifest("Reward", "one"))).unwrap();
    let kept = folder.path().join("kept");
    let score = || {
        let loader = Loader::of(Catalog::only(std::slice::from_ref(&file))).keeping_code(Some(kept.clone()));
        let mut reward = loader.reward("one", "", host_services(1, 0), &Terms::default()).unwrap();
        reward.score(&transition(1.0, 2.0)).unwrap().slice::<f32>(names::REWARD).unwrap().to_vec()
    };
    let files = || -> Vec<_> { std::fs::read_dir(&kept).unwrap().map(|e| e.unwrap()).collect() };
    let first = score();
    let written = files();
    assert_eq!(written.len(), 1);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept), mode(&written[0].path())), (0o700, 0o600));
    let at = written[0].metadata().unwrap().modified().unwrap();
    assert_eq!(score(), first);
    assert_eq!(files()[0].metadata().unwrap().modified().unwrap(), at, "it was not written again");
    // Damaged code is not run but compiled anew.
    std::fs::write(written[0].path(), b"nonsense").unwrap();
    assert_eq!(score(), first);
    assert!(files()[0].metadata().unwrap().len() > 1000);
}

#[test]
fn a_file_that_changed_since_it_was_looked_at_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.wasm");
    std::fs::write(&file, with_manifest(reward_with(""), &manifest("Reward", "one"))).unwrap();
    let loader = Loader::of(Catalog::only(std::slice::from_ref(&file))).keeping_code(None);
    let other = component("reward", &misbehaving("reward").replace(";; FAULT", "(unreachable)"));
    std::fs::write(&file, with_manifest(other, &manifest("Reward", "one"))).unwrap();
    let e = loader.reward("one", "", host_services(1, 0), &Terms::default()).err().unwrap().to_string();
    assert!(e.contains("changed while it was being loaded"), "{e}");
}
