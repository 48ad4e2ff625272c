#![no_main]
//! Reading never panics; what was changed changes nothing, and what follows is read as if it had not been there.

use libfuzzer_sys::fuzz_target;
use toq_channels::group::{Group, Received};
use toq_fuzz::channel::{edited, name, with_scene};

fuzz_target!(|input: (u8, Vec<(u16, u8)>, &[u8])| {
    let (which, edits, raw) = input;
    with_scene(|scene| {
        let mut group = Group::load(&scene.reader, &name(), &scene.memory).expect("readable").expect("a member");
        let before = group.authenticator().expect("an authenticator");
        let template = scene.blobs.get(usize::from(which)).map_or(raw, Vec::as_slice);
        let blob = edited(template, &edits);
        let is_whole = scene.blobs.contains(&blob);

        let (received, rows) = group.receive(&blob);
        assert!(is_whole || matches!(received, Received::Ignored(_) | Received::Refused(_)), "{received:?}");
        assert!(is_whole || rows.is_empty());
        assert!(is_whole || group.authenticator().expect("an authenticator") == before);

        let first = group.receive(&scene.blobs[0]).0;
        assert!(is_whole || matches!(first, Received::Message { .. }), "{first:?}");
        let commit = group.receive(&scene.blobs[2]).0;
        assert!(is_whole || matches!(commit, Received::Committed(_)), "{commit:?}");
    });
});
