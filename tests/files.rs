//! Files between two agents: what is taken, what is not, and what a broken transfer costs.

mod world;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::file::{ContentId, MANIFEST_TYPE, Manifest};
use toq_protocol::frame::{Decoder, MAX_FRAME, encode};
use world::stranger::{Stranger, connect, published_request};
use world::{Agent, World, eventually};

const TAKES: [(&str, &str); 2] = [("connection_mode", "open"), ("accept_files", "true")];
const EAGER: [(&str, &str); 2] = [("delivery.retry_initial_ms", "50"), ("delivery.retry_max_s", "1")];

/// A file of this size that compresses and repeats nowhere.
fn file(world: &World, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(size)
    .collect();
    (write(world, name, &bytes), bytes)
}

fn write(world: &World, name: &str, bytes: &[u8]) -> PathBuf {
    let path = world.path().join(name);
    std::fs::write(&path, bytes).expect("ours");
    path
}

fn send(from: &Agent, to: &Agent, path: &Path, wait: bool) -> world::Answer {
    let body = json!({"to": to.address(), "path": path}).to_string();
    from.post(&format!("/v1/files?wait={wait}&timeout=25"), &body)
}

fn files(agent: &Agent) -> Vec<Value> {
    agent.get("/v1/files").json()["files"].as_array().expect("a list").clone()
}

/// The files in one of the workspace's file directories.
fn inside(agent: &Agent, dir: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(agent.place.join(".toq/files").join(dir)).expect("there");
    entries.map(|entry| entry.expect("reads").path()).filter(|path| path.is_file()).collect()
}

fn state(agent: &Agent, sent: &Value) -> (String, String) {
    let message = agent.get(&format!("/v1/messages/{}", sent["id"].as_str().expect("an id"))).json();
    (message["state"].as_str().unwrap_or_default().to_owned(), message["reason"].as_str().unwrap_or_default().to_owned())
}

/// Ends a daemon as a crash would.
fn kill(agent: &Agent) {
    let state: Value = serde_json::from_slice(&std::fs::read(agent.place.join(".toq/state.json")).expect("runs")).expect("JSON");
    assert!(Command::new("kill").args(["-9", &state["pid"].to_string()]).status().expect("kill").success());
    eventually("the daemon is gone", || std::net::TcpStream::connect(("127.0.0.1", agent.port)).is_err().then_some(()));
}

#[test]
fn a_file_comes_whole_is_announced_as_a_message_and_is_saved_where_its_owner_says() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &TAKES));
    let (path, bytes) = file(&world, "numbers.bin", 1_500_000);

    let sent = alice.toq(&["--json", "send-file", &bob.address(), path.to_str().expect("UTF-8"), "--name", "../../.ssh/authorized_keys"]);

    assert!(sent.status.success(), "{sent:?}");
    let message = &bob.has_received(1)[0];
    assert_eq!(message["body"]["file"]["size"], 1_500_000);
    assert_eq!(message["body"]["file"]["name"], "../../.ssh/authorized_keys", "the name is what the sender says and nothing more");
    let listed = files(&bob);
    let sha256 = listed[0]["sha256"].as_str().expect("a hash");
    assert_eq!((listed.len(), &listed[0]["sha256"]), (1, &message["body"]["file"]["sha256"]));
    let kept = bob.place.join(".toq/files").join(sha256);
    assert_eq!(std::fs::read(&kept).expect("there"), bytes);
    assert_eq!(kept.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    eventually("nothing is left over", || (inside(&bob, "incoming").is_empty() && inside(&alice, "outgoing").is_empty()).then_some(()));
    let answer = bob.get(&format!("/v1/files/{sha256}"));
    assert!(
        answer.head.contains("attachment; filename=\"authorized_keys\"") && answer.head.contains("application/octet-stream"),
        "{answer:?}"
    );
    assert_eq!(bob.get("/v1/files/..%2F..%2Fkeys%2Fidentity.key").status, 404);
    let saved = bob.toq(&["files", "save", &sha256[..12]]);
    assert!(saved.status.success(), "{saved:?}");
    assert_eq!(std::fs::read(bob.place.join("authorized_keys")).expect("saved"), bytes);
    assert!(!bob.toq(&["files", "save", sha256]).status.success(), "nothing is written over");
    std::os::unix::fs::symlink(world.path().join("elsewhere"), bob.place.join("link")).expect("ours");
    assert!(!bob.toq(&["files", "save", sha256, "link"]).status.success());
    assert!(!world.path().join("elsewhere").exists(), "no link is followed");
    let shown = String::from_utf8(bob.toq(&["files"]).stdout).expect("text");
    assert!(shown.contains(sha256) && !shown.contains("../"), "{shown}");
}

