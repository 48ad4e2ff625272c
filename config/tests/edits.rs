//! A change keeps what a person wrote, and a refused change changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tempfile::TempDir;
use toq_config::{ConfigError, patch, set, unset};

const FILE: &str = "# my agent\nagent_name = \"alice\"   # after my cat\n\n[delivery]\nwindow = 8 # slow peer\n";

fn workspace() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("config.toml"), FILE).expect("the directory is ours");
    dir
}

fn text(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("config.toml")).expect("the file is there")
}

#[test]
fn set_keeps_comments() {
    let dir = workspace();

    let change = set(dir.path(), "agent_name", "bob").expect("a good name");
    set(dir.path(), "delivery.window", "16").expect("in range");

    assert_eq!(change.keys, ["agent_name"]);
    assert_eq!(change.needs_restart, change.keys);
    assert_eq!(text(&dir), FILE.replace("alice", "bob").replace("= 8", "= 16"));
}

#[test]
fn a_new_key_does_not_land_in_somebody_elses_table() {
    let dir = workspace();

    set(dir.path(), "port", "0").expect("in range");
    set(dir.path(), "api.access", "token").expect("a known word");

    let loaded = toq_config::WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]).expect("still valid");
    assert_eq!(loaded.config.port, 0);
    assert_eq!(loaded.config.api.access, toq_config::Access::Token);
    assert!(text(&dir).contains("# after my cat"));
}

#[test]
fn the_connection_mode_needs_no_restart() {
    let dir = workspace();

    let change = set(dir.path(), "connection_mode", "open").expect("a known word");

    assert!(change.needs_restart.is_empty());
}

#[test]
fn a_value_that_is_the_same_is_no_change() {
    let dir = workspace();

    let change = set(dir.path(), "agent_name", "alice").expect("a good name");

    assert!(change.keys.is_empty());
    assert_eq!(text(&dir), FILE);
}

#[test]
fn a_refused_change_leaves_the_file_as_it_was() {
    let dir = workspace();

    for (key, value) in [("prot", "1"), ("port", "x"), ("connection_mode", "closed"), ("heartbeat_timeout", "30")] {
        let error = set(dir.path(), key, value).expect_err(key);

        assert!(matches!(&error, ConfigError::Fault(_)), "{key}");
        assert!(!error.to_string().contains("config.toml"), "{error}");
    }

    assert_eq!(text(&dir), FILE);
}

#[test]
fn the_file_is_private_and_nothing_is_left_beside_it() {
    let dir = workspace();

    set(dir.path(), "port", "1").expect("in range");

    let mode = fs::metadata(dir.path().join("config.toml")).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 1);
}

#[test]
fn a_patch_is_all_or_nothing() {
    let dir = workspace();
    let good = json!({"port": 1, "delivery": {"max_attempts": 5}, "aliases": ["toq://h/a"]});
    let bad = json!({"port": 2, "delivery": {"max_attempts": -5}});

    let change = patch(dir.path(), good.as_object().expect("an object")).expect("all good");
    let refused = patch(dir.path(), bad.as_object().expect("an object"));

    assert_eq!(change.keys.len(), 3);
    assert!(refused.is_err());
    assert!(text(&dir).contains("port = 1"));
    assert!(text(&dir).contains("window = 8 # slow peer\nmax_attempts = 5"));
}

#[test]
fn a_redacted_secret_that_comes_back_is_kept() {
    let dir = workspace();
    set(dir.path(), "a2a_api_key", "hush").expect("a text");

    let echo = json!({"a2a_api_key": "[redacted]"});
    let change = patch(dir.path(), echo.as_object().expect("an object")).expect("all good");

    assert!(change.keys.is_empty());
    assert!(text(&dir).contains("hush"));
}

#[test]
fn a_patch_with_the_wrong_type_says_so() {
    let dir = workspace();
    let bad = json!({"port": "x"});

    let error = patch(dir.path(), bad.as_object().expect("an object")).expect_err("a text").to_string();

    assert_eq!(error, "`port` must be a whole number, not the text \"x\"");
}

#[test]
fn a_key_whose_table_has_a_dot_is_written_where_it_belongs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("config.toml"), "port = 1\n").expect("the directory is ours");

    let change = set(dir.path(), "adapter.http.callback_url", "http://127.0.0.1:8080/in").expect("a URL");
    let nested = serde_json::json!({"adapter.unix": {"socket_path": "/run/a.sock"}});
    patch(dir.path(), nested.as_object().expect("an object")).expect("a path");

    assert_eq!(change.keys, ["adapter.http.callback_url"]);
    let text = std::fs::read_to_string(dir.path().join("config.toml")).expect("it is there");
    assert!(text.contains("[\"adapter.http\"]\ncallback_url = \"http://127.0.0.1:8080/in\""), "{text}");
    let loaded = toq_config::WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]).expect("loads");
    assert_eq!(loaded.config.adapter_http.callback_url.as_deref(), Some("http://127.0.0.1:8080/in"));
    assert_eq!(loaded.config.adapter_unix.socket_path.as_deref(), Some(std::path::Path::new("/run/a.sock")));
    assert_eq!(loaded.to_json()["adapter.http"]["callback_url"], "http://127.0.0.1:8080/in");
    assert_eq!(loaded.to_json()["adapter"], "http");
}

