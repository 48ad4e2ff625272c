//! What a sender is told, and what it reads afterwards.

mod world;

use world::World;

#[test]
fn whoever_was_told_of_a_delivery_reads_the_same_at_once() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let request = format!(r#"{{"to":"{}","body":{{"text":"hi"}}}}"#, bob.address());

    for _ in 0..50 {
        let told = alice.post("/v1/messages?wait=true", &request);
        assert_eq!(told.status, 200, "{told:?}");
        let id = told.json()["id"].as_str().expect("an id").to_owned();

        assert_eq!(alice.get(&format!("/v1/messages/{id}")).json()["state"], "delivered");
    }
    assert_eq!(bob.has_received(50).len(), 50);
}
