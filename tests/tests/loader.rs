//! The native loader: what it accepts, and one sentence for everything it refuses.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::fs;
use std::path::Path;
use twinhost::loader::{Candidate, Catalog, Kind, Loader, Terms, host_services, inspect};
use twinhost_plugin_api::{Batch, Reward, Tensor, names};
use twinhost_tests::{altered, plugin};

fn refusal(path: &Path) -> String {
    inspect(path).unwrap_err().to_string()
}

#[test]
fn a_plugin_is_described_without_being_loaded() {
    let found = inspect(&plugin("rewards")).unwrap().unwrap();
    assert_eq!(found.manifest.name, "rewards");
    assert!(found.stamp.starts_with("twinhost-plugin api=1 "), "{}", found.stamp);
    assert_eq!(found.sha256.len(), 64);
    let manifest = fs::read_to_string(twinhost_tests::root().join("plugins/rewards/plugin.ron")).unwrap();
    assert_eq!(found.manifest, twinhost::loader::Manifest::parse(&manifest).unwrap());
}

#[test]
fn every_unfit_file_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libtext.so");
    fs::write(&text, "#!/bin/sh\n").unwrap();
    assert!(refusal(&text).contains("neither a shared library"));

    let other_api = altered(folder.path(), "rewards", b"twinhost-plugin api=1 ", b"twinhost-plugin api=9 ");
    let message = refusal(&other_api);
    assert!(message.contains("plugin API 9") && message.contains("speaks 1") && message.contains("rebuild"), "{message}");

    let older = refusal(&altered(folder.path(), "rewards", b"twinhost-plugin api=1 ", b"twinhost-plugin api=0 "));
    assert!(older.contains("plugin API 0") && older.contains("rebuild"), "{older}");
    let unreadable = refusal(&altered(folder.path(), "rewards", b"twinhost-plugin api=1 ", b"twinhost-plugin api=o "));
    assert!(unreadable.contains("unreadable ABI stamp"), "{unreadable}");

    let no_root = altered(folder.path(), "rewards", b"_1as_0lib_1header_0root_bmodule_bloader", b"_1as_0lib_1header_0root_bmodule_bloadeX");
    assert!(refusal(&no_root).contains("root module"));

    let bad_manifest =
        altered(folder.path(), "rewards", b"components: [\n        (kind: Reward,", b"components: [\n        (kind: Rewart,");
    let message = refusal(&bad_manifest);
    assert!(message.contains("plugin.ron") && message.contains("line") && message.contains("Rewart"), "{message}");

    let mut bytes = fs::read(plugin("rewards")).unwrap();
    // e_machine, 0xB7 is AArch64.
    bytes[18] = 0xB7;
    let foreign = folder.path().join("libforeign.so");
    fs::write(&foreign, &bytes).unwrap();
    assert!(refusal(&foreign).contains("Aarch64"));

    for length in [0, 3, 40, 64, 500, bytes.len() / 2] {
        let cut = folder.path().join("libcut.so");
        fs::write(&cut, &fs::read(plugin("rewards")).unwrap()[..length]).unwrap();
        assert!(!matches!(inspect(&cut), Ok(Some(_))), "a file cut to {length} bytes was accepted");
    }
    assert!(refusal(&folder.path().join("missing.so")).contains("cannot be read"));
}

#[test]
fn refused_files_show_up_in_the_catalog_and_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let altered = altered(folder.path(), "rewards", b"twinhost-plugin api=1 ", b"twinhost-plugin api=7 ");
    let catalog = Catalog::discover(&[folder.path().to_path_buf()]);
    assert!(catalog.candidates.iter().any(|c| matches!(c, Candidate::Refused(r) if r.path == altered)));
    let message = catalog.find(Kind::Reward, "no_such_reward").unwrap_err();
    assert!(message.contains("plugin API 7"), "{message}");
}

#[test]
fn a_typo_gets_a_suggestion() {
    let catalog = Catalog::discover(&[plugin("rewards")]);
    let message = catalog.find(Kind::Reward, "step_penalti").unwrap_err();
    assert!(message.contains("did you mean `step_penalty`"), "{message}");
}

#[test]
fn a_bundle_folder_works_and_the_first_of_a_name_wins() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("my-rewards");
    fs::create_dir(&bundle).unwrap();
    fs::copy(plugin("rewards"), bundle.join("libtwinhost_rewards.so")).unwrap();
    fs::copy(twinhost_tests::root().join("plugins/rewards/plugin.ron"), bundle.join("plugin.ron")).unwrap();
    let catalog = Catalog::discover(&[folder.path().to_path_buf(), plugin("rewards")]);
    let first = catalog.bundles.iter().find(|b| b.manifest.name == "rewards").unwrap();
    assert_eq!(first.library, bundle.join("libtwinhost_rewards.so"));
    assert!(catalog.candidates.iter().any(|c| matches!(c, Candidate::Shadowed { path, .. } if *path == plugin("rewards"))));
}

#[test]
fn components_work_through_the_boundary_and_errors_name_them() {
    let loader = Loader::new(&[plugin("rewards")]);
    let mut reward = loader.reward("rewards:step_penalty", "(cost: 2)", host_services(1, 0), &Terms::default()).unwrap();
    let transition =
        Batch::new().with(names::TERMINATED, Tensor::zeros::<bool>(&[1, 2])).with(names::TRUNCATED, Tensor::zeros::<bool>(&[1, 2]));
    assert_eq!(reward.score(&transition).unwrap().slice::<f32>(names::REWARD).unwrap(), [-2.0, -2.0]);

    let error = reward.score(&Batch::new()).unwrap_err().to_string();
    assert!(error.starts_with("reward `step_penalty`") && error.contains(names::TERMINATED), "{error}");

    let error = loader.reward("step_penalty", "(cost: -1)", host_services(1, 0), &Terms::default()).err().unwrap();
    assert_eq!(error.kind, twinhost_plugin_api::ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("`cost`"), "{error}");
}
