#![no_main]
//! Looking at a key package never panics; one that was changed is not added.

use libfuzzer_sys::fuzz_target;
use toq_channels::group::{Group, Intent, view_key_package};
use toq_fuzz::channel::{NOW, edited, name, with_scene};

fuzz_target!(|input: (bool, Vec<(u16, u8)>, &[u8])| {
    let (is_edited, edits, raw) = input;
    with_scene(|scene| {
        let package = if is_edited { edited(&scene.package, &edits) } else { raw.to_vec() };

        let viewed = view_key_package(&package);
        let mut group = Group::load(&scene.reader, &name(), &scene.memory).expect("readable").expect("a member");
        let staged = group.stage(&Intent::Add(vec![package.clone()]), None, NOW);

        assert!(staged.is_err() || viewed.is_ok());
        assert_eq!(staged.is_ok(), package == scene.package);
    });
});