#[test]
fn a_key_that_is_taken_out_has_its_default_again() {
    let dir = workspace();
    set(dir.path(), "advertise", "example.com:9009").expect("an authority");

    let change = unset(dir.path(), "advertise").expect("it is there");
    let nothing = unset(dir.path(), "advertise").expect("it is not there any more, which is what was asked for");
    let nested = json!({"delivery": {"window": null}});
    patch(dir.path(), nested.as_object().expect("an object")).expect("taken out");

    assert_eq!((change.keys, nothing.keys), (vec!["advertise".to_owned()], Vec::<String>::new()));
    assert!(!text(&dir).contains("advertise") && !text(&dir).contains("window"), "{}", text(&dir));
    assert!(unset(dir.path(), "advertize").expect_err("unknown").to_string().contains("advertise"));
}

#[test]
fn a_list_may_be_written_as_in_the_file() {
    let dir = workspace();

    for list in ["[\"127.0.0.1:5353\", \"[::1]:53\"]", "127.0.0.1:5353, [::1]:53", "[::1]:53, 127.0.0.1:5353"] {
        set(dir.path(), "dns.resolvers", list).unwrap_or_else(|error| panic!("{list}: {error}"));
    }
    let refused = set(dir.path(), "aliases", "agents.test").expect_err("no address").to_string();

    assert!(refused.starts_with("`aliases` must be a list of toq addresses such as toq://example.com/agent"), "{refused}");
}

#[test]
fn what_keeps_a_file_from_being_used_can_be_taken_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let broken = "port = \"x\"\nbad = 1\nalso.bad = 2\n\"odd.one\" = 3\n\n[delivery]\nwindow = 8\nwindwo = 9\n";
    fs::write(dir.path().join("config.toml"), broken).expect("the directory is ours");
    assert!(set(dir.path(), "host", "localhost").is_err());

    for key in ["bad", "also.bad", "odd.one", "delivery.windwo", "port"] {
        let change = unset(dir.path(), key).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(change.keys, [key]);
    }

    assert_eq!(text(&dir).trim(), "[delivery]\nwindow = 8");
    set(dir.path(), "host", "localhost").expect("the file is in order again");
}

#[test]
fn only_what_is_there_or_known_can_be_taken_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let broken = "bad = 1\n[delivery]\nwindow = 8\n";
    fs::write(dir.path().join("config.toml"), broken).expect("the directory is ours");

    assert!(unset(dir.path(), "worse").is_err());
    assert!(unset(dir.path(), "delivery").is_err(), "a table holds more than what is wrong");
    assert!(unset(dir.path(), "host").expect("known, and not there").keys.is_empty());

    assert_eq!(text(&dir), broken);
}

#[test]
fn a_restart_is_asked_for_only_where_it_changes_something() {
    let dir = workspace();

    for (key, value) in [("verbosity", "technical"), ("a2a_api_key", "hush"), ("a2a_public_url", "https://a.example")] {
        let change = set(dir.path(), key, value).expect("a good value");
        assert_eq!((change.keys.len(), change.needs_restart.len()), (1, 0), "{key}");
    }
}

#[test]
fn the_file_is_read_again_below_the_same_layers() {
    let dir = workspace();
    let variables = [("TOQ_PORT".to_owned(), "7".to_owned())];
    let overrides = [("host".to_owned(), "b.example".to_owned())];
    let loaded = toq_config::WorkspaceConfig::load(dir.path(), variables.into_iter(), &overrides).expect("valid");
    fs::write(dir.path().join("config.toml"), "agent_name = \"bob\"\nport = 8\nverbosity = \"technical\"\n").expect("ours");

    let again = loaded.again().expect("valid");

    assert_eq!((again.config.agent_name.as_str(), again.config.port, again.config.host.as_str()), ("bob", 7, "b.example"));
    assert_eq!(toq_config::differing(&loaded.to_json(), &again.to_json()), ["agent_name", "delivery.window"]);
}

#[test]
fn a_relative_path_begins_in_the_workspace() {
    let dir = workspace();

    for (written, meant) in [("own.sock", dir.path().join("own.sock")), ("/run/own.sock", "/run/own.sock".into())] {
        set(dir.path(), "adapter.unix.socket_path", written).expect("a path");
        let loaded = toq_config::WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]).expect("valid");
        assert_eq!(loaded.config.adapter_unix.socket_path, Some(meant));
        assert_eq!(loaded.to_json()["adapter.unix"]["socket_path"], written, "it is shown as it is written");
    }
}
