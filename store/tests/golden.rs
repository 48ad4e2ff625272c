//! The bytes of every record, version by version: what an earlier release wrote is read for ever.
//!
//! `golden/v1.txt` has a line `name hex` for each record of version 1. A new version gets a file of its own;
//! lines that are there are never changed.

use std::time::Duration;

use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::time::Timestamp;
use toq_store::record::{
    AlarmRow, ApprovalRow, ConsumerRow, Direction, EventRow, IdempotencyRow, MessageRow, PeerRow, Record, RotationRow, SetAsideRow, State,
    StateRow, TurnedAwayRow,
};

fn message() -> Message {
    Message {
        id: MessageId::from_bytes([1; 16]),
        kind: Kind::MessageSend,
        from: Address::parse("toq://example.com:9010/alice").expect("valid"),
        to: Address::parse("toq://127.0.0.1/bob").expect("valid"),
        thread_id: Some("t".to_owned()),
        reply_to: None,
        content_type: Some("application/json".to_owned()),
        timestamp: Timestamp::from_nanos(1_800_000_000_000_000_001),
        ttl: Some(Duration::from_secs(60)),
        body: Json::parse(r#"{"text":"hi"}"#).ok(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written() -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    let state = StateRow { state: State::Accepted, attempts: 3, reason: Some(text("away")), next_attempt: Some(7), changed: 5 };
    let event =
        EventRow { kind: text("message.delivered"), subject: text("id"), address: Some(text("toq://h/a")), reason: None, timestamp: 9 };
    let approval = ApprovalRow {
        address: text("toq://h/a"),
        requested_at: 1,
        requests: 2,
        proof: None,
        source: None,
        previous: None,
        first_asked: None,
        hears_decisions: None,
    };
    vec![
        ("message-in", hex(&MessageRow::new(Direction::In, &message(), Some(PeerKey::from_bytes([2; 32]))).to_bytes())),
        ("message-out", hex(&MessageRow::new(Direction::Out, &message(), None).to_bytes())),
        ("state", hex(&state.to_bytes())),
        ("event", hex(&event.to_bytes())),
        ("peer", hex(&PeerRow { last_seen: 2, ..PeerRow::new(text("toq://h/a"), Timestamp::from_nanos(1)) }.to_bytes())),
        ("approval", hex(&approval.to_bytes())),
        ("consumer", hex(&ConsumerRow { confirmed: vec![6, 9], ..ConsumerRow::new(4) }.to_bytes())),
        ("idempotency", hex(&IdempotencyRow { fingerprint: [3; 32], messages: vec![1, 2], at: 8 }.to_bytes())),
        ("set-aside", hex(&SetAsideRow { reason: text("exit status 1"), attempts: 3, at: 8 }.to_bytes())),
        ("rotation", hex(&RotationRow { new: [4; 32], counter: 2, retires_at: 3 }.to_bytes())),
        ("turned-away", hex(&TurnedAwayRow { address: text("toq://h/a"), at: 7 }.to_bytes())),
        ("alarm", hex(&AlarmRow { address: text("toq://h/a"), first: 1, last: 2, count: 3, is_known: true }.to_bytes())),
    ]
}

fn kept() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1.txt")).expect("in the repository")
}

#[test]
fn records_are_written_as_they_always_were() {
    let lines: Vec<String> = written().into_iter().map(|(name, hex)| format!("{name} {hex}")).collect();

    assert_eq!(lines.join("\n"), kept().trim_end());
}

#[test]
fn records_that_were_ever_written_are_read() {
    let bytes = |name: &str| -> Vec<u8> {
        let kept = kept();
        let line = kept.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("a line").to_owned();
        (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("hex")).collect()
    };

    let read = MessageRow::from_bytes(&bytes("message-in")).expect("version 1");
    assert_eq!((read.message().expect("a message"), read.peer()), (message(), Some(PeerKey::from_bytes([2; 32]))));
    let sent = MessageRow::from_bytes(&bytes("message-out")).expect("version 1");
    assert_eq!(sent.only_for(), None);
    let answer = sent.meant_for(Some(PeerKey::from_bytes([5; 32])));
    assert_eq!(MessageRow::from_bytes(&answer.to_bytes()).expect("reads").only_for(), Some(PeerKey::from_bytes([5; 32])));
    assert_eq!(StateRow::from_bytes(&bytes("state")).expect("version 1").attempts, 3);
    let consumer = ConsumerRow::from_bytes(&bytes("consumer")).expect("version 1");
    assert_eq!((4..=10).filter(|seq| consumer.is_confirmed(*seq)).collect::<Vec<_>>(), [4, 6, 9]);
}

#[test]
fn bytes_of_another_version_or_shape_are_an_error() {
    for bytes in [&b""[..], &[0], &[2, 0x80], &[1], &[1, 0xff], &[1, 0x82, 0x00]] {
        assert!(MessageRow::from_bytes(bytes).is_err() && StateRow::from_bytes(bytes).is_err(), "{bytes:?}");
    }
}
