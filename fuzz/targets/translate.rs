#![no_main]
//! Every payload has a translation; what had to be made anew is JSON, and the way through SLIM and back changes nothing.

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use toq_channels::translate::{Rules, translate, translate_by};
use toq_channels::{Envelope, Protocol};

const SPOKEN: [Protocol; 4] = [Protocol::Raw, Protocol::A2a, Protocol::Mcp, Protocol::Slim];

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (choice, content_type, payload) = input;
    let protocol = SPOKEN[usize::from(choice) % SPOKEN.len()];
    let envelope = Envelope { protocol, content_type: content_type.to_owned(), metadata: None, payload: payload.to_vec() };
    let ids = &mut || "id".to_owned();

    for rules in [Rules::Published, Rules::Routed] {
        for to in SPOKEN {
            let translated = translate_by(rules, envelope.clone(), to, ids);
            assert_eq!(translated.protocol, to);
            assert!(
                translated.payload == payload || serde_json::from_slice::<IgnoredAny>(&translated.payload).is_ok(),
                "{rules:?} {to}: {}",
                String::from_utf8_lossy(&translated.payload)
            );
        }
    }
    if matches!(protocol, Protocol::A2a | Protocol::Mcp) {
        let back = translate(translate(envelope, Protocol::Slim, ids), protocol, ids);
        assert_eq!((back.content_type.as_str(), back.payload.as_slice()), ("application/json", payload));
    }
});
