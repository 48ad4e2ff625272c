//! Readers and peers that are slow, stop, or are there no more without having said so: only what is theirs waits.

mod world;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use world::{Agent, TOQ, World};

fn pid(agent: &Agent) -> String {
    let state: Value = serde_json::from_slice(&std::fs::read(agent.place.join(".toq/state.json")).expect("there")).expect("JSON");
    state["pid"].to_string()
}

fn signal(agent: &Agent, name: &str) {
    assert!(Command::new("kill").args([name, &pid(agent)]).status().expect("runs").success());
}

/// The memory of a daemon, in KiB.
fn memory(agent: &Agent) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid(agent))).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn send(from: &Agent, to: &Agent, text: &str) {
    let answer = from.post("/v1/messages", &json!({"to": to.address(), "body": {"text": text}}).to_string());
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// Opens the stream of all messages.
fn follow(agent: &Agent) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    write!(stream, "GET /v1/messages?since=0 HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", agent.port).expect("writes");
    stream
}

/// Reads until so many events have begun.
fn read_events(stream: &mut TcpStream, count: usize) {
    let (mut seen, mut kept, mut buffer) = (0, Vec::new(), vec![0; 1 << 20]);
    while seen < count {
        let read = stream.read(&mut buffer).expect("events come");
        assert!(read > 0, "the stream is not ended");
        kept.extend_from_slice(&buffer[..read]);
        seen += kept.windows(7).filter(|window| window == b"\ndata: ").count();
        // The beginning of a line may have come without its end.
        kept.drain(..kept.len().saturating_sub(6));
    }
}

#[test]
fn a_reader_of_events_who_does_not_read_costs_no_memory_and_misses_nothing() {
    const COUNT: usize = 150;
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let mut slow = follow(&bob);
    let mut quick = follow(&bob);
    send(&alice, &bob, "first");
    bob.has_received(1);
    let before = memory(&bob);

    for number in 0..COUNT {
        send(&alice, &bob, &format!("{number} {}", "x".repeat(300_000)));
    }
    read_events(&mut quick, COUNT + 1);
    let more = memory(&bob).saturating_sub(before);
    // The page cache alone is 32 MiB; what the slow reader has not read is 45 MB.
    assert!(more < 80 * 1024, "{more} KiB more");
    read_events(&mut slow, COUNT + 1);
}

#[test]
fn a_peer_that_stops_is_noticed_and_only_its_messages_wait_and_each_is_stored_once() {
    const COUNT: usize = 60;
    let quick = [("connection_mode", "open"), ("ack_timeout", "3"), ("delivery.retry_initial_ms", "100"), ("delivery.retry_max_s", "1")];
    let world = World::new();
    let (alice, bob, carol) = (world.agent("alice", &quick), world.agent("bob", &quick), world.agent("carol", &quick));
    let hello = json!({"to": carol.address(), "body": {"text": "hello"}}).to_string();
    assert_eq!(alice.post("/v1/messages?wait=true", &hello).status, 200);
    let before = memory(&alice);

    // The kernel goes on acknowledging for it: the connection is open and nobody is there.
    signal(&carol, "-STOP");
    for number in 0..COUNT {
        send(&alice, &carol, &format!("{number} {}", "x".repeat(40_000)));
        send(&alice, &bob, &number.to_string());
    }
    assert_eq!(bob.has_received(COUNT).len(), COUNT, "others are not held up");
    world::eventually("the silence is noticed", || {
        alice.get("/v1/tree").body.contains("the peer acknowledged nothing in time").then_some(())
    });
    assert_eq!(alice.get("/v1/status").json()["outbox"], COUNT);
    let more = memory(&alice).saturating_sub(before);
    assert!(more < 80 * 1024, "{more} KiB more");

    signal(&carol, "-CONT");
    read_events(&mut follow(&carol), COUNT + 1);
    world::eventually("everything is acknowledged", || (alice.get("/v1/status").json()["outbox"] == 0).then_some(()));
    let history = carol.get("/v1/messages/history?limit=1000").json();
    let ids: std::collections::BTreeSet<_> =
        history["messages"].as_array().expect("a list").iter().map(|message| message["id"].to_string()).collect();
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(COUNT + 1));
    assert_eq!(ids.len(), COUNT + 1);
}

