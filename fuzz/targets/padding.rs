#![no_main]
//! What is framed comes out, a frame has one of few lengths, and nothing comes out that was not in it.

use libfuzzer_sys::fuzz_target;
use toq_channels::padding::{pad, padded_len, strip, unpad};

fuzz_target!(|data: &[u8]| {
    let bytes = &mut data.iter().cycle().copied();
    let frame = pad(data, |random| random.iter_mut().for_each(|byte| *byte = bytes.next().unwrap_or(7))).expect("inputs are small");
    assert_eq!(frame.len(), padded_len(data.len()));
    assert_eq!(unpad(&frame), Some(data));

    match unpad(data) {
        Some(message) => {
            assert_eq!(data.get(8..8 + message.len()), Some(message));
            assert_eq!(padded_len(message.len()), data.len());
        }
        None => assert_eq!(strip(data), data),
    }
});
