#![no_main]
//! The same frames come out however the bytes are cut, and never one over the limit.

use libfuzzer_sys::fuzz_target;
use toq_protocol::frame::{Decoder, encode};

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (cut, limit, data) = input;
    let (step, limit) = (usize::from(cut).max(1), usize::from(limit));

    let mut whole = Decoder::new();
    whole.push(data);
    let expected = drain(&mut whole, limit);

    let mut pieces = Decoder::new();
    let mut frames = Vec::new();
    for piece in data.chunks(step) {
        pieces.push(piece);
        let (more, is_broken) = drain(&mut pieces, limit);
        frames.extend(more);
        if is_broken {
            assert_eq!((frames, true), expected);
            return;
        }
    }
    assert_eq!((frames, false), expected);

    let mut decoder = Decoder::new();
    decoder.push(&encode(data).expect("inputs are small"));
    assert_eq!(decoder.next_frame(data.len()).expect("exactly at the limit").as_deref(), Some(data));
    assert_eq!(decoder.buffered(), 0);
});

fn drain(decoder: &mut Decoder, limit: usize) -> (Vec<Vec<u8>>, bool) {
    let mut frames = Vec::new();
    loop {
        match decoder.next_frame(limit) {
            Ok(Some(frame)) => {
                assert!(frame.len() <= limit);
                frames.push(frame.to_vec());
            }
            Ok(None) => return (frames, false),
            Err(oversized) => {
                assert!(oversized.length > limit);
                return (frames, true);
            }
        }
    }
}