#[test]
fn no_file_is_taken_by_default_nor_a_large_one_nor_a_program_under_any_label() {
    let world = World::new();
    let (alice, carol) = (world.agent("alice", &[]), world.agent("carol", &[("connection_mode", "open")]));
    let bob = world.agent("bob", &[TAKES[0], TAKES[1], ("max_file_size", "4096")]);
    let refused = |to: &Agent, path: &Path| {
        let answer = send(&alice, to, path, true);
        assert_eq!((answer.status, answer.code().as_str()), (502, "rejected"), "{answer:?}");
        answer.json()["error"]["message"].as_str().expect("words").to_owned()
    };

    let (small, _) = file(&world, "small.bin", 100);
    assert!(refused(&carol, &small).contains("does not accept files"));
    let (large, _) = file(&world, "large.bin", 4097);
    assert!(refused(&bob, &large).contains("at most 4096"));
    for (name, bytes) in [
        ("picture.png", &b"\x7fELF\x02\x01"[..]),
        ("notes.txt", b"#!/bin/sh\n"),
        ("a.pdf", b"MZ"),
        ("setup.exe", b"harmless"),
        ("x.sh", b"echo harmless"),
        ("a.docm", b"PK"),
    ] {
        assert!(refused(&bob, &write(&world, name, bytes)).contains("unsupported_content_type"), "{name}");
    }

    assert!(files(&bob).is_empty() && files(&carol).is_empty() && inside(&bob, "incoming").is_empty());
    assert_eq!(send(&alice, &bob, &world.path().join("nowhere"), true).status, 400);
    assert_eq!(send(&alice, &bob, world.path(), true).status, 400, "a directory is no file");
    assert_eq!(send(&alice, &bob, &write(&world, "empty", b""), true).status, 200);
    eventually("refused files leave no copy", || inside(&alice, "outgoing").is_empty().then_some(()));
}

/// A transfer that was cut off when bob was killed in its middle: alice, bob's name and port, what he had, and the answer.
fn interrupted(world: &World) -> (Agent, Agent, u64, Value) {
    // A port that no other daemon takes while this one is down: the automatic ones are below it.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port().to_string();
    let alice = world.agent("alice", &EAGER);
    let bob = world.agent("bob", &[TAKES[0], TAKES[1], ("port", &port), ("limits.bytes_per_second_per_peer", "400000")]);
    let (path, bytes) = file(world, "numbers.bin", 6_000_000);
    let sent = send(&alice, &bob, &path, false).json();
    let have = || inside(&bob, "incoming").first().and_then(|path| path.metadata().ok()).map_or(0, |metadata| metadata.len());
    eventually("some of it is there", || (have() >= 256 * 1024).then_some(()));
    kill(&bob);
    let have = have();
    assert!(have < bytes.len() as u64, "it was cut off in its middle");
    assert!(bob.toq(&["config", "set", "limits.bytes_per_second_per_peer", "134217728"]).status.success());
    (alice, bob, have, sent)
}

fn change(agent: &Agent, at: u64) {
    let copy = inside(agent, "outgoing").pop().expect("a copy");
    let mut bytes = std::fs::read(&copy).expect("ours");
    let at = usize::try_from(at).expect("small");
    bytes[at] ^= 1;
    std::fs::write(&copy, bytes).expect("ours");
}

#[test]
fn after_a_crash_of_the_receiver_only_the_rest_is_sent() {
    let world = World::new();
    let (alice, bob, _, sent) = interrupted(&world);
    // Were the beginning sent again, the whole would have another hash.
    change(&alice, 0);

    assert!(world.up(&bob.place).status.success());

    eventually("it is delivered", || (state(&alice, &sent).0 == "delivered").then_some(()));
    let listed = files(&bob);
    assert_eq!((listed.len(), &listed[0]["size"]), (1, &json!(6_000_000)));
    assert_eq!(bob.has_received(1).len(), 1, "announced once");
}

#[test]
fn a_transfer_that_goes_on_with_other_content_is_refused_and_nothing_is_kept() {
    let world = World::new();
    let (alice, bob, have, sent) = interrupted(&world);
    change(&alice, have + 1);

    assert!(world.up(&bob.place).status.success());

    eventually("it is refused", || (state(&alice, &sent).0 == "rejected").then_some(()));
    assert!(state(&alice, &sent).1.contains("file_corrupt"), "{:?}", state(&alice, &sent));
    assert!(files(&bob).is_empty() && inside(&bob, "incoming").is_empty());
    assert_eq!(bob.get("/v1/messages/history").json()["messages"].as_array().map(Vec::len), Some(0));
}

#[test]
fn the_senders_crash_costs_nothing_either() {
    let world = World::new();
    let (alice, bob) =
        (world.workspace("alice", &EAGER), world.agent("bob", &[TAKES[0], TAKES[1], ("limits.bytes_per_second_per_peer", "400000")]));
    assert!(world.up(&alice).status.success());
    let sender = world.running("alice", &alice);
    let (path, bytes) = file(&world, "numbers.bin", 1_200_000);
    let sent = send(&sender, &bob, &path, false).json();
    eventually("some of it is there", || {
        inside(&bob, "incoming").first().and_then(|path| path.metadata().ok()).filter(|metadata| metadata.len() > 0)
    });
    kill(&sender);
    std::fs::remove_file(&path).expect("ours");

    assert!(world.up(&alice).status.success());

    let again = Agent::at("alice", &alice, &world);
    eventually("it is delivered", || (state(&again, &sent).0 == "delivered").then_some(()));
    let sha256 = files(&bob)[0]["sha256"].as_str().expect("a hash").to_owned();
    assert_eq!(std::fs::read(bob.place.join(".toq/files").join(sha256)).expect("there"), bytes);
}

