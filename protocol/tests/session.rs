//! Two sessions wired together in memory: what they promise to each other and to an attacker.

mod parties;

use std::sync::Arc;
use std::time::Duration;

use parties::{entropy, local, now};
use toq_protocol::address::Address;
use toq_protocol::binding::Exporter;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::{Envelope, Kind};
use toq_protocol::message::{Message, MessageId};
use toq_protocol::reason::Reason;
use toq_protocol::session::{Admission, Effect, End, Expected, Greeting, Local, LocalEnd, Outgoing, Session};
use toq_protocol::time::Now;

fn later(seconds: u64) -> Now {
    let start = now();
    let by = Duration::from_secs(seconds);
    Now { wall: start.wall.plus(by), monotonic: start.monotonic + by }
}

fn message(from: &Arc<Local>, to: &Address, byte: u8) -> Message {
    Message {
        id: MessageId::from_random([byte; 16]),
        kind: Kind::MessageSend,
        from: from.address.clone(),
        to: to.clone(),
        thread_id: Some("t".to_owned()),
        reply_to: None,
        content_type: None,
        timestamp: now().wall,
        ttl: Some(Duration::from_secs(3600)),
        body: Json::parse(r#"{"text":"hi"}"#).ok(),
    }
}

/// What both ends of the one honest channel know.
const TLS: Exporter = Exporter::new([7; 32]);
const END: LocalEnd<'static> = LocalEnd { host: "127.0.0.1", exporter: TLS };

/// Everything one side said during a step, and the events that are not bytes.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    events: Vec<Effect>,
}

fn perform(said: &mut Said, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Write(bytes) => said.bytes.extend(bytes),
            event => said.events.push(event),
        }
    }
}

fn hear(session: &mut Session, bytes: &[u8], now: Now) -> Said {
    let mut said = Said::default();
    session.push(bytes);
    while let Some(effects) = session.next(now) {
        let asks = effects.iter().any(|effect| matches!(effect, Effect::Authenticated));
        perform(&mut said, effects);
        if asks {
            perform(&mut said, session.admit(Admission::Accept, now));
        }
    }
    said
}

struct Pair {
    dialer: Session,
    acceptor: Session,
    alice: Arc<Local>,
    bob: Arc<Local>,
    /// All that the initiator has written, for replays.
    recorded: Vec<u8>,
}

fn open_pair() -> Pair {
    let (alice, bob) = (local("alice", 9101), local("bob", 9102));
    let (mut dialer, first) = Session::dial(alice.clone(), &bob.address, Expected::default(), TLS, entropy(1), now());
    let greeted = Greeting::new().read(&first).expect("a greeting").expect("complete");
    let (mut acceptor, reply) = Session::accept(bob.clone(), greeted, END, entropy(2), now());
    let mut recorded = first;
    let mut to_dialer = reply;
    for _ in 0..4 {
        let said = hear(&mut dialer, &to_dialer, now());
        recorded.extend(&said.bytes);
        to_dialer = hear(&mut acceptor, &said.bytes, now()).bytes;
    }
    assert!(dialer.is_open() && acceptor.is_open());
    Pair { dialer, acceptor, alice, bob, recorded }
}

#[test]
fn a_pause_is_asked_of_our_own_kind_and_never_for_longer_than_a_minute() {
    let Pair { mut dialer, mut acceptor, .. } = open_pair();

    let short = acceptor.slow_down(Duration::from_millis(1), now());
    let long = acceptor.slow_down(Duration::from_secs(3600), now());

    let heard = [short, long].map(|bytes| hear(&mut dialer, &bytes, now()).events);
    assert!(matches!(heard[0][..], [Effect::Slow(pause)] if pause == Duration::from_secs(1)), "{:?}", heard[0]);
    assert!(matches!(heard[1][..], [Effect::Slow(pause)] if pause == Duration::from_secs(60)), "{:?}", heard[1]);
    assert!(dialer.is_open());
}

