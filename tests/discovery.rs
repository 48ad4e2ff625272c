//! Agents are found by their domain, over a DNS server that the test starts.

#[path = "world/names.rs"]
mod names;
mod world;

use hickory_server::proto::rr::RData;
use names::{Manners, NameServer, host, txt};
use serde_json::{Value, json};
use world::{Agent, Answer, World, eventually};

const QUERY: &str = "_toq._tcp.bob.test.";

/// The TXT record that an agent asks its owner to publish.
fn record(agent: &Agent) -> String {
    let shown: Value = serde_json::from_slice(&agent.toq(&["--json", "whoami"]).stdout).expect("JSON");
    shown["dns_record"].as_str().expect("an agent at a domain has a record").to_owned()
}

fn bob(world: &World) -> Agent {
    world.agent("bob", &[("host", "bob.test"), ("connection_mode", "open")])
}

fn alice(world: &World, server: &NameServer, settings: &[(&str, &str)]) -> Agent {
    let resolver = server.address.to_string();
    let settings = [&[("dns.resolvers", resolver.as_str())], settings].concat();
    world.agent("alice", &settings)
}

fn here(record: &str) -> [(String, RData); 2] {
    [host("bob.test.", "127.0.0.1"), txt(QUERY, record)]
}

fn send(from: &Agent) -> Answer {
    let body = json!({"to": "toq://bob.test/bob", "body": {"text": "found you"}}).to_string();
    from.post("/v1/messages?wait=true&timeout=30", &body)
}

#[test]
fn a_message_to_a_domain_arrives_at_the_port_in_its_record() {
    let world = World::new();
    let bob = bob(&world);
    let server = NameServer::start(&here(&record(&bob)));
    let alice = alice(&world, &server, &[("dns.allow_private", "true")]);

    let answer = send(&alice);
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("delivered")), "{answer:?}");
    assert_eq!(bob.has_received(1)[0]["body"]["text"], "found you");

    server.behave(Manners::Silent);
    assert_eq!(send(&alice).status, 200, "an open connection needs no DNS");
}

