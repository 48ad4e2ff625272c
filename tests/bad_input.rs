//! Bad input from local programs: each is answered clearly, and nothing is lost.

mod world;

use world::World;

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    for (path, allowed) in [("/v1/block", "DELETE, POST"), ("/v1/status", "GET, HEAD"), ("/v1/config", "GET, HEAD, PATCH")] {
        let answer = alice.request("PUT", path, &[], None);

        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{answer:?}");
        assert!(answer.body.contains(&format!("there is {allowed}")), "{answer:?}");
        assert!(answer.head.to_ascii_lowercase().contains(&format!("allow: {}", allowed.to_ascii_lowercase())), "{answer:?}");
    }
}

/// A question's id: a key, of somebody whom nobody has met.
const APPROVAL: &str = "/v1/approvals/ed25519:A6EHv%2FPOEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

#[test]
fn what_a_caller_can_get_wrong_is_answered_with_its_code() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let own = format!(r#"{{"to":"{}","body":{{"text":"hi"}}}}"#, alice.address());
    let cases: &[(&str, &str, u16, &str)] = &[
        ("/v1/messages", "{not json", 400, "invalid_request"),
        ("/v1/messages", r#"{"body":{"text":"hi"}}"#, 422, "invalid_request"),
        ("/v1/messages", r#"{"to":"toq://nowhere","body":1}"#, 400, "invalid_address"),
        ("/v1/messages", r#"{"to":"toq://h/UPPER"}"#, 400, "invalid_address"),
        ("/v1/messages", r#"{"to":"toq://u@h/a"}"#, 400, "invalid_address"),
        ("/v1/messages", r#"{"to":"toq://h:0/a"}"#, 400, "invalid_address"),
        ("/v1/messages", r#"{"to":[]}"#, 400, "invalid_request"),
        ("/v1/messages", r#"{"to":["toq://127.0.0.1:1/a","bad"]}"#, 400, "invalid_address"),
        ("/v1/messages?wait=maybe", r#"{"to":"toq://127.0.0.1:1/a"}"#, 400, "invalid_request"),
        ("/v1/messages", &own, 502, "not_reachable"),
        ("/v1/stream/chunk", r#"{"stream_id":"none","text":"x"}"#, 404, "not_found"),
        ("/v1/stream/end", r#"{"stream_id":"none"}"#, 404, "not_found"),
        ("/v1/stream/start", r#"{"to":"nonsense"}"#, 400, "invalid_address"),
        ("/v1/approvals/nonsense", r#"{"decision":"approve"}"#, 404, "not_found"),
        ("/v1/approvals/nonsense", r#"{"decision":"maybe"}"#, 404, "not_found"),
        (APPROVAL, r#"{"decision":"maybe"}"#, 400, "invalid_request"),
        (APPROVAL, r#"{"decision":"Approve"}"#, 400, "invalid_request"),
        (APPROVAL, r#"{"decision":7}"#, 422, "invalid_request"),
        (APPROVAL, "{}", 422, "invalid_request"),
        (APPROVAL, "no json", 400, "invalid_request"),
        ("/v1/daemon/shutdown", "no json", 400, "invalid_request"),
        ("/v1/daemon/shutdown", r#"{"graceful":"later"}"#, 422, "invalid_request"),
        ("/v1/block", "{}", 400, "invalid_request"),
        ("/v1/approve", r#"{"key":"ed25519:short"}"#, 400, "invalid_request"),
        ("/v1/ping", r#"{"address":"nonsense"}"#, 400, "invalid_request"),
        ("/v1/consumers/none/confirm", r#"{"up_to":1}"#, 404, "not_found"),
        ("/v1/nothing", "{}", 404, "not_found"),
        ("/v1/status", "{}", 405, "method_not_allowed"),
    ];
    for (path, body, status, code) in cases {
        let answer = alice.post(path, body);
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{path} {body}: {answer:?}");
    }
    assert_eq!(alice.get("/v1/status").json()["outbox"], 0);
}

#[test]
fn a_reader_that_wants_nobody_is_told_so_instead_of_waiting() {
    let world = World::new();
    let alice = world.agent("alice", &[]);

    for wrong in ["http://x", "toq://", "toq://h/UPPER", "toq://h:0/a", "a%20b", "toq://h/a/b"] {
        let answer = alice.get(&format!("/v1/messages?from={wrong}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{wrong}: {answer:?}");
    }
    let listen = alice.toq(&["listen", "--from", "http://x"]);

    assert!(!listen.status.success());
    assert!(String::from_utf8_lossy(&listen.stderr).contains("toq://host/name"), "{listen:?}");
}

#[test]
fn a_body_over_the_limit_is_refused_with_the_true_limit() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let body = |size: usize| format!(r#"{{"to":"toq://127.0.0.1:1/a","body":"{}"}}"#, "x".repeat(size));

    let over = alice.post("/v1/messages", &body((1 << 20) + 1));
    let limit: usize = over.json()["error"]["message"].as_str().and_then(|text| text.rsplit(' ').next()?.parse().ok()).expect("the limit");
    let huge = alice.post("/v1/messages", &body(3 << 20));

    assert_eq!((over.status, over.code().as_str()), (413, "message_too_large"));
    assert_eq!(huge.status, 413, "{huge:?}");
    assert_eq!(alice.post("/v1/messages", &body(limit - 2)).status, 202);
    assert_eq!(alice.post("/v1/messages", &body(limit - 1)).status, 413);
}

#[test]
fn a_message_of_the_true_limit_really_arrives() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let text = "y".repeat((1 << 20) - 8192 - 2);

    let answer = alice.post("/v1/messages?wait=true", &format!(r#"{{"to":"{}","body":"{text}"}}"#, bob.address()));

    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(bob.get("/v1/messages/history").json()["messages"][0]["body"], text.as_str());
}

#[test]
fn an_unreachable_agent_is_an_error_to_who_waits_and_a_retry_to_who_does_not() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let body = r#"{"to":"toq://127.0.0.1:1/nobody","body":{"text":"hi"}}"#;

    let waited = alice.post("/v1/messages?wait=true", body);
    let queued = alice.post("/v1/messages", body);

    assert_eq!((waited.status, waited.code().as_str()), (502, "not_reachable"));
    assert_eq!(waited.json()["error"]["state"], "withdrawn");
    assert_eq!((queued.status, queued.json()["status"].as_str()), (202, Some("queued")));
    let id = queued.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(alice.get(&format!("/v1/messages/{id}")).json()["state"], "accepted");
}

#[test]
fn the_wrong_agent_name_is_told_in_the_published_words() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let body = format!(r#"{{"to":"toq://127.0.0.1:{}/nobody","body":{{"text":"hi"}}}}"#, bob.port);

    let answer = alice.post("/v1/messages?wait=true", &body);

    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"]["message"], "agent 'nobody' not found on this endpoint (this is 'bob')");
}

#[test]
fn a_chunk_after_the_end_meets_no_stream() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let started = alice.post("/v1/stream/start", &format!(r#"{{"to":"{}"}}"#, bob.address()));
    let stream = started.json()["stream_id"].as_str().expect("a stream").to_owned();
    for text in ["Here is ", "a stream"] {
        let chunk = format!(r#"{{"stream_id":"{stream}","text":"{text}"}}"#);
        assert_eq!(alice.post("/v1/stream/chunk", &chunk).status, 200);
    }
    assert_eq!(alice.post("/v1/stream/end", &format!(r#"{{"stream_id":"{stream}","text":"."}}"#)).status, 200);

    let late = alice.post("/v1/stream/chunk", &format!(r#"{{"stream_id":"{stream}","text":"late"}}"#));

    assert_eq!((late.status, late.code().as_str()), (404, "not_found"));
    assert_eq!(bob.has_received(1)[0]["body"]["text"], "Here is a stream.");
}

#[test]
fn the_same_idempotency_key_sends_once_and_another_request_under_it_conflicts() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[("connection_mode", "open")]));
    let send = |text: &str| {
        let body = format!(r#"{{"to":"{}","body":{{"text":"{text}"}}}}"#, bob.address());
        alice.request("POST", "/v1/messages?wait=true", &[("Idempotency-Key", "k1")], Some(&body))
    };

    let (first, again, other) = (send("one"), send("one"), send("two"));

    assert_eq!((first.status, again.status, other.status), (200, 200, 409));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(other.code(), "idempotency_conflict");
    assert_eq!(bob.has_received(1).len(), 1);
}
