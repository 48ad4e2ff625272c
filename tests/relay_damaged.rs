//! A relay whose file is damaged, as a process: whoever asks is told, and the file is left to its owner.

mod relays;

use std::path::Path;

use relays::{Relay, text, toq};

const PAGE: usize = 4096;

fn at(data: &Path, arguments: &[&str]) -> std::process::Output {
    toq(&[&["relay"], arguments, &["--data", data.to_str().expect("utf-8")]].concat())
}

/// Writes the file anew, with one page that is none.
fn damage(file: &Path, whole: &[u8], page: usize) {
    let mut bytes = whole.to_vec();
    bytes[page * PAGE..(page + 1) * PAGE].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * at / 7 + page) as u8);
    std::fs::write(file, bytes).expect("ours");
}

#[test]
fn whichever_page_is_damaged_a_command_does_what_it_is_asked_or_says_what_is_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Relay::start(dir.path(), &[]).down().status.success());
    for arguments in [&["account", "create", "ann@example.org"][..], &["channel", "create", "a/b/c"], &["invite", "create", "a/b/c"]] {
        let made = at(dir.path(), arguments);
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    let file = dir.path().join("relay.redb");
    let whole = std::fs::read(&file).expect("there");

    let mut told = 0;
    for page in 0..whole.len() / PAGE {
        // One after the other: all pages with all commands would take a minute.
        let commands = [&["key", "list"][..], &["key", "create"], &["invite", "list", "a/b/c"]];
        damage(&file, &whole, page);
        let asked = at(dir.path(), commands[page % commands.len()]);
        let said = text(&asked.stderr);
        assert!(!said.contains("panicked"), "page {page}: {said}");
        if !asked.status.success() {
            told += 1;
            assert_eq!(asked.status.code(), Some(1), "page {page}: {said}");
            assert!(said.starts_with("error: ") && said.contains("damaged") && said.contains("bring back a copy"), "page {page}: {said}");
        }
    }
    assert!(told > 0);

    damage(&file, &whole, 0);
    let up = at(dir.path(), &["up", "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]);
    let said = text(&up.stderr);
    assert_eq!(up.status.code(), Some(1), "{said}");
    assert!(said.contains("relay.redb is damaged") && said.contains("bring back a copy") && !said.contains("panicked"), "{said}");

    std::fs::write(&file, whole).expect("back");
    let listed = text(&at(dir.path(), &["account", "list"]).stdout);
    assert!(listed.contains("ann@example.org"), "{listed}");
}
