//! `handlers.toml`: what is read, what is refused, and what an edit leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use toq_config::handlers::{self, HandlersError, Reply};

const PUBLISHED: &str = "# mine\n[[handlers]]\nname = \"echo\" # the first\ncommand = \"cat\"\nenabled = true\nfilter_from = [\"toq://a/*\"]\n\n[[handlers]]\nname = \"bot\"\nprovider = \"ollama\"\nmodel = \"m1\"\nmax_turns = 3\nauto_close = true\n";

fn dir(text: &str) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    write(dir.path(), text);
    dir
}

fn write(dir: &Path, text: &str) {
    let path = dir.join(handlers::FILE);
    fs::write(&path, text).expect("ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
}

fn text(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join(handlers::FILE)).expect("there")
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[test]
fn the_published_file_is_read() {
    let dir = dir(PUBLISHED);

    let read = handlers::load(dir.path()).expect("valid");

    assert_eq!(read.len(), 2);
    assert_eq!((read[0].name.as_str(), read[0].program()), ("echo", vec!["sh".into(), "-c".into(), "cat".into()]));
    assert_eq!((read[0].concurrency, read[0].timeout().as_secs(), read[0].max_attempts, read[0].reply), (4, 60, 3, Reply::None));
    assert!(read[1].is_llm() && read[1].auto_close && read[1].enabled);
}

#[test]
fn no_file_is_no_handler() {
    let dir = TempDir::new().expect("a directory");

    assert_eq!(handlers::load(dir.path()).expect("nothing"), []);
}

#[test]
fn a_mistake_is_told_with_its_line_and_what_was_meant() {
    let name = "[[handlers]]\nname = \"x\"\n";
    for (more, expected) in [
        ("comand = \"cat\"\n", ":3:1: unknown key `comand` of a handler, did you mean `command`?"),
        ("command = 3\n", ":3:11: `command` must be a text"),
        ("command = \"cat\"\nfilter_type = [\"nope\"]\n", ":4:15: `filter_type` must hold types"),
        ("command = \"cat\"\nfilter_key = [\"nope\"]\n", ":4:14: `filter_key` must hold keys"),
        ("command = \"cat\"\nconcurrency = 0\n", ":4:15: `concurrency` must be a whole number from 1 to 64"),
        ("command = \"cat\"\nenv = [\"TOQ_URL\"]\n", ":4:7: `env` cannot hold TOQ_URL"),
        ("command = \"cat\"\nenv = [\"A=B\"]\n", "`env` must hold names"),
        ("command = \"cat\"\nreply = \"yes\"\n", "`reply` must be none or stdout"),
        ("", ":1:1: specify command or provider"),
        ("command = \"cat\"\nargv = [\"cat\"]\n", "specify command or argv, not both"),
        ("command = \"cat\"\n[[handlers]]\nname = \"x\"\ncommand = \"cat\"\n", ":4:1: there are two handlers with the name `x`"),
        ("command = \"cat\n", "not valid TOML"),
    ] {
        let dir = dir(&format!("{name}{more}"));

        let error = handlers::load(dir.path()).expect_err(more).to_string();

        assert!(error.contains(expected), "{error} lacks {expected}");
    }
}

#[test]
fn a_name_is_never_a_path() {
    for bad in ["../../x", "a/b", "CON", ".", "", "-a", "a b", "a\u{0}", &"a".repeat(300)] {
        let dir = TempDir::new().expect("a directory");

        let added = handlers::add(dir.path(), &map(json!({"name": bad, "command": "cat"})));

        assert!(added.is_err(), "{bad:?}");
        assert!(!dir.path().join(handlers::FILE).exists(), "{bad:?}");
    }
}

#[test]
fn a_file_that_others_can_write_is_not_used() {
    let dir = dir(PUBLISHED);
    fs::set_permissions(dir.path().join(handlers::FILE), fs::Permissions::from_mode(0o620)).expect("ours");

    let error = handlers::load(dir.path()).expect_err("refused").to_string();

    assert!(error.contains("chmod go-w"), "{error}");
    assert!(handlers::add(dir.path(), &map(json!({"name": "x", "command": "cat"}))).is_err());
}

#[test]
fn an_edit_keeps_comments_and_the_other_handlers() {
    let dir = dir(PUBLISHED);

    let added = handlers::add(dir.path(), &map(json!({"name": "new", "argv": ["cat", "-u"], "reply": "stdout"}))).expect("valid");
    handlers::update(dir.path(), "echo", &map(json!({"enabled": false, "filter_from": [], "command": "tac"}))).expect("known");
    handlers::remove(dir.path(), "bot").expect("known");

    assert_eq!(added.program(), ["cat", "-u"]);
    let text = text(&dir);
    assert!(text.contains("# mine") && text.contains("# the first"), "{text}");
    let read = handlers::load(dir.path()).expect("valid");
    assert_eq!(read.iter().map(|handler| handler.name.as_str()).collect::<Vec<_>>(), ["echo", "new"]);
    assert_eq!((read[0].enabled, read[0].command.as_str(), read[0].filter_from.len()), (false, "tac", 0));
}

#[test]
fn handlers_written_as_a_list_can_be_added_to() {
    let dir = dir("handlers = [{name = \"a\", command = \"cat\"}]\n");

    handlers::add(dir.path(), &map(json!({"name": "b", "command": "cat"}))).expect("valid");

    assert_eq!(handlers::load(dir.path()).expect("valid").len(), 2);
}

#[test]
fn a_refused_change_leaves_the_file_as_it_was() {
    let dir = dir(PUBLISHED);

    let exists = handlers::add(dir.path(), &map(json!({"name": "echo", "command": "cat"})));
    let unknown = handlers::update(dir.path(), "nobody", &map(json!({"enabled": false})));
    let misspelled = handlers::update(dir.path(), "echo", &map(json!({"filter_form": ["toq://a/*"]})));
    let empty = handlers::update(dir.path(), "echo", &map(json!({"command": ""})));

    assert!(matches!(exists, Err(HandlersError::Exists(_))));
    assert!(matches!(unknown, Err(HandlersError::Unknown(_))));
    assert!(misspelled.expect_err("refused").to_string().contains("did you mean `filter_from`?"));
    assert!(empty.is_err());
    assert_eq!(text(&dir), PUBLISHED);
}
