//! Somebody ends TLS between two real daemons and carries every byte across: nothing is delivered, both sides say why.

mod world;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use toq_net::dial::{Patience, dial};
use toq_net::tls;
use toq_vault::Keys;
use world::World;

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

#[test]
fn an_intercepting_proxy_delivers_nothing_and_both_sides_say_why() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let world = World::new();
    let alice = world.agent("alice", &[("connection_mode", "open")]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let middle = listener.local_addr().expect("bound").port();
    runtime.spawn(intercept(listener, bob.port));

    let request = json!({"to": format!("toq://127.0.0.1:{middle}/bob"), "body": {"text": "secret"}});
    let answer = alice.post("/v1/messages?wait=true&timeout=10", &request.to_string());

    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.body.contains("channel_binding_mismatch") && answer.body.contains("somebody may be in between"), "{answer:?}");
    assert!(answer.json()["error"]["hint"].as_str().is_some_and(|hint| hint.contains("compare keys")), "{answer:?}");
    for agent in [&alice, &bob] {
        let told = agent.first_event("/v1/events?since=0&type=peer.intercepted");
        assert_eq!(told["reason"], "channel_binding_mismatch");
    }
    assert_eq!(bob.get("/v1/messages/history").json()["messages"], json!([]));
}
