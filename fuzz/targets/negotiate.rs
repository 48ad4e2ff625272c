#![no_main]
//! No extension is agreed on that the peer did not name.

use libfuzzer_sys::fuzz_target;
use toq_protocol::Json;
use toq_protocol::negotiate::{Extensions, read_request, read_response, response};

fuzz_target!(|text: &str| {
    let Ok(body) = Json::parse(text) else { return };
    let agreed = [read_request(Some(&body)), read_response(Some(&body))];
    for extensions in agreed.into_iter().flatten() {
        let is_named = body.as_str().contains(r#""cumulative_ack":true"#);
        assert!(is_named || extensions == Extensions::default());
        assert_eq!(read_response(Some(&response(extensions))), Some(extensions));
    }
});
