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
            // A large frame has one byte more before its head.
            let head = if data.len() > 32_768 { 9 } else { 8 };
            assert_eq!(data.get(head..head + message.len()), Some(message));
            assert!(data.len() > 32_768 || padded_len(message.len()) == data.len());
        }
        None => assert_eq!(strip(data), data),
    }
});
