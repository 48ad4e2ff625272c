//! What a daemon that has started gives back to its host.

#![cfg(target_os = "linux")]

mod world;

use std::fs;

use world::{World, eventually};

#[test]
fn a_daemon_that_serves_gives_back_the_code_of_its_start_and_goes_on_serving() {
    let world = World::new();
    let alice = world.agent("alice", &[("log_level", "debug")]);
    let logs = alice.place.join(".toq/logs");

    let told = eventually("the log names what was given back", || {
        let files = fs::read_dir(&logs).expect("logs").filter_map(|file| fs::read_to_string(file.expect("a file").path()).ok());
        files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).find(|line| line.contains("is unmapped"))
    });

    let (_, bytes) = told.split_once("bytes").expect("a size");
    let bytes: String = bytes.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    assert!(bytes.parse::<u64>().expect("a number") > 0, "{told}");
    assert_eq!(alice.get("/v1/status").status, 200);
    let kept = alice.post("/v1/messages?wait=false", r#"{"to":"toq://127.0.0.1:1/bob","body":{"text":"later"}}"#);
    assert_eq!(kept.status, 202, "{}", kept.body);
}
