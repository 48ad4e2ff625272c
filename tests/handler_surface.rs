//! Handlers as they are defined, changed and shown: commands, routes, the file.

mod world;

use std::path::Path;

use serde_json::{Value, json};
use world::{Agent, World};

const OPEN: &[(&str, &str)] = &[("connection_mode", "open")];

fn add(agent: &Agent, definition: &Value) {
    let answer = agent.post("/v1/handlers", &definition.to_string());
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("added")), "{answer:?}");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn handler(agent: &Agent, name: &str) -> Value {
    let list = agent.get("/v1/handlers").json();
    list["handlers"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name)).cloned().unwrap_or_default()
}

#[test]
fn the_commands_say_what_the_published_ones_say() {
    let world = World::new();
    let place = world.workspace("bob", OPEN);
    let home = world.home();
    let run = |arguments: &[&str]| {
        let output = world::toq(&home, &place, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), text.trim_end().to_owned())
    };
    let ok = |text: &str| (0, text.to_owned());

    assert_eq!(run(&["handler", "list"]), ok("No handlers registered"));
    assert_eq!(run(&["handler", "add", "x", "--command", "cat", "--from", "toq://a/*", "--from", "toq://b/*"]), ok("Added handler 'x'"));
    assert_eq!(run(&["handler", "add", "x", "--command", "cat"]), (1, "error: io error: handler 'x' already exists".to_owned()));
    assert_eq!(run(&["handler", "disable", "x"]), ok("Disabled handler 'x'"));
    let table = run(&["handler", "list"]).1;
    assert!(table.ends_with("x                    false    0        command          from: toq://a/*, toq://b/*"), "{table}");
    assert_eq!(run(&["handler", "enable", "x"]), ok("Enabled handler 'x'"));
    assert_eq!(run(&["handler", "enable", "y"]), (1, "Handler 'y' not found".to_owned()));
    assert_eq!(run(&["handler", "logs", "x"]), ok("No logs for handler 'x'"));
    assert_eq!(run(&["handler", "logs", "../../config"]), ok("No logs for handler '../../config'"));
    assert_eq!(run(&["handler", "stop", "x"]).0, 1);
    assert_eq!(run(&["handler", "remove", "x"]), ok("Removed handler 'x'"));
    assert_eq!(run(&["handler", "remove", "x"]), (1, "Handler 'x' not found".to_owned()));
    assert_eq!(run(&["reply", "x"]).0, 1);
}

