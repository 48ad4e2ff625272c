#![no_main]
//! The head of a message is read from the message's beginning alone.

use libfuzzer_sys::fuzz_target;
use toq_channels::frame::{FrameError, peek};

fuzz_target!(|data: &[u8]| {
    let read = peek(data);
    let longer = [data, &[0xff; 8]].concat();
    match read {
        Ok(frame) => {
            assert!(data.windows(frame.group_id.len().max(1)).any(|window| window == frame.group_id) || frame.group_id.is_empty());
            assert_eq!(peek(&longer), Ok(frame));
        }
        // It would go on.
        Err(FrameError::Truncated) => {}
        Err(error) => assert_eq!(peek(&longer), Err(error)),
    }
});
