//! `recipe.lock`.

use super::super::lock::{Lock, LockedPlugin};
use super::{BASE, folder, load};

fn plugin(name: &str, sha256: &str) -> LockedPlugin {
    LockedPlugin { name: name.into(), version: "0.1.0".into(), sha256: sha256.into(), abi: "api=1".into() }
}

#[test]
fn a_lock_survives_the_file_and_keeps_other_recipes() {
    let folder = folder(&[]);
    let path = folder.path().join("recipe.lock");
    let lock = Lock::of(&load(BASE, &[], None).unwrap(), vec![plugin("b", "22"), plugin("a", "11"), plugin("a", "11")]);
    assert_eq!(lock.plugins.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(Lock::read(&path, "x.ron").unwrap(), None);
    assert_eq!(lock.sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["recipe.ron"]);
    let arm = Lock::of(&load(BASE, &[], Some("rlco")).unwrap(), Vec::new());
    assert_eq!((lock.key().as_str(), arm.key().as_str()), ("recipe.ron", "recipe.ron rlco"));
    lock.write(&path, &lock.key()).unwrap();
    arm.write(&path, &arm.key()).unwrap();
    assert_eq!(Lock::read(&path, "recipe.ron").unwrap(), Some(lock.clone()));
    assert_eq!(Lock::read(&path, "recipe.ron rlco").unwrap().unwrap().arm.as_deref(), Some("rlco"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the lock may be left");
    assert_eq!(lock.differences(&lock), [""; 0]);
}

#[test]
fn differences_are_named() {
    let now = Lock::of(&load(BASE, &["seed=8"], Some("rlco")).unwrap(), vec![plugin("a", "11"), plugin("c", "33")]);
    let locked =
        Lock { sources: now.sources.clone(), ..Lock::of(&load(BASE, &[], None).unwrap(), vec![plugin("a", "10"), plugin("b", "22")]) };
    let hashes = |found: &str| found.starts_with("resolved recipe: locked ");
    let found: Vec<String> = locked.differences(&now).into_iter().filter(|d| !hashes(d)).collect();
    assert_eq!(
        found,
        [
            "arm: locked none, now rlco",
            "seed: locked 7, now 8",
            "plugin `b`: no longer used",
            "plugin `a`: locked 0.1.0 10 (api=1), now 0.1.0 11 (api=1)",
            "plugin `c`: not in the lock, now 0.1.0 33 (api=1)",
        ]
    );
    assert_eq!(locked.differences(&now).len(), found.len() + 1, "the resolved recipe differs too");
}

#[test]
fn files_that_are_no_lock_are_refused_and_kept() {
    let lock = Lock::of(&load(BASE, &[], None).unwrap(), Vec::new());
    for (text, expect) in [("{", "is not a lock file"), ("{\"format\": 2, \"recipes\": {}}", "has format 2, this host knows 1")] {
        let folder = folder(&[("recipe.lock", text)]);
        let path = folder.path().join("recipe.lock");
        let error = lock.write(&path, "x").unwrap_err();
        assert!(error.contains(expect) && error.contains("delete it"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_missing_folder_is_an_error_with_the_path() {
    let lock = Lock::of(&load(BASE, &[], None).unwrap(), Vec::new());
    let error = lock.write(std::path::Path::new("no/such/folder/recipe.lock"), "x").unwrap_err();
    assert!(error.starts_with("cannot write no/such/folder/recipe.lock: "), "{error}");
}
