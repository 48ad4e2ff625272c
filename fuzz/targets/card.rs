#![no_main]
//! A card that is accepted survives being sent on.

use libfuzzer_sys::fuzz_target;
use toq_fuzz::{ALICE, local};
use toq_protocol::{Card, Json};

fuzz_target!(|text: &str| {
    let key = local(ALICE).identity.public();
    let Ok(json) = Json::parse(text) else { return };
    let Ok(card) = Card::from_body(Some(&json), &key) else { return };
    assert_eq!(card.public_key, key.to_string());
    assert!(!card.name.is_empty());
    assert_eq!(Card::from_body(Some(&card.to_body()), &key).expect("it was accepted before"), card);
});