#[test]
fn a_silent_session_is_noticed_by_its_heartbeat() {
    let quick = [("connection_mode", "open"), ("heartbeat_interval", "1"), ("heartbeat_timeout", "2")];
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &quick), world.agent("bob", &quick));
    let body = json!({"to": bob.address(), "body": {"text": "hello"}}).to_string();
    assert_eq!(alice.post("/v1/messages?wait=true", &body).status, 200);

    let is_connected = || alice.get("/v1/tree").body.contains("\"direction\":\"out\"");
    assert!(is_connected());
    signal(&bob, "-STOP");
    world::eventually("the session is over", || (!is_connected()).then_some(()));
    signal(&bob, "-CONT");

    assert_eq!(alice.post("/v1/messages?wait=true", &body).status, 200);
    assert_eq!(bob.has_received(2).len(), 2);
}

/// An address of this machine that is not loopback; connections to it do not leave the machine.
fn elsewhere() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Needs an address besides loopback. Elsewhere the test says that it proves nothing.
#[test]
fn strangers_that_speak_http_take_nothing_from_the_owner() {
    let Some(ip) = elsewhere() else {
        writeln!(std::io::stdout().lock(), "loopback only: nothing is proven here").expect("prints");
        return;
    };
    let world = World::new();
    let place = world.workspace("bob", &[("bind", "0.0.0.0")]);
    let started = Command::new("sh")
        .args(["-c", &format!("ulimit -n 128 && exec '{TOQ}' up")])
        .current_dir(&place)
        .env_clear()
        .env("HOME", world.home())
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("runs");
    assert!(started.status.success(), "{started:?}");
    let bob = world.running("bob", &place);

    let begin = || {
        let mut stream = TcpStream::connect((ip, bob.port)).ok()?;
        stream.write_all(b"GET /v1/status HTTP/1.1\r\n").ok()?;
        Some(stream)
    };
    let crowd: Vec<TcpStream> = (0..200).filter_map(|_| begin()).collect();
    for _ in 0..20 {
        assert_eq!(bob.get("/v1/status").status, 200, "the owner gets in");
    }
    let mut asked = begin().expect("accepted");
    let mut answer = String::new();
    asked.read_to_string(&mut answer).expect("an answer and the end, though the request has none");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(bob.toq(&["down"]).status.success());
    drop(crowd);
}

#[test]
fn a_daemon_with_few_descriptors_survives_a_thousand_connections_and_recovers() {
    let world = World::new();
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let wide = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, wide).expect("allowed");
    let place = world.workspace("bob", &[("connection_mode", "open")]);
    let alice = world.agent("alice", &[]);
    let script = format!("ulimit -n 128 && exec '{TOQ}' up");
    let started = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&place)
        .env_clear()
        .env("HOME", world.home())
        .env("PATH", "/usr/bin:/bin")
        .output();
    let started = started.expect("runs");
    assert!(started.status.success(), "{started:?}");
    let bob = world.running("bob", &place);

    let crowd: Vec<TcpStream> = (0..1_000).filter_map(|_| TcpStream::connect(("127.0.0.1", bob.port)).ok()).collect();
    assert!(crowd.len() > 500, "{}", crowd.len());
    for _ in 0..20 {
        assert_eq!(bob.get("/v1/status").status, 200, "the owner gets in");
    }
    let body = json!({"to": bob.address(), "body": {"text": "through"}}).to_string();
    let through = alice.post("/v1/messages?wait=true&timeout=20", &body);
    assert_eq!(through.status, 200, "and so does a peer: {through:?}");

    drop(crowd);
    let after = alice.post("/v1/messages?wait=true&timeout=20", &body);
    assert_eq!(after.status, 200, "{after:?}");
    assert_eq!(bob.get("/v1/status").json()["panics"], 0);
}