#[test]
fn two_of_our_own_open_a_session_with_cumulative_acks() {
    let pair = open_pair();

    assert!(pair.dialer.has_cumulative_acks() && pair.acceptor.has_cumulative_acks());
    assert_eq!(pair.dialer.peer().map(|peer| peer.key), Some(pair.bob.identity.public()));
}

#[test]
fn one_cumulative_ack_answers_many_messages() {
    let mut pair = open_pair();
    let mut last = None;
    for byte in 1..=5 {
        let message = message(&pair.alice, &pair.bob.address, byte);
        let frame = pair.dialer.send(Outgoing::Message(&message), now()).expect("small");
        let said = hear(&mut pair.acceptor, &frame, now());
        let [Effect::Received(envelope)] = &said.events[..] else { panic!("{:?}", said.events) };
        last = Some((envelope.id, envelope.sequence));
    }
    let (id, sequence) = last.expect("five were received");

    let ack = pair.acceptor.ack_up_to(id, sequence, now());
    let said = hear(&mut pair.dialer, &ack, now());

    let [Effect::Acked(ids)] = &said.events[..] else { panic!("{:?}", said.events) };
    assert_eq!(ids.len(), 5);
    assert_eq!(pair.dialer.unacked(), 0);
}

#[test]
fn a_refusal_names_its_message_and_the_session_goes_on() {
    let mut pair = open_pair();
    let message = message(&pair.alice, &pair.bob.address, 7);
    let frame = pair.dialer.send(Outgoing::Message(&message), now()).expect("small");
    hear(&mut pair.acceptor, &frame, now());

    let mut said = Said::default();
    perform(&mut said, pair.acceptor.refuse(message.id, Reason::StorageFull, now()));
    let heard = hear(&mut pair.dialer, &said.bytes, now());

    assert!(matches!(&heard.events[..], [Effect::Refused(id, Reason::StorageFull, _)] if *id == message.id));
    assert!(pair.acceptor.is_open());
}

#[test]
fn an_envelope_for_somebody_else_is_refused() {
    let mut pair = open_pair();
    for wrong in ["toq://127.0.0.1:9102/carol", "toq://127.0.0.1:9103/bob", "toq://other.example/bob"] {
        let mut message = message(&pair.alice, &pair.bob.address, 9);
        message.to = Address::parse(wrong).expect("valid");
        let frame = pair.dialer.send(Outgoing::Message(&message), now()).expect("small");

        let said = hear(&mut pair.acceptor, &frame, now());

        assert!(matches!(&said.events[..], [Effect::Rejected(_, Reason::NotAddressedHere)]), "{wrong}: {:?}", said.events);
        assert_eq!(pair.acceptor.elsewhere().map(Address::wire).as_deref(), Some(wrong), "it is remembered who was meant");
    }
}

#[test]
fn an_old_message_is_accepted_only_within_its_lifetime() {
    for (seconds, accepted) in [(3599, true), (3601, false)] {
        let mut pair = open_pair();
        let message = message(&pair.alice, &pair.bob.address, 3);
        let frame = pair.dialer.send(Outgoing::Message(&message), now()).expect("small");

        let said = hear(&mut pair.acceptor, &frame, later(seconds));

        assert_eq!(matches!(&said.events[..], [Effect::Received(_)]), accepted);
    }
}

#[test]
fn a_recorded_greeting_proves_nothing_to_another_agent() {
    let pair = open_pair();
    let carol = local("carol", 9104);
    let mut greeted = Greeting::new().read(&pair.recorded).expect("a greeting").expect("complete");
    greeted.credentials.target_agent = None;

    let (mut session, _) = Session::accept(carol, greeted, END, entropy(5), now());
    let said = hear(&mut session, &[], now());

    assert!(matches!(&said.events[..], [Effect::End(End::Refused(Reason::NotAddressedHere))]), "{:?}", said.events);
}

