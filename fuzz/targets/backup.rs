#![no_main]
//! A file that is no backup costs little, and one that opens is sealed and opened again the same.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use toq_vault::backup::{Passphrase, Strength, open, seal};

static PASSPHRASE: LazyLock<Passphrase> = LazyLock::new(|| Passphrase::new("correct horse battery staple".to_owned()).expect("not empty"));

fuzz_target!(|file: &[u8]| {
    let Ok(opened) = open(file, &PASSPHRASE, Strength::Any) else { return };
    let sealed = seal(&opened.bundle, &PASSPHRASE).expect("what was read is small enough to be written");
    let again = open(sealed.as_bytes(), &PASSPHRASE, Strength::Strong).expect("it was sealed by us").bundle;
    assert_eq!(*again.seed, *opened.bundle.seed);
    assert_eq!((again.peers, again.log), (opened.bundle.peers, opened.bundle.log));
});
