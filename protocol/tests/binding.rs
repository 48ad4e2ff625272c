//! Somebody in the middle ends TLS on both sides and carries a session across: it gets nowhere.

mod parties;

use std::sync::Arc;

use parties::{demanding, entropy, local, now};
use toq_protocol::address::Address;
use toq_protocol::binding::Exporter;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::{Envelope, Kind, VERSION};
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::reason::Reason;
use toq_protocol::session::{Admission, Effect, End, Expected, Greeting, Local, LocalEnd, Session};

/// The channel of the dialler, and that of the acceptor.
#[derive(Clone, Copy)]
struct Channels(Exporter, Exporter);

const ONE: Channels = Channels(Exporter::new([7; 32]), Exporter::new([7; 32]));
const INTERCEPTED: Channels = Channels(Exporter::new([7; 32]), Exporter::new([8; 32]));

/// What both sides came to.
struct Outcome {
    dialer: Session,
    acceptor: Session,
    dialer_end: Option<End>,
    acceptor_end: Option<End>,
}

/// Runs a session to its opening or its end. `answer` is what the acceptor's owner says.
fn meet(alice: Arc<Local>, bob: Arc<Local>, expected: Expected, channels: Channels, answer: Admission) -> Outcome {
    let (mut dialer, first) = Session::dial(alice, &bob.address, expected, channels.0, entropy(1), now());
    let greeted = Greeting::new().read(&first).expect("a greeting").expect("complete");
    let end = LocalEnd { host: "127.0.0.1", exporter: channels.1 };
    let (mut acceptor, reply) = Session::accept(bob, greeted, end, entropy(2), now());
    let (mut to_dialer, mut dialer_end, mut acceptor_end) = (reply, None, None);
    for _ in 0..4 {
        let to_acceptor = drive(&mut dialer, &to_dialer, &mut dialer_end, answer);
        to_dialer = drive(&mut acceptor, &to_acceptor, &mut acceptor_end, answer);
    }
    Outcome { dialer, acceptor, dialer_end, acceptor_end }
}

fn drive(session: &mut Session, bytes: &[u8], end: &mut Option<End>, answer: Admission) -> Vec<u8> {
    let mut written = Vec::new();
    session.push(bytes);
    let mut waiting: Vec<Effect> = Vec::new();
    while let Some(effects) = session.next(now()) {
        waiting.extend(effects);
        if matches!(waiting.last(), Some(Effect::Authenticated)) {
            waiting.extend(session.admit(answer, now()));
        }
    }
    for effect in waiting {
        match effect {
            Effect::Write(bytes) => written.extend(bytes),
            Effect::End(why) => *end = Some(why),
            _ => {}
        }
    }
    written
}

#[test]
fn two_of_our_own_bind_their_session_to_the_channel() {
    let met = meet(local("alice", 9101), demanding("bob", 9102, true), Expected::default(), ONE, Admission::Accept);

    assert!(met.dialer.is_open() && met.acceptor.is_open());
    assert!(met.dialer.is_bound() && met.acceptor.is_bound());
}

#[test]
fn nobody_in_the_middle_carries_a_session_across() {
    let met = meet(local("alice", 9101), local("bob", 9102), Expected::default(), INTERCEPTED, Admission::Accept);

    assert!(!met.dialer.is_open() && !met.acceptor.is_open());
    for end in [met.dialer_end, met.acceptor_end] {
        assert!(matches!(end, Some(End::Refused(Reason::ChannelBindingMismatch))), "{end:?}");
    }
}

#[test]
fn a_key_that_has_bound_before_is_refused_without_and_told_why() {
    let met = meet(local("alice", 9101), local("bob", 9102), Expected::default(), ONE, Admission::Unbound);

    assert!(matches!(met.dialer_end, Some(End::Refused(Reason::ChannelBindingMissing))), "{:?}", met.dialer_end);
}

#[test]
fn another_key_than_the_pinned_one_is_told_nothing() {
    let (alice, bob) = (local("alice", 9101), local("bob", 9102));
    let pinned = PeerKey::from_bytes([3; 32]);
    let expected = Expected { key: Some(pinned), binding: false };

    let met = meet(alice, bob.clone(), expected, ONE, Admission::Accept);

    assert!(
        matches!(met.dialer_end, Some(End::KeyChanged { expected, met }) if expected == pinned && met == bob.identity.public()),
        "{:?}",
        met.dialer_end
    );
    assert!(!met.acceptor.is_open(), "nothing was signed for the stranger");
}

/// A published peer's answer: signed as it should be, without a digest.
fn published_answer(bob: &Local, to: &Address) -> Vec<u8> {
    let body = r#"{"selected_version":"0.1","features":{"streaming":true,"compression":null,"e2e_encryption":false}}"#;
    let envelope = Envelope {
        version: VERSION.to_owned(),
        id: MessageId::from_random([9; 16]),
        kind: Kind::NegotiateResponse,
        from: bob.address.clone(),
        to: vec![to.clone()],
        thread_id: None,
        reply_to: None,
        sequence: 0,
        timestamp: now().wall.to_string(),
        priority: None,
        content_type: None,
        ttl: None,
        compression: None,
        e2e_nonce: None,
        body: Json::parse(body).ok(),
    };
    toq_protocol::frame::encode(&envelope.sign(&bob.identity)).expect("small")
}

#[test]
fn a_peer_that_cannot_bind_is_met_unless_it_could_before_or_it_must() {
    for (has_bound, is_required, is_met) in [(false, false, true), (true, false, false), (false, true, false)] {
        let (alice, bob) = (demanding("alice", 9101, is_required), local("bob", 9102));
        let expected = Expected { key: Some(bob.identity.public()), binding: has_bound };
        let (mut dialer, first) = Session::dial(alice.clone(), &bob.address, expected, ONE.0, entropy(1), now());
        let greeted = Greeting::new().read(&first).expect("a greeting").expect("complete");
        let end = LocalEnd { host: "127.0.0.1", exporter: ONE.1 };
        let (_, reply) = Session::accept(bob.clone(), greeted, end, entropy(2), now());
        let mut ended = None;
        drive(&mut dialer, &reply, &mut ended, Admission::Accept);

        drive(&mut dialer, &published_answer(&bob, &alice.address), &mut ended, Admission::Accept);

        assert!(!dialer.is_bound());
        assert_eq!(ended.is_none(), is_met, "{ended:?}");
        assert!(is_met || matches!(ended, Some(End::Refused(Reason::ChannelBindingMissing))));
    }
}
