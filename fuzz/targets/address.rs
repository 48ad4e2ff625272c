#![no_main]
//! An address that parses is written and read back as itself; one that passes the strict rules has one wire text and
//! one key.

use libfuzzer_sys::fuzz_target;
use toq_protocol::Address;

fuzz_target!(|text: &str| {
    let Ok(address) = Address::parse(text) else {
        assert!(Address::parse_strict(text).is_err(), "strict rules accept what lenient ones refuse");
        return;
    };
    assert_eq!(Address::parse(&address.written()).as_ref(), Ok(&address));
    assert!(address.key().starts_with("toq://"));

    if let Ok(strict) = Address::parse_strict(text) {
        assert_eq!(strict, address);
        let again = Address::parse(&strict.wire()).expect("wire text is an address");
        assert_eq!(again.wire(), strict.wire());
        let again = Address::parse(&strict.key()).expect("a key is an address");
        assert_eq!(again.key(), strict.key());
    }
});
