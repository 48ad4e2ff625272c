#![no_main]
//! Parsing never panics; what verifies verifies again after being signed again; what we sign is what is read.

use libfuzzer_sys::fuzz_target;
use toq_fuzz::{ALICE, BOB, local, now};
use toq_protocol::envelope::{Unverified, VERSION};
use toq_protocol::{Envelope, Json, Kind, MessageId};

/// A body inside an envelope may nest one level less than one alone.
const MAX_DEPTH: usize = 100;

fuzz_target!(|data: &[u8]| {
    let (alice, bob) = (local(ALICE), local(BOB));
    let key = alice.identity.public();

    if let Ok(unverified) = Unverified::parse(data)
        && let Ok(envelope) = unverified.verify(&key)
    {
        let again = Unverified::parse(&envelope.sign(&alice.identity)).expect("we write envelopes");
        assert_eq!(again.verify(&key).expect("we sign them"), envelope);
    }

    let Ok(text) = std::str::from_utf8(data) else { return };
    let body = Json::parse(text).ok().filter(|_| text.matches(['[', '{']).count() < MAX_DEPTH).map(Json::settled);
    let envelope = Envelope {
        version: VERSION.to_owned(),
        id: MessageId::from_random([7; 16]),
        kind: Kind::MessageSend,
        from: alice.address.clone(),
        to: vec![bob.address.clone()],
        thread_id: Some(text.to_owned()),
        reply_to: None,
        sequence: data.len() as u64,
        timestamp: now(0).wall.to_string(),
        priority: None,
        content_type: Some(text.chars().rev().collect()),
        ttl: None,
        compression: None,
        e2e_nonce: None,
        body,
    };
    let read = Unverified::parse(&envelope.sign(&alice.identity)).expect("we write envelopes");
    assert_eq!(read.verify(&key).expect("we sign them"), envelope);
});