#[test]
fn an_agent_with_another_key_than_its_domain_announces_gets_nothing() {
    let world = World::new();
    let bob = bob(&world);
    let stranger = toq_protocol::Identity::from_seed(&[9; 32]).public();
    let own = record(&bob);
    let key = own.split("key=").nth(1).and_then(|rest| rest.split(';').next()).expect("a key");
    let server = NameServer::start(&here(&own.replace(key, &stranger.bare())));
    let alice = alice(&world, &server, &[("dns.allow_private", "true")]);

    let answer = send(&alice);
    assert_eq!((answer.status, answer.code().as_str()), (502, "not_reachable"), "{answer:?}");
    assert!(answer.body.contains("announced by its domain"), "{answer:?}");
    let pinged = alice.post("/v1/ping", r#"{"address":"toq://bob.test/bob"}"#).json();
    assert_eq!(pinged["reachable"], false, "{pinged}");
}

#[test]
fn several_keys_or_a_private_address_are_no_way_to_an_agent() {
    let world = World::new();
    let server = NameServer::start(&here("v=spf1 -all"));
    let alice = alice(&world, &server, &[]);

    let private = send(&alice);
    assert_eq!(private.status, 502, "{private:?}");
    assert!(private.body.contains("dns.allow_private"), "{private:?}");

    let key = |seed| toq_protocol::Identity::from_seed(&[seed; 32]).public().bare();
    let two = [1, 2].map(|seed| txt("_toq._tcp.eve.test.", &format!("v=toq1; key={}; agent=eve", key(seed))));
    server.now_says(&[two.as_slice(), &[host("eve.test.", "8.8.8.8")]].concat());
    let conflict = alice.post("/v1/ping", r#"{"address":"toq://eve.test/eve"}"#).json();
    assert_eq!(conflict["reachable"], false);
    assert!(conflict["error"].as_str().is_some_and(|error| error.contains("several different keys")), "{conflict}");
}

#[test]
fn the_agents_of_a_domain_are_listed_by_the_api_and_by_the_command_line() {
    let world = World::new();
    let bob = bob(&world);
    let record = record(&bob);
    let server = NameServer::start(&here(&record));
    let alice = alice(&world, &server, &[]);
    let key = bob.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned();

    let found = alice.get("/v1/discover?host=bob.test").json();
    let bare = key.strip_prefix("ed25519:").expect("a key");
    assert_eq!(found, json!({"agents": [{"address": "toq://bob.test/bob", "public_key": bare}]}));
    let listed = String::from_utf8(alice.toq(&["discover", "bob.test"]).stdout).expect("text");
    assert_eq!(listed, format!("Agents at bob.test:\n  bob toq://bob.test/bob port {}\n", bob.port));

    for host in ["nobody.test", "127.0.0.1", "localhost"] {
        assert_eq!(alice.get(&format!("/v1/discover?host={host}")).json(), json!({"agents": []}), "{host}");
    }
    assert_eq!(alice.get("/v1/discover").status, 400);
    let none = alice.toq(&["discover", "nobody.test"]);
    assert_eq!((none.status.code(), String::from_utf8_lossy(&none.stdout).trim()), (Some(0), "No agents found at nobody.test"));

    server.behave(Manners::Failing);
    assert_eq!(alice.get("/v1/discover?host=other.test").json(), json!({"agents": []}), "published clients expect an empty list");
    let failed = alice.toq(&["discover", "other.test"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("DNS could not be asked"), "{failed:?}");
}

#[test]
fn the_doctor_names_the_record_to_publish_and_sees_when_it_is_there() {
    let world = World::new();
    let server = NameServer::start(&[]);
    let resolver = server.address.to_string();
    let bob = world.agent("bob", &[("host", "bob.test"), ("dns.resolvers", &resolver)]);
    let record = record(&bob);
    let look = || {
        let report: Value = serde_json::from_slice(&bob.toq(&["--json", "doctor"]).stdout).expect("JSON");
        let checks = report["checks"].as_array().expect("a list").clone();
        checks.into_iter().find(|check| check["name"] == "dns").expect("a domain is looked at")
    };

    let missing = look();
    assert!(missing["detail"].as_str().is_some_and(|detail| detail.contains(&record) && detail.contains(QUERY)), "{missing}");

    let moved = record.replace(&format!("port={}", bob.port), "port=1");
    server.now_says(&[txt(QUERY, &moved)]);
    bob.toq(&["down"]);
    assert_eq!(look()["status"], "fail", "the record names another port");

    server.now_says(&[txt(QUERY, &record)]);
    world.up(&bob.place);
    assert_eq!(look()["status"], "ok");
}

#[test]
fn agents_that_want_it_find_each_other_on_the_local_network_and_others_are_not_announced() {
    let world = World::new();
    let settings = [("mdns_enabled", "true"), ("connection_mode", "open")];
    let (alice, bob) = (world.agent("alice", &settings), world.agent("bob", &settings));
    let shy = world.agent("shy", &[]);
    let own = |agent: &Agent| {
        let key = agent.get("/v1/status").json()["public_key"].as_str().expect("a key").replace("ed25519:", "");
        json!({"address": agent.address(), "public_key": key})
    };
    let (bobs, shys) = (own(&bob), own(&shy));

    let found = eventually("alice finds bob", || {
        let found = alice.get("/v1/discover/local").json()["agents"].as_array().expect("a list").clone();
        found.contains(&bobs).then_some(found)
    });
    assert!(!found.contains(&shys) && !found.contains(&own(&alice)), "{found:?}");
    assert_eq!(shy.get("/v1/discover/local").json(), json!({"agents": [], "mdns_enabled": false}));

    let to = found.iter().find(|agent| **agent == bobs).expect("found")["address"].clone();
    let sent = alice.post("/v1/messages?wait=true", &json!({"to": to, "body": {"text": "neighbour"}}).to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
}

#[test]
fn the_command_lists_neighbours_and_says_what_to_do_where_it_cannot() {
    let world = World::new();
    let settings = [("mdns_enabled", "true"), ("connection_mode", "open")];
    let (alice, bob) = (world.agent("alice", &settings), world.agent("bob", &settings));
    let shy = world.agent("shy", &[]);
    let key = bob.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned();
    let told = |agent: &Agent, arguments: &[&str]| {
        let output = agent.toq(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };

    let line = format!("\n  bob {} port {} {key}", bob.address(), bob.port);
    eventually("alice's command finds bob", || told(&alice, &["discover", "--local"]).1.contains(&line).then_some(()));
    let bobs = json!({"name": "bob", "address": bob.address(), "port": bob.port, "public_key": key.replace("ed25519:", "")});
    eventually("it finds bob in JSON too", || {
        let found: serde_json::Value = serde_json::from_str(&told(&alice, &["--json", "discover", "--local"]).1).expect("JSON");
        (found["local"] == true && found["agents"].as_array().is_some_and(|agents| agents.contains(&bobs))).then_some(())
    });

    let (code, _, why) = told(&shy, &["discover", "--local"]);
    assert!(code == Some(1) && why.contains("`toq config set mdns_enabled true`, then `toq down`"), "{why}");
    assert!(shy.toq(&["config", "set", "mdns_enabled", "true"]).status.success());
    let (code, _, why) = told(&shy, &["discover", "--local"]);
    assert!(code == Some(1) && why.contains("Run `toq down` and `toq up`"), "a set value is not yet in force: {why}");
    let lost = world.agent("lost", &[("mdns_enabled", "true"), ("mdns.interfaces", "nosuch0")]);
    let (code, _, why) = told(&lost, &["discover", "--local"]);
    assert!(code == Some(1) && why.contains("no network interface nosuch0") && why.contains("mdns.interfaces"), "{why}");
    let (_, checks, _) = told(&lost, &["doctor"]);
    assert!(checks.contains("[!!] mdns: this machine has no network interface nosuch0"), "{checks}");
    assert_eq!(told(&alice, &["discover"]).0, Some(2), "a domain or --local");
    assert_eq!(told(&alice, &["discover", "--local", "example.com"]).0, Some(2));
}

#[test]
fn an_agent_that_replaces_its_key_is_announced_with_the_new_one() {
    let world = World::new();
    let settings = [("mdns_enabled", "true"), ("connection_mode", "open")];
    let (alice, bob) = (world.agent("alice", &settings), world.agent("bob", &settings));
    let announced = || -> Vec<String> {
        let found = alice.get("/v1/discover/local").json()["agents"].as_array().expect("a list").clone();
        let bobs = found.iter().filter(|agent| agent["address"] == bob.address().as_str());
        bobs.map(|agent| agent["public_key"].as_str().expect("a key").to_owned()).collect()
    };
    let key = || bob.get("/v1/status").json()["public_key"].as_str().expect("a key").replace("ed25519:", "");
    let old = key();
    eventually("alice finds bob", || announced().contains(&old).then_some(()));

    assert_eq!(bob.post("/v1/keys/rotate", "").status, 200);
    let new = key();

    assert_ne!(old, new);
    eventually("alice finds bob's new key and no other", || (announced() == [new.as_str()]).then_some(()));
}
