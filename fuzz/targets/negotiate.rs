#![no_main]
//! No extension is agreed on that the peer did not name, and what is agreed reads back the same.

use libfuzzer_sys::fuzz_target;
use toq_protocol::Json;
use toq_protocol::negotiate::{Extensions, Offer, read_reject, read_request, read_response, response};

fuzz_target!(|text: &str| {
    let Ok(body) = Json::parse(text) else { return };
    let _any_reason = read_reject(Some(&body));
    for offer in [read_request(Some(&body)), read_response(Some(&body))].into_iter().flatten() {
        let names_one = body.as_str().contains(r#"":true"#);
        assert!(names_one || offer.extensions == Extensions::default());
        let digest = offer.channel_binding.clone().unwrap_or_default();
        let again = Offer { channel_binding: Some(digest.clone()), ..offer };
        assert_eq!(read_response(Some(&response(again.extensions, again.streaming, &digest))), Some(again));
    }
});