#[test]
fn a_recorded_session_is_stale_ten_minutes_later() {
    let pair = open_pair();
    let greeted = Greeting::new().read(&pair.recorded).expect("a greeting").expect("complete");

    let (mut session, _) = Session::accept(pair.bob.clone(), greeted, END, entropy(5), later(601));
    let said = hear(&mut session, &[], later(601));

    assert!(matches!(&said.events[..], [Effect::End(End::Refused(Reason::ClockSkew))]), "{:?}", said.events);
}

#[test]
fn a_repeated_sequence_number_ends_the_session() {
    let mut pair = open_pair();
    let message = message(&pair.alice, &pair.bob.address, 4);
    let frame = pair.dialer.send(Outgoing::Message(&message), now()).expect("small");
    hear(&mut pair.acceptor, &frame, now());

    let said = hear(&mut pair.acceptor, &frame, now());

    assert!(matches!(&said.events[..], [Effect::End(End::Refused(Reason::SequenceViolation))]));
}

#[test]
fn a_sender_other_than_the_one_of_the_handshake_ends_the_session() {
    let mut pair = open_pair();
    let mut envelope: Envelope = message(&pair.alice, &pair.bob.address, 4).to_envelope(50);
    envelope.from = Address::parse("toq://127.0.0.1:9101/mallory").expect("valid");
    let frame = toq_protocol::frame::encode(&envelope.sign(&pair.alice.identity)).expect("small");

    let said = hear(&mut pair.acceptor, &frame, now());

    assert!(matches!(&said.events[..], [Effect::End(End::Violation(_))]));
}

#[test]
fn each_stage_has_its_deadline() {
    let (alice, bob) = (local("alice", 9101), local("bob", 9102));
    let (mut dialer, first) = Session::dial(alice, &bob.address, Expected::default(), TLS, entropy(1), now());
    assert!(dialer.tick(later(4)).is_empty());
    assert!(matches!(&dialer.tick(later(5))[..], [Effect::End(End::Late(_))]));

    let greeted = Greeting::new().read(&first).expect("a greeting").expect("complete");
    let (mut acceptor, _) = Session::accept(bob, greeted, END, entropy(2), now());
    assert!(matches!(&acceptor.tick(later(5))[..], [Effect::End(End::Late(_))]));
}

#[test]
fn silence_asks_first_and_then_ends_the_session() {
    let mut pair = open_pair();

    assert!(pair.dialer.tick(later(29)).is_empty());
    let asked = pair.dialer.tick(later(30));
    assert!(matches!(&asked[..], [Effect::Write(_)]));
    assert!(matches!(&pair.dialer.tick(later(90))[..], [Effect::End(End::Late(_))]));
}

#[test]
fn a_held_peer_reads_that_its_approval_is_pending() {
    let (alice, bob) = (local("alice", 9101), local("bob", 9102));
    let (mut dialer, first) = Session::dial(alice, &bob.address, Expected::default(), TLS, entropy(1), now());
    let greeted = Greeting::new().read(&first).expect("a greeting").expect("complete");
    let (mut acceptor, reply) = Session::accept(bob, greeted, END, entropy(2), now());
    let request = hear(&mut dialer, &reply, now()).bytes;
    acceptor.push(&request);
    assert!(matches!(&acceptor.next(now()).expect("a frame")[..], [Effect::Authenticated]));

    let mut said = Said::default();
    perform(&mut said, acceptor.admit(Admission::Ask, now()));
    let heard = hear(&mut dialer, &said.bytes, now());

    assert!(matches!(&heard.events[..], [Effect::End(End::Pending(text))] if text.contains("pending approval")));
}

#[test]
fn a_message_on_a_connection_that_we_opened_ends_it() {
    let mut pair = open_pair();
    let message = message(&pair.bob, &pair.alice.address, 4);
    let frame = pair.acceptor.send(Outgoing::Message(&message), now()).expect("small");

    let said = hear(&mut pair.dialer, &frame, now());

    assert!(matches!(&said.events[..], [Effect::End(End::Violation(_))]), "{:?}", said.events);
}