#[test]
fn the_published_routes_answer_as_published() {
    let world = World::new();
    let bob = world.agent("bob", OPEN);
    let post = |path: &str, body: Value| {
        let answer = bob.post(path, &body.to_string());
        (answer.status, answer.body)
    };
    let put = |path: &str, body: Value| bob.request("PUT", path, &[], Some(&body.to_string())).status;

    assert_eq!(bob.get("/v1/handlers").json(), json!({"handlers": []}));
    assert_eq!(post("/v1/handlers", json!({"name": "x", "command": "cat"})), (200, r#"{"name":"x","status":"added"}"#.to_owned()));
    let (status, body) = post("/v1/handlers", json!({"name": "x", "command": "cat"}));
    assert!(status == 409 && body.contains("io error: handler 'x' already exists") && body.contains("invalid_request"), "{body}");
    for (body, message) in [(json!({"command": "cat"}), "missing name"), (json!({"name": "y"}), "specify command or provider")] {
        let (status, answer) = post("/v1/handlers", body);
        assert!(status == 400 && answer.contains(message), "{answer}");
    }
    for name in ["../../x", "a/b", "CON", "."] {
        assert_eq!(post("/v1/handlers", json!({"name": name, "command": "cat"})).0, 400, "{name}");
    }
    assert_eq!(put("/v1/handlers/x", json!({"enabled": false, "filter_type": ["message.send"]})), 200);
    assert_eq!((handler(&bob, "x")["enabled"].clone(), handler(&bob, "x")["state"].clone()), (json!(false), json!("disabled")));
    assert_eq!(put("/v1/handlers/nobody", json!({"enabled": false})), 404);
    assert_eq!(post("/v1/handlers/reload", json!({})), (200, r#"{"status":"reloaded"}"#.to_owned()));
    assert_eq!(post("/v1/handlers/stop", json!({"name": "nobody"})), (200, r#"{"name":"nobody","stopped":0}"#.to_owned()));
    assert_eq!(post("/v1/handlers/stop", json!({})).0, 400);
    assert_eq!(bob.request("DELETE", "/v1/handlers/x", &[], None).json(), json!({"name": "x", "status": "removed"}));
    assert_eq!(bob.request("DELETE", "/v1/handlers/x", &[], None).status, 404);
}

#[test]
fn a_file_with_a_mistake_stops_a_start_and_changes_nothing_of_what_runs() {
    let world = World::new();
    let bob = world.agent("bob", OPEN);
    add(&bob, &json!({"name": "x", "command": "cat"}));
    let path = bob.place.join(".toq/handlers.toml");
    let good = read(&path);
    std::fs::write(&path, good.replace("command", "comand")).expect("ours");

    let reload = bob.post("/v1/handlers/reload", "{}");
    assert!(reload.status == 400 && reload.body.contains("did you mean `command`?"), "{reload:?}");
    assert_eq!(handler(&bob, "x")["state"], "working");
    let status = bob.get("/v1/status").json();
    assert_eq!((&status["handlers"], &status["handlers_broken"]), (&json!(1), &json!(0)));
    assert!(bob.get("/v1/tree").body.contains("\"kind\":\"handler\""));
    assert!(bob.toq(&["down"]).status.success());
    let start = world.up(&bob.place);

    assert_eq!(start.status.code(), Some(78), "{start:?}");
    assert!(String::from_utf8_lossy(&start.stderr).contains("did you mean `command`?"), "{start:?}");
}

#[test]
fn what_a_handler_is_given_is_shown_by_name_and_no_secret_is() {
    let world = World::new();
    let place = world.workspace("bob", OPEN);
    std::fs::create_dir(place.join("work")).expect("ours");
    let bob = world.start_with("bob", &place, &[("SECRET", "canary-env"), ("MODEL_KEY", "canary-key")]);
    add(
        &bob,
        &json!({"name": "sh", "command": "cat", "env": ["SECRET"], "cwd": "work", "max_auto_replies": 7,
        "max_repeats": 2}),
    );
    let url = "https://user:canary-password@models.example/v1?token=canary-token";
    let llm = json!({"name": "llm", "provider": "openai", "model": "m", "base_url": url, "api_key": "env:MODEL_KEY", "max_turns": 3,
        "stream": false, "runs_per_day": 5, "peer_tokens_per_day": 6, "peer_runs_per_hour": 9});
    add(&bob, &llm);
    let list = || String::from_utf8(bob.toq(&["handler", "list", "--json"]).stdout).expect("text");
    let sheet = |name: &str| String::from_utf8(bob.toq(&["handler", "show", name]).stdout).expect("text");

    let (shell, model) = (handler(&bob, "sh"), handler(&bob, "llm"));
    assert_eq!((&shell["env"], &shell["cwd"], &shell["max_auto_replies"]), (&json!(["SECRET"]), &json!("work"), &json!(7)));
    for (key, value) in [
        ("model", json!("m")),
        ("base_url", json!("https://…@models.example/v1?…")),
        ("api_key", json!("env:MODEL_KEY")),
        ("max_turns", json!(3)),
        ("stream", json!(false)),
        ("runs_per_day", json!(5)),
        ("peer_tokens_per_day", json!(6)),
        ("peer_runs_per_hour", json!(9)),
        // What is not set is shown as it takes effect.
        ("tokens_per_day", json!(5_000_000)),
        ("peer_runs_per_day", json!(500)),
        ("max_repeats", json!(5)),
        ("timeout_s", json!(300)),
    ] {
        assert_eq!(model[key], value, "{key}");
    }
    assert_eq!((&shell["max_repeats"], &shell["peer_runs_per_hour"]), (&json!(2), &json!(1_000)));
    assert!(shell.get("runs_per_day").is_none() && shell.get("max_turns").is_none(), "a command has no such limit: {shell}");
    assert_eq!(bob.get("/v1/handlers/llm").json(), model);
    assert_eq!(bob.get("/v1/handlers/nobody").status, 404);
    assert_eq!(serde_json::from_str::<Value>(&list()).expect("JSON")["handlers"], json!([shell, model]));
    assert!(
        sheet("sh").contains("env:               SECRET") && sheet("llm").contains("api_key:           env:MODEL_KEY"),
        "{}",
        sheet("sh")
    );
    assert_eq!(bob.toq(&["handler", "show", "nobody"]).status.code(), Some(1));
    let said = [list(), sheet("sh"), sheet("llm"), bob.get("/v1/handlers").body].concat();
    assert!(!said.contains("canary"), "{said}");

    // Without a daemon the definitions say the same.
    assert!(bob.toq(&["down"]).status.success());
    let resting = sheet("llm");
    assert!(resting.contains("runs_per_day:      5") && !resting.contains("canary"), "{resting}");
}

#[test]
fn a_handler_that_cannot_work_says_so_at_once_and_goes_on_when_it_is_told_to() {
    let world = World::new();
    let place = world.workspace("bob", OPEN);
    let home = world.home();
    let add: &[&str] = &["handler", "add", "bot", "--provider", "openai", "--model", "m", "--api-key-from", "file:model.key"];
    let told = |arguments: &[&str]| {
        let output = world::toq(&home, &place, arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };

    // Nobody runs yet, and still it is known.
    let (code, out, err) = told(add);
    assert!(
        code == Some(0) && out.contains("Added") && err.contains("warning: handler 'bot' is broken") && err.contains("model.key"),
        "{out} {err}"
    );
    told(&["handler", "remove", "bot"]);
    let bob = world.start_with("bob", &place, &[]);
    let (code, out, err) = told(add);
    assert!(code == Some(0) && out.contains("Added") && err.contains("broken") && err.contains("model.key"), "{out} {err}");
    let (code, out, _) = told(&["doctor"]);
    assert!(code == Some(1) && out.contains("[!!] handlers: bot is broken: ") && out.contains("toq handler resume bot"), "{out}");
    let (code, _, err) = told(&["handler", "enable", "bot"]);
    assert!(code == Some(0) && err.contains("broken"), "{err}");
    let llm = json!({"name": "other", "provider": "openai", "model": "m", "api_key": "file:model.key"});
    assert!(bob.post("/v1/handlers", &llm.to_string()).json()["broken"].as_str().is_some_and(|why| why.contains("model.key")));
    told(&["handler", "remove", "other"]);

    let key = place.join(".toq/model.key");
    std::fs::write(&key, "sk-x").expect("ours");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    let (code, out, err) = told(&["handler", "enable", "bot"]);
    assert!(code == Some(0) && out.contains("Enabled") && err.is_empty(), "{out} {err}");
    assert_eq!(handler(&bob, "bot")["state"], "working");

    assert_eq!(told(&["handler", "pause", "bot"]).1.trim(), "Paused handler 'bot'");
    assert_eq!(handler(&bob, "bot")["state"], "paused");
    assert_eq!(told(&["handler", "resume", "bot"]).1.trim(), "Resumed handler 'bot'");
    assert_eq!(handler(&bob, "bot")["state"], "working");
    for what in ["pause", "resume", "stop"] {
        let (code, _, err) = told(&["handler", what, "nosuch"]);
        assert!(code == Some(1) && err.contains("Handler 'nosuch' not found"), "{what}: {err}");
    }
}

#[test]
fn a_run_that_fails_is_told_in_the_log_in_a_sentence() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "fails", "command": "exit 3"}));

    let id = alice.post("/v1/messages?wait=true", &json!({"to": bob.address(), "body": {"text": "x"}}).to_string()).json()["id"].clone();

    let log = world::eventually("the log says so", || {
        let log = read(&bob.place.join(".toq/logs/toq.log"));
        log.contains("a run failed; it is tried again").then_some(log)
    });
    let line = log.lines().find(|line| line.contains("a run failed")).expect("found above");
    assert!(id.as_str().is_some_and(|id| line.contains(id)), "{line}");
}
