//! Replays every seed of every target: what once was hostile stays harmless.

use std::collections::BTreeSet;

use lxcri_fuzz::{TARGETS, corpus};

#[test]
fn every_seed_passes() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let seeds = corpus::seeds(target).unwrap();
        assert!(seeds.len() >= 5, "{}: {} seeds", target.name, seeds.len());
        for (path, bytes) in seeds {
            assert!(bytes.len() <= 4096, "{} is large", path.display());
            let outcome = std::panic::catch_unwind(|| (target.run)(&bytes));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => broken.push(format!("{}: {reason}", path.display())),
                Err(_) => broken.push(format!("{}: a panic", path.display())),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_directory_of_seeds_has_a_target() {
    let wanted: BTreeSet<_> = TARGETS.iter().map(|target| target.seeds.into()).collect();
    let items = std::fs::read_dir(corpus::directory()).unwrap();
    let found: BTreeSet<_> = items.map(|item| item.unwrap().file_name()).collect();
    assert_eq!(found, wanted);
}
