#![no_main]
//! What is read is written and read again as the same, in printable ASCII, and never with a header over the limit.

use libfuzzer_sys::fuzz_target;
use toq_channels::envelope::{Envelope, EnvelopeError, MAX_HEADER};

fuzz_target!(|data: &[u8]| {
    let Ok(envelope) = Envelope::decode(data) else { return };
    let written = match envelope.encode() {
        Ok(written) => written,
        // Escapes take more room than what they stand for.
        Err(EnvelopeError::HeaderLength(length)) => return assert!(length > MAX_HEADER),
        Err(other) => panic!("{other}"),
    };
    let header = &written[4..written.len() - envelope.payload.len()];
    assert!(header.len() <= MAX_HEADER && header.iter().all(|byte| (b' '..0x7f).contains(byte)));

    let read = Envelope::decode(&written).expect("we write envelopes");
    assert_eq!(read.encode().expect("as long as before"), written);
    assert_eq!((read.protocol, &read.content_type, &read.payload), (envelope.protocol, &envelope.content_type, &envelope.payload));
});
