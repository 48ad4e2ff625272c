//! Requests that no honest client makes, byte by byte.

mod world;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use world::{Agent, World};

fn head(agent: &Agent, rest: &str) -> String {
    format!("POST /v1/block HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n{rest}\r\n", agent.port)
}

#[test]
fn heads_that_are_too_large_or_contradict_themselves_are_refused_and_change_nothing() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let before = alice.get("/v1/permissions").body;
    let rule = r#"{"from":"toq://evil.example/*"}"#;
    let (length, close) = (rule.len(), "Connection: close\r\n");
    let fields: String = (0..101).map(|number| format!("X-{number}: y\r\n")).collect();
    let cases = [
        ("a large field", format!("X-Large: {}\r\nContent-Length: {length}\r\n{close}", "x".repeat(17 * 1024))),
        ("many fields", format!("{fields}Content-Length: {length}\r\n{close}")),
        ("two lengths", format!("Content-Length: {length}\r\nContent-Length: 3\r\n{close}")),
        ("a length and chunks", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n{close}")),
        ("chunks and something else", format!("Transfer-Encoding: chunked, gzip\r\n{close}")),
        ("a negative length", format!("Content-Length: -1\r\n{close}")),
        ("a folded field", format!("X-A: b\r\n c\r\nContent-Length: {length}\r\n{close}")),
        ("a space before the colon", format!("Content-Length : {length}\r\n{close}")),
    ];
    for (what, rest) in cases {
        let answer = alice.raw(format!("{}{rule}", head(&alice, &rest)).as_bytes());

        assert!(matches!(answer.status, 400 | 431 | 0), "{what}: {answer:?}");
    }
    assert_eq!(alice.get("/v1/permissions").body, before);
    let honest = format!("Content-Length: {length}\r\n{close}");
    assert_eq!(alice.raw(format!("{}{rule}", head(&alice, &honest)).as_bytes()).status, 200);
}

#[test]
fn a_body_that_does_not_come_and_a_head_that_does_not_end_are_given_up() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let open = |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", alice.port)).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(90))).expect("set");
        stream.write_all(text.as_bytes()).expect("writes");
        stream
    };
    let mut body = open(&format!("{}{{", head(&alice, "Content-Length: 100\r\n")));
    let mut half = open("GET /v1/health HTTP/1.1\r\nHost: 127");

    assert_eq!(alice.get("/v1/health").status, 200, "nobody waits for them");
    let mut said = Vec::new();
    half.read_to_end(&mut said).expect("the daemon closes it");
    let mut answer = [0; 64];
    let read = body.read(&mut answer).expect("the daemon answers");
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn a_thousand_idle_connections_delay_nobody() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let wide = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, wide).expect("allowed");
    let request = format!("GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", alice.port);
    let idle: Vec<TcpStream> = (0..1_000)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", alice.port)).expect("connects");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
            stream.write_all(request.as_bytes()).expect("writes");
            let mut answer = [0; 512];
            assert!(stream.read(&mut answer).expect("answers") > 0);
            stream
        })
        .collect();

    for _ in 0..100 {
        assert_eq!(alice.get("/v1/status").status, 200);
    }
    drop(idle);
}
