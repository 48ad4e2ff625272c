//! `default.toml` is the reference page: it names every key, it names no other, and what it says loads.

use std::collections::BTreeSet;
use std::path::Path;

use toq_config::{DEFAULTS, WorkspaceConfig, is_key};

/// The text with its commented-out keys put in force.
fn uncommented() -> String {
    let is_setting = |line: &str| {
        line.split_once(" = ")
            .is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()))
    };
    DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if is_setting(rest) => rest,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

fn keys(json: &serde_json::Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in json.as_object().expect("a configuration is an object") {
        match value.as_object() {
            Some(table) => keys.extend(table.keys().map(|leaf| format!("{name}.{leaf}"))),
            None => drop(keys.insert(name.clone())),
        }
    }
    keys
}

#[test]
fn default_toml_documents_exactly_the_known_keys() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("config.toml"), uncommented()).expect("the directory is ours");

    let loaded = WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]).expect("every example value is valid");

    let documented = keys(&loaded.to_json());
    assert!(documented.iter().all(|key| is_key(key)));
    assert_eq!(documented.len(), toq_config::keys().count());
}

#[test]
fn every_setting_in_default_toml_stands_below_a_comment() {
    let mut explained = false;
    for line in DEFAULTS.lines() {
        let setting = line.contains(" = ") && !line.starts_with("# ");
        assert!(!setting || explained, "{line} is not explained");
        explained = line.starts_with('#') || (setting && explained);
    }
}

#[test]
fn every_example_loads() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).expect("there are examples") {
        let path = entry.expect("a readable directory").path();
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::copy(&path, dir.path().join("config.toml")).expect("the directory is ours");

        let loaded = WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]);

        assert!(loaded.is_ok(), "{}: {:?}", path.display(), loaded.err());
        seen += 1;
    }
    assert!(seen >= 5);
}
