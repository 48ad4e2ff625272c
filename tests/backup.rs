//! Backups from outside: an agent is taken out of one workspace and put into another, whole, or not at all.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod world;

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use world::{Agent, TOQ, World};

const WORDS: &str = "canary horse battery staple";
const KEY: &str = "ed25519:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const HANDLERS: &str = "[[handlers]]\nname = \"answer\"\ncommand = \"true\"\nenabled = true\n";

/// Runs a command with the passphrase in the environment.
fn toq(world: &World, place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(TOQ);
    command.args(arguments).current_dir(place).env_clear().env("HOME", world.home()).env("PATH", "/usr/bin:/bin");
    command.env("TOQ_PASSPHRASE", WORDS).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn key(world: &World, place: &Path) -> Value {
    let output = toq(world, place, &["whoami", "--json"]);
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["public_key"].clone()
}

/// A backup of an agent with a rule, a block, a handler and a message.
fn backup(world: &World) -> (Agent, PathBuf) {
    let alice = world.agent("alice", &[("log_level", "debug"), ("connection_mode", "open")]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    assert_eq!(alice.post("/v1/approve", &json!({"key": KEY}).to_string()).status, 200);
    assert_eq!(alice.post("/v1/block", r#"{"from":"toq://bad.example/*"}"#).status, 200);
    let sent = alice.post("/v1/messages?wait=true", &json!({"to": bob.address(), "body": {"text": "hello"}, "thread_id": "t"}).to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
    let back = bob.post("/v1/messages?wait=true", &json!({"to": alice.address(), "body": {"text": "hello to you"}}).to_string());
    assert_eq!(back.status, 200, "{back:?}");
    std::fs::write(alice.place.join(".toq/handlers.toml"), HANDLERS).unwrap();
    let path = world.path().join("alice.backup");
    let output = toq(world, &alice.place, &["export", path.to_str().unwrap(), "--messages"]);
    assert!(output.status.success(), "{output:?}");
    (alice, path)
}

#[test]
fn an_agent_moves_to_another_workspace_with_its_rules_and_messages_and_its_handlers_asleep() {
    let world = World::new();
    let (alice, path) = backup(&world);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for secret in ["bad.example", "BEGIN", "answer", "hello", WORDS] {
        assert!(!text.contains(secret), "{secret} is in the backup");
    }
    let whole = key(&world, &alice.place);
    assert!(alice.toq(&["down"]).status.success());
    let place = world.path().join("elsewhere");
    std::fs::create_dir_all(place.join(".toq")).unwrap();
    std::fs::set_permissions(place.join(".toq"), std::fs::Permissions::from_mode(0o700)).unwrap();

    let output = toq(&world, &place, &["import", path.to_str().unwrap(), "--yes"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(key(&world, &place), whole);
    let output = world.up(&place);
    assert!(output.status.success(), "{output:?}");

    let port = std::fs::read_to_string(place.join(".toq/last_port")).unwrap().parse().unwrap();
    let moved = Agent::elsewhere("alice", port, &world);
    let permissions = moved.get("/v1/permissions").json();
    assert_eq!(permissions["approved"].as_array().map(Vec::len), Some(1));
    assert_eq!((&permissions["approved"][0]["type"], &permissions["approved"][0]["value"]), (&json!("key"), &json!(KEY)));
    assert_eq!(permissions["blocked"], json!([{"type": "address", "value": "toq://bad.example/*"}]));
    let history = moved.get("/v1/threads/t").json();
    assert_eq!(
        (history["messages"][0]["body"]["text"].clone(), history["messages"][0]["state"].clone()),
        (json!("hello"), json!("delivered"))
    );
    assert_eq!(moved.get("/v1/peers").json()["peers"].as_array().map(Vec::len), Some(1));
    let handlers = std::fs::read_to_string(place.join(".toq/handlers.toml")).unwrap();
    assert!(handlers.contains("enabled = false") && !handlers.contains("enabled = true"), "{handlers}");
    assert!(toq(&world, &place, &["down"]).status.success());
}

#[test]
fn the_published_request_takes_effect_with_the_next_start_and_not_before() {
    let world = World::new();
    let (alice, path) = backup(&world);
    let wanted = key(&world, &alice.place);
    let carol = world.agent("carol", &[]);
    let own = key(&world, &carol.place);
    let request = json!({"passphrase": WORDS, "data": std::fs::read_to_string(path).unwrap()});

    let imported = carol.post("/v1/backup/import", &request.to_string());

    assert_eq!((imported.status, imported.body.as_str()), (200, ""));
    assert_eq!(carol.get("/v1/status").json()["public_key"], own);
    assert!(alice.toq(&["down"]).status.success() && carol.toq(&["down"]).status.success());
    // The old files are kept, and the start carries the import out.
    assert!(world.up(&carol.place).status.success());
    assert_eq!(key(&world, &carol.place), wanted);
    assert!(carol.place.join(".toq/replaced/identity.key").exists() && !carol.place.join(".toq/restore").exists());
    assert_eq!(std::fs::metadata(carol.place.join(".toq/replaced")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let world = World::new();
    let (alice, path) = backup(&world);
    let carol = world.agent("carol", &[]);
    let own = key(&world, &carol.place);
    let data = std::fs::read_to_string(&path).unwrap();

    let plan = carol.post("/v1/backup/import", &json!({"passphrase": WORDS, "data": data, "dry_run": true}).to_string());
    let told = toq(&world, &carol.place, &["import", path.to_str().unwrap(), "--dry-run"]);

    let plan = plan.json();
    assert_eq!((&plan["old_public_key"], &plan["new_public_key"]), (&own, &key(&world, &alice.place)));
    assert_eq!(plan["rules_added"]["approved"], json!([{"type": "key", "value": KEY}]));
    assert_eq!((&plan["handlers"], &plan["messages"]), (&json!(["answer"]), &json!(2)));
    let mode = json!({"key": "connection_mode", "from": "approval", "to": "open"});
    assert!(plan["config"].as_array().unwrap().contains(&mode), "{plan}");
    let told = said(&told);
    for line in ["becomes", "connection_mode: \"approval\" → \"open\"", "+ block toq://bad.example/*", "handler:   answer (switched off)"]
    {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert!(!carol.place.join(".toq/restore").exists());

    let wrong = json!({"passphrase": WORDS, "data": data, "confirm": own});
    let refused = carol.post("/v1/backup/import", &wrong.to_string());
    assert_eq!((refused.status, refused.code()), (409, "conflict".to_owned()));
    assert!(!carol.place.join(".toq/restore").exists());
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason_before_anything_changes() {
    let world = World::new();
    let carol = world.agent("carol", &[]);
    let keys = carol.place.join(".toq/keys");
    let read = |name: &str| std::fs::read_to_string(keys.join(name)).unwrap();
    let dave = world.agent("dave", &[]);
    let foreign = std::fs::read_to_string(dave.place.join(".toq/keys/tls_key.pem")).unwrap();
    let plain = json!({"version": "0.1", "identity_key": read("identity.key"), "tls_cert": read("tls_cert.pem"), "tls_key": read("tls_key.pem"),
        "config": "agent_name = \"eve\"\n", "../../evil": "x", "/etc/passwd": "x"});
    let mut cases = vec![(plain.to_string(), false, "invalid_request", "not encrypted")];
    for (name, value, why) in [
        ("identity_key", json!("c2hvcnQ="), "identity_key"),
        ("tls_cert", json!("PLACEHOLDER"), "not PEM"),
        ("tls_key", json!(foreign), "does not fit"),
        ("config", json!("no_such_key = 1\n"), "no_such_key"),
        ("peers", json!("nonsense"), "peers"),
    ] {
        let mut bad = plain.clone();
        bad[name] = value;
        cases.push((bad.to_string(), true, "invalid_request", why));
    }
    cases.push(("nonsense".to_owned(), true, "invalid_request", "Invalid backup data"));
    cases.push((
        json!({"encrypted": true, "kdf": "argon2id", "salt": "AAAAAAAAAAAAAAAAAAAAAA==", "nonce": "AAAAAAAAAAAAAAAA", "data": "AAAA"})
            .to_string(),
        true,
        "invalid_passphrase",
        "Wrong passphrase",
    ));

    for (data, allow_weak, code, why) in cases {
        let request = json!({"passphrase": WORDS, "data": data, "allow_weak": allow_weak});
        let answer = carol.post("/v1/backup/import", &request.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{why}: {answer:?}");
        assert!(answer.body.contains(why), "{why}: {answer:?}");
        assert!(!carol.place.join(".toq/restore").exists(), "{why}");
    }
    for route in ["export", "import"] {
        let empty = carol.post(&format!("/v1/backup/{route}"), r#"{"passphrase":"","data":""}"#);
        assert_eq!((empty.status, empty.code()), (400, "invalid_request".to_owned()));
    }
    // The same, but sound, and the owner knows: taken, and members with other names are no files.
    let request = json!({"passphrase": WORDS, "data": plain.to_string(), "allow_weak": true});
    assert_eq!(carol.post("/v1/backup/import", &request.to_string()).status, 200);
    assert!(!world.path().join("evil").exists() && !carol.place.join("evil").exists());
}

#[test]
fn a_passphrase_comes_from_a_file_a_pipe_or_the_environment_and_never_from_the_arguments() {
    let world = World::new();
    let place = world.workspace("alice", &[]);
    assert!(world.up(&place).status.success() && toq(&world, &place, &["down"]).status.success());
    let file = world.path().join("words");
    std::fs::write(&file, format!("{WORDS}\n")).unwrap();
    let bare = |arguments: &[&str], stdin: &str| {
        let mut command = Command::new(TOQ);
        command.args(arguments).current_dir(&place).env_clear().env("HOME", world.home());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _closed_early = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    };

    assert_eq!(bare(&["export", "a.backup", "--passphrase", WORDS], "").status.code(), Some(2));
    let nobody = bare(&["export", "a.backup"], "");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("--passphrase-file") && !place.join("a.backup").exists());

    assert!(bare(&["export", "a.backup", "--passphrase-file", file.to_str().unwrap()], "").status.success());
    assert!(bare(&["import", "a.backup", "--passphrase-stdin", "--yes"], &format!("{WORDS}\n")).status.success());
    assert!(toq(&world, &place, &["import", "a.backup", "--yes"]).status.success());
    let unasked = toq(&world, &place, &["import", "a.backup"]);
    assert_eq!(unasked.status.code(), Some(1));
    assert!(said(&unasked).contains("--yes"), "{unasked:?}");
    let wrong = bare(&["import", "a.backup", "--passphrase-stdin", "--yes"], "other words");
    assert!(said(&wrong).contains("Wrong passphrase"), "{wrong:?}");
}

#[test]
fn a_planted_link_is_neither_followed_nor_in_the_way() {
    let world = World::new();
    let (alice, path) = backup(&world);
    let wanted = key(&world, &alice.place);
    let place = world.workspace("carol", &[]);
    let victim = world.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    for name in ["restore.new", "replaced", "replaced.new", "restore.done"] {
        symlink(&victim, place.join(".toq").join(name)).unwrap();
    }

    let output = toq(&world, &place, &["import", path.to_str().unwrap(), "--yes"]);

    assert!(output.status.success(), "{output:?}");
    assert_eq!(key(&world, &place), wanted);
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
}

#[test]
fn secrets_appear_in_no_log() {
    let world = World::new();
    let (alice, path) = backup(&world);
    let data = std::fs::read_to_string(path).unwrap();
    for passphrase in [WORDS, "canary-wrong"] {
        alice.post("/v1/backup/import", &json!({"passphrase": passphrase, "data": data, "dry_run": true}).to_string());
    }
    alice.post("/v1/backup/import", r#"{"passphrase": 7, "data": "canary-data"}"#);
    let seed = std::fs::read_to_string(alice.place.join(".toq/keys/identity.key")).unwrap();
    assert!(alice.toq(&["down"]).status.success());

    let mut seen = 0;
    for entry in std::fs::read_dir(alice.place.join(".toq/logs")).unwrap() {
        let Ok(log) = std::fs::read_to_string(entry.unwrap().path()) else { continue };
        seen += log.len();
        assert!(!log.contains("canary") && !log.contains(seed.trim()), "{log}");
    }
    assert!(seen > 0, "something was logged");
}

#[test]
fn an_import_that_fails_half_way_puts_everything_back() {
    let world = World::new();
    let (_alice, path) = backup(&world);
    let carol = world.agent("carol", &[]);
    let old = key(&world, &carol.place);
    let request = json!({"passphrase": WORDS, "data": std::fs::read_to_string(path).unwrap()});
    assert_eq!(carol.post("/v1/backup/import", &request.to_string()).status, 200);
    assert!(carol.toq(&["down"]).status.success());
    // The log is written last, so by then every file has been replaced.
    let log = json!({"rules": null, "peers": [], "log": [{"table": "of another release", "parts": []}]});
    std::fs::write(carol.place.join(".toq/restore/log.json"), log.to_string()).unwrap();

    let refused = world.up(&carol.place);

    assert!(!refused.status.success() && said(&refused).contains("log"), "{refused:?}");
    assert!(world.up(&carol.place).status.success());
    assert_eq!(key(&world, &carol.place), old);
    assert_eq!(carol.get("/v1/status").json()["address"].as_str().unwrap().rsplit('/').next(), Some("carol"));
}

/// An import that a running daemon has accepted.
fn staged(world: &World, agent: &Agent, path: &Path) {
    let output = toq(world, &agent.place, &["import", path.to_str().unwrap(), "--yes"]);
    assert!(output.status.success() && agent.place.join(".toq/restore").exists(), "{output:?}");
}

#[test]
fn what_the_owner_confirms_while_an_import_waits_holds_after_it() {
    let world = World::new();
    let (alice, path) = backup(&world);
    let stands = |kind: &str, value: &str| json!({"type": kind, "value": value});
    let rule = |text: &str| format!(r#"{{"from":"{text}"}}"#);
    // Made after the backup and before the import: the plan says that they go.
    for from in ["toq://again.example/*", "toq://gone.example/*"] {
        assert_eq!(alice.post("/v1/block", &rule(from)).status, 200);
    }
    staged(&world, &alice, &path);

    // A block that is there already is confirmed again, a new one covers an approval of the backup, and one of the backup is taken back.
    for command in [
        &["block", "--from", "toq://again.example/*"][..],
        &["block", "--key", KEY],
        &["approve", "--from", "toq://friend.example/*"],
        &["unblock", "--from", "toq://bad.example/*"],
        &["config", "set", "connection_mode", "allowlist"],
        &["handler", "add", "mine", "--command", "true"],
        &["down"],
        // At rest as well, whoever carries the import out.
        &["block", "--from", "toq://late.example/*"],
        &["config", "set", "max_connections", "77"],
    ] {
        let output = alice.toq(command);
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    let output = world.up(&alice.place);
    assert!(output.status.success(), "{output:?}");

    assert!(!alice.place.join(".toq/restore").exists());
    let permissions = alice.get("/v1/permissions").json();
    assert_eq!(permissions["approved"], json!([stands("address", "toq://friend.example/*")]));
    let blocked = permissions["blocked"].as_array().unwrap();
    let blocked: Vec<_> = blocked.iter().filter_map(|rule| rule["value"].as_str()).collect();
    assert_eq!(blocked, ["toq://again.example/*", "toq://late.example/*", KEY]);
    let config = alice.get("/v1/config").json();
    let config = config.get("config").unwrap_or(&config);
    assert_eq!(
        (&config["connection_mode"], &config["max_connections"], &config["log_level"]),
        (&json!("allowlist"), &json!(77), &json!("debug"))
    );
    let handlers = alice.get("/v1/handlers").json();
    let enabled = |name: &str| {
        let found = handlers["handlers"].as_array().unwrap().iter().find(|handler| handler["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {handlers}"))["enabled"].clone()
    };
    assert_eq!((enabled("mine"), enabled("answer")), (json!(true), json!(false)));
}

#[test]
fn a_key_is_not_replaced_while_an_import_waits_and_one_that_was_is_not_brought_back_unasked() {
    let world = World::new();
    let (alice, path) = backup(&world);
    staged(&world, &alice, &path);

    let refused = alice.post("/v1/keys/rotate", "");
    assert_eq!((refused.status, refused.code()), (409, "conflict".to_owned()));
    assert!(refused.body.contains("restore/"), "{refused:?}");
    assert!(alice.toq(&["down"]).status.success());
    let refused = alice.toq(&["rotate-keys"]);
    assert!(!refused.status.success() && said(&refused).contains("an import waits"), "{refused:?}");
    assert!(world.up(&alice.place).status.success());

    assert_eq!(alice.post("/v1/keys/rotate", "").status, 200);
    let own = key(&world, &alice.place);
    let told = toq(&world, &alice.place, &["import", path.to_str().unwrap(), "--dry-run"]);
    assert!(said(&told).contains("peers have moved on"), "{told:?}");
    // Where the proof is gone as well, the record of decisions knows.
    std::fs::remove_file(alice.place.join(".toq/keys/rotations.json")).unwrap();
    staged(&world, &alice, &path);
    // As if the rotation had come between the look at what waits and the import.
    let waits = alice.place.join(".toq/restore");
    let log: Value = serde_json::from_slice(&std::fs::read(waits.join("log.json")).unwrap()).unwrap();
    let before = log["before"].as_object().unwrap();
    assert_eq!(before["key"], own);
    let mut log = log.clone();
    log["before"]["key"] = json!(KEY);
    std::fs::write(waits.join("log.json"), log.to_string()).unwrap();
    assert!(alice.toq(&["down"]).status.success());

    let refused = world.up(&alice.place);

    assert!(!refused.status.success() && said(&refused).contains("was replaced while this import waited"), "{refused:?}");
    assert!(world.up(&alice.place).status.success());
    assert_eq!(key(&world, &alice.place), own);
}

#[test]
fn a_backup_that_is_too_large_for_a_running_daemon_is_refused_with_the_way_out() {
    let world = World::new();
    let carol = world.agent("carol", &[]);
    let path = world.path().join("large.backup");
    std::fs::File::create(&path).unwrap().set_len(65 << 20).unwrap();

    // Nobody is asked for a passphrase in vain.
    let refused = carol.toq(&["import", path.to_str().unwrap(), "--yes"]);
    let announced = carol.raw(
        format!(
            "POST /v1/backup/import HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            carol.port,
            65 << 20
        )
        .as_bytes(),
    );

    assert_eq!(refused.status.code(), Some(1));
    for told in [said(&refused), announced.body.clone()] {
        assert!(told.contains("at most 64 MiB") && told.contains("toq down"), "{told}");
    }
    assert_eq!((announced.status, announced.code().as_str()), (413, "message_too_large"));
    // At rest its size is no reason.
    assert!(carol.toq(&["down"]).status.success());
    let refused = toq(&world, &carol.place, &["import", path.to_str().unwrap(), "--yes"]);
    assert!(said(&refused).contains("Invalid backup data"), "{refused:?}");
}

#[test]
fn a_backup_that_is_not_encrypted_asks_for_no_passphrase_and_its_faults_are_its_own() {
    let world = World::new();
    let place = world.workspace("carol", &[]);
    let keys = place.join(".toq/keys");
    assert!(world.up(&place).status.success() && toq(&world, &place, &["down"]).status.success());
    let read = |name: &str| std::fs::read_to_string(keys.join(name)).unwrap();
    let plain = |config: &str| {
        let path = world.path().join("plain.backup");
        let plain = json!({"version": "0.1", "identity_key": read("identity.key"), "tls_cert": read("tls_cert.pem"),
            "tls_key": read("tls_key.pem"), "config": config});
        std::fs::write(&path, plain.to_string()).unwrap();
        let arguments = ["import", path.to_str().unwrap(), "--yes", "--allow-weak"];
        world::toq(&world.home(), &place, &arguments)
    };

    let bad = plain("agent_name = \"carol\"\nno_such_key = 1\n");
    let here = place.join(".toq/config.toml");
    assert!(said(&bad).contains("the backup's config") && said(&bad).contains("config.toml:2:1"), "{bad:?}");
    assert!(!said(&bad).contains(here.to_str().unwrap()), "the file here is not to blame: {bad:?}");
    let taken = plain("agent_name = \"carol\"\n");
    assert!(taken.status.success(), "{taken:?}");
}
