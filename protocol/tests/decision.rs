//! A decision that is told in place of a session.

mod parties;

use std::sync::Arc;

use parties::{entropy, local, now};
use toq_protocol::binding::Exporter;
use toq_protocol::canonical::Json;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::negotiate;
use toq_protocol::session::{Decision, Effect, End, Greeting, Local, LocalEnd, Session};
use toq_protocol::time::Now;

const TLS: Exporter = Exporter::new([7; 32]);
const END: LocalEnd<'static> = LocalEnd { host: "127.0.0.1", exporter: TLS };

/// What the receiver makes of it, and how the teller's session ended.
fn told(teller: Arc<Local>, receiver: Arc<Local>, key: PeerKey, meant: &Local, heard: Now) -> (Vec<Effect>, Vec<Effect>) {
    let (mut telling, first) = Session::tell(teller, &meant.address, key, Decision::Granted, TLS, entropy(1), now());
    let greeted = Greeting::new().read(&first).expect("a greeting").expect("whole");
    let (mut hearing, reply) = Session::accept(receiver, greeted, END, entropy(2), heard);
    telling.push(&reply);
    let ended = telling.next(now()).expect("a frame");
    let mut said = Vec::new();
    for effect in &ended {
        if let Effect::Write(bytes) = effect {
            hearing.push(bytes);
        }
    }
    while let Some(effects) = hearing.next(heard) {
        said.extend(effects);
    }
    (said, ended)
}

#[test]
fn a_decision_arrives_and_both_sides_are_done() {
    let (bob, alice) = (local("bob", 9010), local("alice", 9020));

    let (heard, ended) = told(bob, alice.clone(), alice.identity.public(), &alice, now());

    assert!(matches!(heard[..], [Effect::Decided(Decision::Granted), Effect::End(End::Left(_))]), "{heard:?}");
    assert!(matches!(ended.last(), Some(Effect::End(End::Left(_)))), "{ended:?}");
}

#[test]
fn who_answers_with_another_key_is_told_nothing() {
    let (bob, alice) = (local("bob", 9010), local("alice", 9020));
    let another = Identity::from_seed(&[99; 32]).public();

    let (heard, ended) = told(bob, alice.clone(), another, &alice, now());

    assert!(heard.is_empty());
    assert!(matches!(ended[..], [Effect::End(End::KeyChanged { .. })]), "{ended:?}");
}

#[test]
fn a_decision_that_is_old_or_about_somebody_else_is_not_heard() {
    let (bob, alice, carol) = (local("bob", 9010), local("alice", 9020), local("caroline", 9030));
    let hour = std::time::Duration::from_secs(3600);
    let later = Now { wall: now().wall.plus(hour), monotonic: now().monotonic };

    let (late, _) = told(bob.clone(), alice.clone(), alice.identity.public(), &alice, later);
    // Carol is asked under the name of alice and passes on what she hears as if it were hers.
    let borrowed = Arc::new(Local {
        identity: Identity::from_seed(&[8; 32]),
        address: alice.address.clone(),
        locality: carol.locality.clone(),
        card: carol.card.clone(),
        deadlines: carol.deadlines,
        rotations: Vec::new(),
        requires_binding: false,
    });
    let (misled, _) = told(bob, borrowed.clone(), borrowed.identity.public(), &alice, now());

    for heard in [late, misled] {
        assert!(matches!(heard[..], [Effect::End(End::Refused(_))]), "{heard:?}");
    }
}

#[test]
fn a_published_peer_does_not_claim_to_hear_decisions() {
    let published = Json::parse(r#"{"supported_versions":["0.1"],"features":{"streaming":true}}"#).expect("JSON");

    assert!(!negotiate::read_request(Some(&published)).expect("a version").extensions.decisions);
    assert!(negotiate::read_request(Some(&negotiate::request(""))).expect("a version").extensions.decisions);
}
