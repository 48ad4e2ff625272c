//! What one peer, and all together, may take up.

mod world;

use serde_json::json;
use world::World;

#[test]
fn streams_are_counted_for_each_peer() {
    let world = World::new();
    let limits = [("limits.max_streams_per_peer", "2")];
    let (alice, open) = (world.agent("alice", &limits), [("connection_mode", "open")]);
    let (bob, carol) = (world.agent("bob", &open), world.agent("carol", &open));
    let start = |to: &world::Agent| alice.post("/v1/stream/start", &json!({"to": to.address()}).to_string());

    let streams: Vec<_> = (0..2).map(|_| start(&bob)).collect();
    let refused = start(&bob);
    let other = start(&carol);

    assert!(streams.iter().all(|answer| answer.status == 200), "{streams:?}");
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"), "{refused:?}");
    assert_eq!(other.status, 200, "{other:?}");
    let end = json!({"stream_id": streams[0].json()["stream_id"], "text": "done"}).to_string();
    assert_eq!(alice.post("/v1/stream/end", &end).status, 200);
    world::eventually("a stream that ended makes room", || (start(&bob).status == 200).then_some(()));
    let nobody = json!({"to": "toq://127.0.0.1:1/nobody"}).to_string();
    for _ in 0..5 {
        assert_eq!(alice.post("/v1/stream/start", &nobody).status, 502, "a peer that is not there holds no place");
    }
}

#[test]
fn at_nine_tenths_of_the_quota_new_messages_are_refused_and_the_rest_goes_on() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("store.max_mib", "8")]);
    let alice = world.agent("alice", &[("delivery.retry_initial_ms", "50")]);
    let body = |to: &world::Agent| json!({"to": to.address(), "body": {"text": "x".repeat(400_000)}}).to_string();

    let mut taken = 0;
    while alice.post("/v1/messages?wait=true&timeout=3", &body(&bob)).status == 200 {
        taken += 1;
        assert!(taken < 30, "the quota is met");
    }

    assert!(taken > 5, "{taken} messages of 0.4 MB in 8 MiB");
    let refused = bob.post("/v1/messages", &body(&alice));
    assert_eq!((refused.status, refused.code().as_str()), (507, "storage_full"), "{refused:?}");
    assert_eq!(bob.get("/v1/status").json()["store"], "read_only");
    assert_eq!(bob.post("/v1/block", r#"{"from":"toq://evil.example/*"}"#).status, 200, "rules have a reserve");
    assert!(bob.toq(&["down"]).status.success());
    assert!(world.up(&bob.place).status.success());
    assert_eq!(bob.get("/v1/messages/history?limit=100").json()["messages"].as_array().map(Vec::len), Some(taken));
}
