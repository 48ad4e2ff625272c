//! Somebody ends TLS between two real daemons and carries every byte across: nothing is delivered, both sides say why.

mod world;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use toq_net::dial::{Patience, dial};
use toq_net::tls;
use toq_vault::Keys;
use world::{Agent, World, toq};

/// Ends TLS for whoever connects and carries the bytes to `to`, unchanged.
async fn intercept(listener: TcpListener, to: u16) {
    let dir = TempDir::new().expect("a directory");
    let keys = Keys::open(&dir.path().join("keys")).expect("keys");
    let (acceptor, connector) = (tls::acceptor(&keys.certificate).expect("TLS"), tls::connector().expect("TLS"));
    let mut carried = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, connector) = (acceptor.clone(), connector.clone());
        carried.spawn(async move {
            let mut victim = acceptor.accept(stream).await.expect("any certificate is good enough");
            let mut other = dial(&connector, "127.0.0.1", to, Patience::default()).await.expect("the other side listens");
            let _either_closes = copy_bidirectional(&mut victim, &mut other).await;
        });
    }
}

/// Somebody in front of an agent; the port at which it poses as that agent.
fn middle(runtime: &Runtime, agent: &Agent) -> u16 {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    runtime.spawn(intercept(listener, agent.port));
    port
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn send(from: &Agent, port: u16) -> world::Answer {
    let request = json!({"to": format!("toq://127.0.0.1:{port}/bob"), "body": {"text": "secret"}});
    from.post("/v1/messages?wait=true&timeout=10", &request.to_string())
}

fn key(agent: &Agent) -> Value {
    agent.get("/v1/status").json()["public_key"].clone()
}

#[test]
fn doctor_tells_who_was_intercepted_how_often_and_what_to_do_also_without_a_daemon() {
    let (runtime, world) = (runtime(), World::new());
    let alice = world.agent("alice", &[("connection_mode", "open"), ("delivery.retry_initial_ms", "50")]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let (alices, bobs) = (key(&alice), key(&bob));
    let port = middle(&runtime, &bob);
    let told = |agent: &Agent, arguments: &[&str]| {
        let output = toq(&world.home(), &agent.place, arguments);
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    assert!(!told(&bob, &["doctor"]).1.contains("intercepted"), "nothing has happened yet");

    assert_eq!(send(&alice, port).status, 502);
    assert_eq!(send(&alice, port).status, 502);

    for (agent, other, address) in [(&alice, &bobs, format!("toq://127.0.0.1:{port}/bob")), (&bob, &alices, alice.address())] {
        let (_, json) = told(agent, &["--json", "doctor"]);
        let seen = serde_json::from_str::<Value>(&json).expect("JSON")["intercepted"].clone();
        assert_eq!(seen.as_array().map(Vec::len), Some(1), "{seen}");
        let one = &seen[0];
        assert_eq!((&one["public_key"], one["reason"].as_str(), &one["known"]), (other, Some("channel_binding_mismatch"), &json!(false)));
        assert_eq!((one["address"].as_str(), one["count"].as_u64()), (Some(address.as_str()), Some(2)), "{one}");
        let (_, words) = told(agent, &["doctor"]);
        assert!(words.contains("[--] intercepted: a stranger at") && words.contains("2 times since"), "{words}");
        assert!(words.contains("compare keys") && words.contains("a proxy that opens TLS"), "{words}");
    }

    assert_eq!(send(&alice, bob.port).status, 200, "on the straight way they meet");
    assert_eq!(send(&alice, port).status, 502);
    let (is_well, words) = told(&bob, &["doctor"]);
    assert!(!is_well && words.contains("[!!] intercepted: an agent that is known at") && words.contains("3 times since"), "{words}");

    assert!(bob.toq(&["down"]).status.success());
    let (is_well, at_rest) = told(&bob, &["doctor"]);
    let line = |words: &str| words.lines().find(|line| line.contains("intercepted")).map(str::to_owned);
    assert_eq!((is_well, line(&at_rest)), (false, line(&words)), "the log tells the same while no daemon runs");
}

#[test]
fn an_intercepting_proxy_delivers_nothing_and_both_sides_say_why() {
    let (runtime, world) = (runtime(), World::new());
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);

    let answer = send(&alice, middle(&runtime, &bob));

    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.body.contains("channel_binding_mismatch") && answer.body.contains("somebody may be in between"), "{answer:?}");
    assert!(answer.json()["error"]["hint"].as_str().is_some_and(|hint| hint.contains("compare keys")), "{answer:?}");
    for agent in [&alice, &bob] {
        let told = agent.first_event("/v1/events?since=0&type=peer.intercepted");
        assert_eq!(told["reason"], "channel_binding_mismatch");
    }
    assert_eq!(bob.get("/v1/messages/history").json()["messages"], json!([]));
}
