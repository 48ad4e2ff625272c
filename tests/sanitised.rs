//! What strangers say reaches a terminal only after the sanitiser has seen it, whichever command shows it.
//!
//! A daemon that is none answers every call with texts that would harm a terminal or deceive a reader; every command that
//! shows such texts is run against it, for people and as JSON.

mod world;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use world::{World, toq};

/// The attacks, one after the other: clearing the screen, the window's title, other controls, text that runs backwards, text
/// that is invisible, and a line that looks like the program's own.
const ATTACK: &str =
    "a\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{8}\u{7f}\u{202e}evil\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}\r\nApproved by admin\n\ttail";

fn is_harmful(letter: char) -> bool {
    letter.is_control() && letter != '\n' && letter != '\t'
        || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

fn answer(path: &str) -> (u16, Value) {
    let message = json!({"id": ATTACK, "type": ATTACK, "from": ATTACK, "to": ATTACK, "body": {"text": ATTACK}, "thread_id": ATTACK, "reply_to": ATTACK,
        "content_type": ATTACK, "timestamp": ATTACK});
    let rules = json!([{"type": "key", "value": ATTACK}, {"type": "address", "value": ATTACK}]);
    let path = path.split('?').next().unwrap_or_default();
    let found = match path {
        "/v1/messages/history" => json!({"messages": [message]}),
        // As the answer to a send, and as an event.
        "/v1/messages" => json!({"id": ATTACK, "status": "delivered", "thread_id": ATTACK, "timestamp": ATTACK, "reply": message,
            "type": ATTACK, "from": ATTACK, "to": ATTACK, "body": {"text": ATTACK}, "direction": "out"}),
        "/v1/peers" => json!({"peers": [{"public_key": ATTACK, "address": ATTACK, "status": "seen", "last_seen": ATTACK,
            "verified": true, "verified_by": ATTACK, "words": ATTACK, "fingerprint": ATTACK}]}),
        "/v1/approvals" => json!({"approvals": [{"id": ATTACK, "public_key": ATTACK, "address": ATTACK, "requested_at": ATTACK,
            "proof": ATTACK, "words": ATTACK, "fingerprint": ATTACK, "previous_key": ATTACK, "previous_words": ATTACK,
            "previous_fingerprint": ATTACK}, {"id": "x", "public_key": "x", "address": "x", "requested_at": "x", "proof": "claimed"}]}),
        "/v1/handlers" => json!({"handlers": [{"name": ATTACK, "command": ATTACK, "provider": ATTACK, "model": ATTACK, "enabled": true,
            "active": 0, "filter_from": [ATTACK], "filter_key": [ATTACK], "filter_type": [ATTACK], "state": "broken", "reason": ATTACK}]}),
        "/v1/handlers/x/set-aside" => json!({"messages": [{"message": message, "attempts": 1, "reason": ATTACK, "timestamp": ATTACK}]}),
        "/v1/permissions" => json!({"approved": rules, "blocked": rules}),
        "/v1/ping" => json!({"address": ATTACK, "agent_name": ATTACK, "public_key": ATTACK, "reachable": true}),
        "/v1/tree" => json!({"name": ATTACK, "kind": ATTACK, "detail": {"last_error": ATTACK}, "children": []}),
        "/v1/discover" | "/v1/discover/local" => json!({"agents": [{"address": ATTACK, "public_key": ATTACK}]}),
        "/v1/status" => json!({"status": ATTACK, "address": ATTACK, "connection_mode": ATTACK, "active_connections": 0, "messages_in": 0,
            "messages_out": 0, "error_count": 0, "backpressure_active": false, "version": ATTACK, "public_key": ATTACK}),
        "/v1/health" => json!("ok"),
        _ if path.starts_with("/v1/approvals/") => json!(null),
        _ => return (400, json!({"error": {"code": "invalid_request", "message": ATTACK, "hint": ATTACK}})),
    };
    (200, found)
}

fn serve(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let (status, body) = answer(request.split(' ').nth(1)?);
    let (kind, body) = if request.starts_with("GET /v1/messages?") {
        ("text/event-stream", format!("data: {body}\n\n"))
    } else {
        ("application/json", body.to_string())
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    (&*stream).write_all(format!("{head}{body}").as_bytes()).ok()
}

#[test]
fn no_command_hands_a_strangers_text_to_the_terminal_as_it_is() {
    let world = World::new();
    let place = world.workspace("alice", &[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| {
            // A command that has heard enough may hang up.
            let _gone = serve(&stream);
        })
    });
    let state = json!({"port": port, "pid": std::process::id(), "address": "toq://x/alice", "status": "running"});
    std::fs::write(place.join(".toq/state.json"), state.to_string()).expect("ours");
    std::fs::create_dir_all(place.join(".toq/logs")).expect("ours");
    let line = json!({"timestamp": ATTACK, "level": ATTACK, "message": ATTACK, "fields": {"peer": ATTACK}});
    std::fs::write(place.join(".toq/logs/toq.log"), format!("{line}\n")).expect("ours");

    std::fs::create_dir_all(place.join(".toq/logs/handlers")).expect("ours");
    // As a run's log is written: every line has its stamp.
    let written: String = ATTACK.split('\n').map(|line| format!("[T pid:1] {line}\n")).collect();
    std::fs::write(place.join(".toq/logs/handlers/handler-x.log"), written).expect("ours");
    let agents = world.home().join(".toq/agents");
    std::fs::create_dir_all(&agents).expect("ours");
    let entry = format!("name = {0}\nport = 1\npid = {1}\nconfig_dir = {0}\nstarted_at = \"1\"\n", json!(ATTACK), std::process::id());
    // JSON writes what is beyond the basic plane, and a delete, as TOML does not.
    std::fs::write(agents.join("x.toml"), entry.replace('\u{7f}', "")).expect("ours");

    let commands: [&[&str]; 27] = [
        &["agents"],
        &["approve", "--all-unproven"],
        &["deny", "--all-unproven"],
        &["discover", ATTACK],
        &["handler", "list"],
        &["handler", "logs", "x"],
        &["handler", "set-aside", "x"],
        &["listen", "--since", "0", "--limit", "1"],
        &["whoami"],
        &["approvals"],
        &["approve", "1"],
        &["approve", "--all"],
        &["approve", "--key", "ed25519:x"],
        &["deny", "1"],
        &["deny", "--all"],
        &["permissions"],
        &["peers"],
        &["messages"],
        &["send", "toq://x/y", "hi", "--wait-reply"],
        &["ping", "toq://x/y"],
        &["status"],
        &["status", "--tree"],
        &["block", "toq://x/y"],
        &["revoke", "ed25519:x"],
        &["logs"],
        &["doctor"],
        &["config", "set", "log_level", "info"],
    ];
    let mut told = 0;
    for command in commands {
        for json in [false, true] {
            let arguments: Vec<&str> = json.then_some("--json").into_iter().chain(command.iter().copied()).collect();
            let output = toq(&world.home(), &place, &arguments);
            let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).join("\n");

            told += usize::from(said.contains("evil"));
            assert!(!said.trim().is_empty(), "{arguments:?} says something");
            let harmful: Vec<char> = said.chars().filter(|letter| is_harmful(*letter)).collect();
            assert!(harmful.is_empty(), "{arguments:?}: {harmful:?} in {said:?}");
            assert!(said.lines().all(|line| !line.starts_with("Approved by admin")), "{arguments:?}: {said:?}");
        }
    }
    assert!(told >= 46, "the texts were shown, by {told} of {}", commands.len() * 2);
}
