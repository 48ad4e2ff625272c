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
fn one_number_says_how_large_a_message_may_be_and_so_large_a_one_arrives() {
    let world = World::new();
    let place = world.workspace("alice", &[]);
    let file = place.join(".toq/config.toml");
    let published = format!("max_message_size = 1048576\n{}", std::fs::read_to_string(&file).expect("ours"));
    std::fs::write(&file, published).expect("ours");
    let alice = world.start_with("alice", &place, &[]);
    let bob = world.agent("bob", &[("connection_mode", "open")]);
    let body = |size: usize| json!({"to": bob.address(), "body": {"text": "x".repeat(size - r#"{"text":""}"#.len())}}).to_string();
    let told = |arguments: &[&str]| {
        let output = alice.toq(arguments);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };

    let most = alice.get("/v1/config").json()["config"]["max_message_size"].as_u64().expect("a number");
    let refused = alice.post("/v1/messages?wait=true", &body(usize::try_from(most).expect("small") + 1));
    let delivered = alice.post("/v1/messages?wait=true", &body(usize::try_from(most).expect("small")));

    assert_eq!(most, 1_040_384);
    for agent in [&alice, &bob] {
        assert_eq!(agent.get("/v1/card").json()["max_message_size"], most);
        assert_eq!(agent.get("/v1/config").json()["config"]["max_message_size"], most, "by default and in a file of the published daemon");
    }
    assert!(told(&["--json", "config", "show"]).contains(&format!("\"max_message_size\":{most}")));
    assert_eq!((refused.status, refused.code().as_str()), (413, "message_too_large"));
    assert!(
        refused.body.contains("Message body is 1040385 bytes, max is 1040384") && refused.body.contains("toq send-file"),
        "{refused:?}"
    );
    assert_eq!(delivered.status, 200, "{delivered:?}");
    let more = told(&["config", "set", "max_message_size", "1048576"]);
    assert!(more.contains("from 1024 to 1040384") && more.contains("a frame of the peer protocol has 1048576 bytes"), "{more}");
}

#[test]
fn what_is_larger_than_an_agent_wants_is_refused_and_its_sender_told() {
    let world = World::new();
    let bob = world.agent("bob", &[("connection_mode", "open"), ("max_message_size", "2000"), ("accept_files", "true")]);
    let alice = world.agent("alice", &[]);
    let body = |size: usize| json!({"to": bob.address(), "body": {"text": "x".repeat(size - r#"{"text":""}"#.len())}}).to_string();

    let refused = alice.post("/v1/messages?wait=true", &body(2001));
    let taken = alice.post("/v1/messages?wait=true", &body(2000));
    let file = alice.place.join("large.txt");
    std::fs::write(&file, "x".repeat(100_000)).expect("ours");
    let sent = alice.toq(&["send-file", &bob.address(), &file.display().to_string()]);

    assert!(refused.status >= 400 && refused.body.contains("message_too_large") && refused.body.contains("toq send-file"), "{refused:?}");
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(sent.status.success(), "pieces of files are no messages: {sent:?}");
    let history = bob.get("/v1/messages/history").json();
    let sizes: Vec<_> = history["messages"].as_array().expect("a list").iter().map(|m| m["body"]["text"].as_str().map(str::len)).collect();
    assert!(sizes.contains(&Some(1989)) && !sizes.contains(&Some(1990)), "{history}");
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
    assert!(refused.body.contains("store.max_mib") && !refused.body.contains("disk is full"), "the disk is not to blame: {refused:?}");
    assert_eq!(bob.get("/v1/status").json()["store"], "read_only");
    let doctor = bob.toq(&["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains("[!!] store: ") && told.contains("toq config set store.max_mib"), "{told}");
    assert_eq!(bob.post("/v1/block", r#"{"from":"toq://evil.example/*"}"#).status, 200, "rules have a reserve");
    assert!(bob.toq(&["down"]).status.success());
    assert!(world.up(&bob.place).status.success());
    assert_eq!(bob.get("/v1/messages/history?limit=100").json()["messages"].as_array().map(Vec::len), Some(taken));
}
