//! How messages reach local programs beside the HTTP API: a URL that is called, a socket, standard input and output.

mod world;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use world::{Agent, TOQ, World};

fn send(from: &Agent, to: &str, text: &str) {
    let answer = from.post("/v1/messages", &json!({"to": to, "body": {"text": text}}).to_string());
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// Takes one request and answers it; the body as JSON.
fn called(listener: &TcpListener, status: &str) -> Value {
    let (stream, _) = listener.accept().expect("somebody calls");
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (&stream).write_all(answer.as_bytes()).expect("answers");
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn each_message_is_posted_in_order_until_it_is_taken_and_across_a_kill() {
    let world = World::new();
    let program = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/in", program.local_addr().expect("bound"));
    let alice = world.agent("alice", &[]);
    let bob = world.agent("bob", &[("connection_mode", "open"), ("adapter.http.callback_url", &url)]);
    let text = |event: &Value| event["body"]["text"].as_str().expect("a text").to_owned();

    send(&alice, &bob.address(), "one");
    send(&alice, &bob.address(), "two");
    let first = called(&program, "503 Service Unavailable");
    let again = called(&program, "200 OK");

    assert_eq!((text(&first), text(&again)), ("one".to_owned(), "one".to_owned()));
    assert_eq!((&first["id"], &first["type"], &again["attempt"]), (&again["id"], &json!("message.send"), &json!(2)));
    assert!(["from", "thread_id", "content_type", "timestamp"].iter().all(|name| first[name].is_string()), "{first}");

    // The daemon is killed while the program thinks about the second message.
    let (thinking, _) = program.accept().expect("called");
    let state: Value = serde_json::from_slice(&std::fs::read(bob.place.join(".toq/state.json")).expect("there")).expect("JSON");
    let pid = state["pid"].to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().expect("runs").success());
    drop(thinking);
    world::eventually("the lock is free", || world.up(&bob.place).status.success().then_some(()));
    let second = called(&program, "204 No Content");
    assert_eq!((text(&second), &second["redelivered"]), ("two".to_owned(), &json!(true)));
}

#[test]
fn a_message_that_the_program_refuses_for_good_is_set_aside_and_shown() {
    let world = World::new();
    let program = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", program.local_addr().expect("bound"));
    let alice = world.agent("alice", &[]);
    let bob = world.agent("bob", &[("connection_mode", "open"), ("adapter.http.callback_url", &url)]);

    send(&alice, &bob.address(), "poison");
    send(&alice, &bob.address(), "fine");
    for _ in 0..5 {
        assert_eq!(called(&program, "422 Unprocessable Content")["body"]["text"], "poison");
    }

    assert_eq!(called(&program, "200 OK")["body"]["text"], "fine");
    let place = || bob.get("/v1/consumers/adapter-http").json();
    world::eventually("nothing holds the place any more", || (place()["pending"] == 0).then_some(()));
    let told_of = bob.reads("/v1/events?since=0&type=handler.set_aside", |events| !events.is_empty());
    assert_eq!(told_of[0]["reason"], "the callback URL refuses it with status 422");
    let doctor = bob.toq(&["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains("[!!] callback: 1 message(s) were set aside, the last one "), "{told}");

    // It does not come again with the next start.
    assert!(bob.toq(&["down"]).status.success());
    world::eventually("the daemon starts again", || world.up(&bob.place).status.success().then_some(()));
    send(&alice, &bob.address(), "after");
    assert_eq!(called(&program, "200 OK")["body"]["text"], "after");
}

#[test]
fn what_a_blocked_agent_has_sent_is_not_posted_any_more() {
    let world = World::new();
    let program = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", program.local_addr().expect("bound"));
    let (alice, carol) = (world.agent("alice", &[]), world.agent("carol", &[]));
    let bob = world.agent("bob", &[("connection_mode", "open"), ("adapter.http.callback_url", &url)]);

    send(&alice, &bob.address(), "before the block");
    send(&alice, &bob.address(), "behind it");
    let (thinking, _) = program.accept().expect("called");
    bob.has_received(2);
    assert!(bob.toq(&["block", &alice.address()]).status.success());
    drop(thinking);
    send(&carol, &bob.address(), "from another");

    assert_eq!(called(&program, "200 OK")["body"]["text"], "from another");
    let place = || bob.get("/v1/consumers/adapter-http").json();
    world::eventually("nothing waits", || (place()["pending"] == 0).then_some(()));
}

fn at_socket(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("ours");
    stream.write_all(request.as_bytes()).expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    answer
}

#[test]
fn a_socket_serves_the_same_api_to_its_owner_alone() {
    let world = World::new();
    let own = world.path().join("own.sock");
    let settings = [("adapter", "unix"), ("adapter.unix.socket_path", own.to_str().expect("text")), ("api.access", "token")];
    let alice = world.agent("alice", &settings);
    let always = alice.place.join(".toq/toq.sock");

    for path in [&always, &own] {
        assert_eq!(std::fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
        let status = at_socket(path, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(status.starts_with("HTTP/1.1 200") && status.contains("\"agent") || status.contains("\"address\""), "{status}");
        let page =
            at_socket(path, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 403"), "{page}");
    }
    assert_eq!(alice.get("/v1/status").status, 401, "elsewhere the token is asked for");
    assert!(alice.toq(&["down"]).status.success());
    world::eventually("the sockets are taken away", || (!always.exists() && !own.exists()).then_some(()));
}

#[test]
fn a_daemon_whose_programs_rely_on_a_socket_starts_with_one_or_says_why_not() {
    let world = World::new();
    let near = world.agent("near", &[("adapter", "unix"), ("adapter.unix.socket_path", "own.sock")]);
    assert!(near.place.join(".toq/own.sock").exists() && !near.place.join("own.sock").exists(), "it begins in the workspace");

    // Too deep for the name of a socket.
    let deep = world.path().join("y".repeat(60));
    std::fs::create_dir(&deep).expect("ours");
    let far = deep.join("x".repeat(60));
    std::fs::rename(world.workspace("far", &[("adapter", "unix")]), &far).expect("ours");
    let refused = world.up(&far);
    assert!(world::toq(&world.home(), &far, &["config", "set", "adapter", "http"]).status.success());
    let _far = world.start_with("far", &far, &[]);

    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("config set adapter.unix.socket_path"), "{refused:?}");
}

/// Needs root, who alone can be two users. Elsewhere the test says that it proves nothing.
#[test]
fn another_user_cannot_open_the_socket() {
    use std::os::unix::process::CommandExt as _;

    if !rustix::process::geteuid().is_root() {
        writeln!(std::io::stdout().lock(), "not root: nothing is proven here").expect("prints");
        return;
    }
    let world = World::new();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.path(), open).expect("ours");
    let own = world.path().join("own.sock");
    let _alice = world.agent("alice", &[("adapter.unix.socket_path", own.to_str().expect("text"))]);
    let script = format!("import socket; socket.socket(socket.AF_UNIX).connect({:?})", own.to_str().expect("text"));

    let stranger = Command::new("/usr/bin/python3").args(["-c", &script]).uid(65_534).current_dir("/").output();
    let Ok(stranger) = stranger else { return };
    let owner = Command::new("/usr/bin/python3").args(["-c", &script]).current_dir("/").status().expect("runs");

    assert!(owner.success());
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("PermissionError"), "{stranger:?}");
}

/// Needs root as well.
#[test]
fn another_user_who_took_the_port_of_a_crashed_daemon_is_not_shown_the_token() {
    if !rustix::process::geteuid().is_root() {
        writeln!(std::io::stdout().lock(), "not root: nothing is proven here").expect("prints");
        return;
    }
    let world = World::new();
    let alice = world.agent("alice", &[("api.access", "token")]);
    let token = std::fs::read_to_string(alice.place.join(".toq/keys/api.token")).expect("kept");
    assert!(alice.toq(&["status"]).status.success());
    let script = "import os, socket; os.setuid(65534); s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n\
                  while True: print(s.accept()[0].recv(65536).decode(), flush=True)";
    let squatter = Command::new("/usr/bin/python3").args(["-c", script]).stdout(Stdio::piped()).spawn();
    let Ok(mut squatter) = squatter else { return };
    let mut said = BufReader::new(squatter.stdout.take().expect("piped")).lines();
    let port: u16 = said.next().expect("says").expect("text").parse().expect("a port");
    let state = alice.place.join(".toq/state.json");
    let crashed = std::fs::read_to_string(&state).expect("there").replace(&alice.port.to_string(), &port.to_string());
    std::fs::write(&state, crashed).expect("ours");

    let refused = alice.toq(&["peers"]);

    // It hears from whoever speaks to it, so that its silence means something.
    std::net::TcpStream::connect(("127.0.0.1", port)).and_then(|mut probe| probe.write_all(b"probe")).expect("it listens");
    let heard = said.next().expect("says").expect("text");
    squatter.kill().and_then(|()| squatter.wait()).expect("ours");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("another user's program"), "{refused:?}");
    assert!(heard == "probe" && !heard.contains(token.trim()), "{heard}");
}

#[test]
fn lines_in_are_sends_and_lines_out_are_messages() {
    let world = World::new();
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    let place = world.workspace("bob", &[("connection_mode", "open"), ("adapter", "stdin")]);
    assert_eq!(world.up(&place).status.code(), Some(78), "the background has no terminal");
    let mut bob = Command::new(TOQ)
        .args(["up", "--foreground"])
        .current_dir(&place)
        .env_clear()
        .env("HOME", world.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let (mut input, output) = (bob.stdin.take().expect("piped"), bob.stdout.take().expect("piped"));
    let mut lines = BufReader::new(output).lines();
    let mut line = || serde_json::from_str::<Value>(&lines.next().expect("a line").expect("text")).expect("JSON");

    writeln!(input, "{}", json!({"to": alice.address(), "body": {"text": "from a line"}})).expect("writes");
    assert_eq!(line()["sent"]["status"], "queued");
    writeln!(input, "not json").expect("writes");
    assert_eq!(line()["error"]["code"], "invalid_request");
    assert_eq!(alice.has_received(1)[0]["body"]["text"], "from a line");

    let state: Value = serde_json::from_slice(&std::fs::read(place.join(".toq/state.json")).expect("there")).expect("JSON");
    send(&alice, &format!("toq://127.0.0.1:{}/bob", state["peer_port"]), "to a line\n\u{1b}[2J");
    let event = line();
    assert_eq!((&event["type"], &event["body"]["text"]), (&json!("message.send"), &json!("to a line\n\u{1b}[2J")));

    assert!(Command::new("kill").arg(bob.id().to_string()).status().expect("runs").success());
    assert!(bob.wait().expect("ends").success());
}

#[test]
fn what_a_blocked_agent_has_sent_is_not_written_any_more() {
    let world = World::new();
    let (alice, carol) = (world.agent("alice", &[]), world.agent("carol", &[]));
    let place = world.workspace("bob", &[("connection_mode", "open"), ("adapter", "stdin")]);
    let foreground = || {
        let mut command = Command::new(TOQ);
        command.args(["up", "--foreground"]).current_dir(&place).env_clear().env("HOME", world.home());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts")
    };
    let set = |value: &str| assert!(world::toq(&world.home(), &place, &["config", "set", "adapter", value]).status.success());
    let address = || {
        let state: Value = serde_json::from_slice(&std::fs::read(place.join(".toq/state.json")).expect("there")).expect("JSON");
        format!("toq://127.0.0.1:{}/bob", state["peer_port"])
    };
    // Its place is where it first was.
    let mut first = foreground();
    let output = first.stdout.take().expect("piped");
    let mut lines = BufReader::new(output).lines();
    writeln!(first.stdin.as_mut().expect("piped"), "not json").expect("writes");
    assert!(lines.next().expect("a line").expect("text").contains("invalid_request"));
    send(&carol, &address(), "the first");
    assert!(lines.next().expect("a line").expect("text").contains("the first"));
    let state: Value = serde_json::from_slice(&std::fs::read(place.join(".toq/state.json")).expect("there")).expect("JSON");
    let port = state["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
    let asked = Agent::elsewhere("bob", port, &world);
    // What was written and not confirmed by the end is written once more.
    world::eventually("it is confirmed", || (asked.get("/v1/consumers/adapter-stdin").json()["pending"] == 0).then_some(()));
    assert!(Command::new("kill").arg(first.id().to_string()).status().expect("runs").success());
    assert!(first.wait().expect("ends").success());

    set("http");
    let bob = world.start_with("bob", &place, &[]);
    send(&alice, &bob.address(), "before the block");
    bob.has_received(2);
    assert!(bob.toq(&["block", &alice.address()]).status.success());
    send(&carol, &bob.address(), "from another");
    bob.reads("/v1/messages?since=0", |messages| messages.iter().any(|message| message["body"]["text"] == "from another"));
    assert!(bob.toq(&["down"]).status.success());
    set("stdin");
    let mut second = world::eventually("the lock is free", || {
        let mut child = foreground();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        if reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            Some((child, line))
        } else {
            child.wait().map(|_| None).expect("ended")
        }
    });

    assert!(second.1.contains("from another"), "{}", second.1);
    assert!(Command::new("kill").arg(second.0.id().to_string()).status().expect("runs").success());
    assert!(second.0.wait().expect("ends").success());
}
