#![no_main]
//! A settled JSON value is printed, read and printed again as the same text.

use libfuzzer_sys::fuzz_target;
use toq_protocol::Json;

fuzz_target!(|text: &str| {
    let Ok(json) = Json::parse(text) else { return };
    let _ = (json.text(), json.with_plain_exponents());

    let settled = json.settled();
    let again = Json::parse(settled.as_str()).expect("canonical text is JSON");
    assert_eq!(again.as_str(), settled.as_str());
    assert_eq!(again.digest(), settled.digest());
    assert_eq!(Json::parse(settled.with_plain_exponents().as_str()).expect("plain text is JSON").as_str(), settled.as_str());
});
