#![no_main]
//! The records of a domain, one a line: whatever they say, an agent that is found has one key, a usable port and a name,
//! and its record is read back from what we would write.

use libfuzzer_sys::fuzz_target;
use toq_protocol::dns::{self, Answer, MAX_RECORD, MAX_RECORDS, Record};

fuzz_target!(|input: &[u8]| {
    let texts: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let is_within = texts.len() <= MAX_RECORDS && texts.iter().all(|text| text.len() <= MAX_RECORD);
    let answer = Answer::read(&texts);
    assert_eq!(answer.is_ok(), is_within);

    for found in answer.map(|answer| answer.agents()).unwrap_or_default() {
        assert_ne!(found.port, 0);
        let written = Record::announcing(&found.agent, &found.key, found.port).to_string();
        let again = Answer::read([written]).expect("short");
        assert_eq!(again.find(&found.agent), Ok(Some(found)));
    }

    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(name) = dns::query_name(text) {
        assert!(name.len() <= 254 && name.is_ascii() && name.ends_with('.'), "{name}");
        assert_eq!(dns::query_name(name.trim_start_matches("_toq._tcp.")).as_deref(), Some(name.as_str()));
    }
});