#[test]
fn files_count_towards_the_quota_of_the_workspace() {
    let world = World::new();
    let alice = world.agent("alice", &EAGER);
    let bob = world.agent("bob", &[TAKES[0], TAKES[1], ("store.max_mib", "8")]);
    let (first, _) = file(&world, "a.bin", 4_000_000);
    let (second, _) = file(&world, "b.bin", 4_000_001);

    let taken = send(&alice, &bob, &first, true);
    let body = json!({"to": bob.address(), "path": second}).to_string();
    let waiting = alice.post("/v1/files?wait=true&timeout=3", &body);

    assert_eq!((taken.status, waiting.status), (200, 504), "{taken:?} {waiting:?}");
    assert_eq!(files(&bob).len(), 1);
    assert!(inside(&bob, "incoming").is_empty(), "nothing is taken that does not fit");
    assert_eq!(state(&alice, &json!({"id": waiting.json()["error"]["id"]})).0, "accepted", "it is tried until there is room");
}

#[test]
fn a_file_that_came_is_deleted_with_what_is_known_of_it_and_can_come_again() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &TAKES), world.agent("bob", &TAKES));
    let (path, _) = file(&world, "notes.txt", 1000);
    let (other, _) = file(&world, "other.txt", 2000);
    assert_eq!((send(&alice, &bob, &path, true).status, send(&alice, &bob, &other, true).status), (200, 200));
    let of =
        |name: &str| files(&bob).iter().find(|file| file["name"] == name).map(|file| file["sha256"].as_str().expect("a hash").to_owned());
    let hash = of("notes.txt").expect("it came");

    let gone = bob.toq(&["files", "rm", &hash[..12]]);

    assert_eq!(String::from_utf8_lossy(&gone.stdout).trim(), format!("Deleted {hash}"), "{gone:?}");
    assert_eq!((of("notes.txt"), of("other.txt").is_some()), (None, true));
    assert_eq!((inside(&bob, "").len(), inside(&bob, "notes").len()), (1, 1), "the file and its note are gone");
    assert_eq!(bob.get(&format!("/v1/files/{hash}")).status, 404);
    let again = bob.request("DELETE", &format!("/v1/files/{hash}"), &[], None);
    assert_eq!((again.status, again.code()), (404, "not_found".to_owned()));
    assert_eq!(bob.toq(&["files", "rm", &hash]).status.code(), Some(1));
    assert_eq!(send(&alice, &bob, &path, true).status, 200);
    assert_eq!(of("notes.txt"), Some(hash));
}

/// Announces an empty file by hand, as one and the same message each time; the type of the answer.
fn announce(bob: &Agent, challenge: u8) -> String {
    let stranger = Stranger::new(41);
    let card = json!({"name": "stranger", "public_key": stranger.identity.public().to_string(), "protocol_version": "0.1"});
    // The SHA-256 of nothing (FIPS 180-4).
    let id = ContentId::parse("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").expect("a hash");
    let manifest = Manifest { name: "nothing".to_owned(), size: 0, id, transfer: "t".to_owned() };
    let mut envelope = stranger.envelope(Kind::MessageSend, &bob.address(), 2, manifest.to_body());
    envelope.content_type = Some(MANIFEST_TYPE.to_owned());
    let said = [
        stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request()),
        stranger.envelope(Kind::CardExchange, &bob.address(), 1, Json::from_value(&card)),
        envelope,
    ];
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
        let mut io = connect(bob).await;
        stranger.greet(&mut io, challenge).await;
        for envelope in said {
            io.write_all(&encode(&envelope.sign(&stranger.identity)).expect("small")).await.expect("writes");
        }
        io.flush().await.expect("writes");
        let (mut decoder, mut piece) = (Decoder::new(), [0; 4096]);
        loop {
            while let Some(frame) = decoder.next_frame(MAX_FRAME).expect("a frame") {
                let answer: Value = serde_json::from_slice(&frame).expect("JSON");
                let kind = answer["type"].as_str().expect("a type").to_owned();
                if kind == "message.ack" || kind == "system.error" {
                    return kind;
                }
            }
            let read = io.read(&mut piece).await.expect("reads");
            assert!(read > 0, "an answer comes before the end");
            decoder.push(&piece[..read]);
        }
    })
}

#[test]
fn a_file_that_is_here_is_acknowledged_again_even_if_none_are_accepted_any_more() {
    let world = World::new();
    let bob = world.agent("bob", &TAKES);
    assert_eq!(announce(&bob, 1), "message.ack");
    assert!(bob.toq(&["down"]).status.success());
    assert!(bob.toq(&["config", "set", "accept_files", "false"]).status.success());
    eventually("the daemon starts again", || world.up(&bob.place).status.success().then_some(()));

    assert_eq!(announce(&bob, 2), "message.ack");
    assert_eq!(bob.get("/v1/messages/history").json()["messages"].as_array().map(Vec::len), Some(1));
}
