#![no_main]
//! What is no whole Welcome joins nothing and uses nothing up.

use libfuzzer_sys::fuzz_target;
use toq_channels::group::Group;
use toq_fuzz::channel::{edited, name, with_scene};

fuzz_target!(|input: (bool, Vec<(u16, u8)>, &[u8])| {
    let (is_edited, edits, raw) = input;
    with_scene(|scene| {
        let welcome = if is_edited { edited(&scene.welcome, &edits) } else { raw.to_vec() };

        let joined = Group::join(&scene.guest, &name(), &welcome, &scene.guest_memory);

        assert_eq!(joined.is_ok(), welcome == scene.welcome);
    });
});
