//! Starts that cannot work: each says why, with the right exit code, and spoils nothing.

mod world;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use world::{World, toq};

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn a_second_start_says_that_the_first_is_running() {
    let world = World::new();
    let alice = world.agent("alice", &[]);

    let second = world.up(&alice.place);

    assert_eq!(second.status.code(), Some(75), "{}", said(&second));
    assert_eq!(alice.get("/v1/health").status, 200);
}

#[test]
fn the_log_itself_keeps_a_second_daemon_out() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    fs::remove_file(alice.place.join(".toq/state.json")).expect("there");

    let second = world.up(&alice.place);

    assert_eq!(second.status.code(), Some(75), "{}", said(&second));
    assert_eq!(alice.get("/v1/health").status, 200);
    let pid = fs::read_to_string(alice.place.join(".toq/toq.pid")).expect("there");
    assert!(std::process::Command::new("kill").arg(pid.trim()).status().expect("kill").success());
}

#[test]
fn a_taken_port_is_named() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let place = world.workspace("alice", &[("port", &port)]);

    let output = world.up(&place);

    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&port), "{}", said(&output));
}

#[test]
fn a_key_that_others_can_read_stops_the_start_with_the_command_that_mends_it() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let place = alice.place.clone();
    drop(alice);
    let key = place.join(".toq/keys/identity.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("chmod");

    let output = world.up(&place);

    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("chmod 600"), "{}", said(&output));
}

#[test]
fn a_damaged_log_is_named_and_other_workspaces_run_on() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", &[]), world.agent("bob", &[]));
    let place = alice.place.clone();
    drop(alice);
    fs::write(place.join(".toq/state.redb"), vec![0xAB; 65_536]).expect("writes");

    let output = world.up(&place);

    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("state.redb"), "{}", said(&output));
    assert_eq!(bob.get("/v1/health").status, 200);
}

#[test]
fn a_mistyped_setting_is_found_with_its_place_and_the_nearest_key() {
    let world = World::new();
    let place = world.workspace("alice", &[]);
    let config = place.join(".toq/config.toml");
    let text = fs::read_to_string(&config).expect("reads");
    fs::write(&config, format!("conection_mode = \"open\"\n{text}")).expect("writes");

    let output = world.up(&place);

    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("connection_mode") && said(&output).contains("config.toml:1:1"), "{}", said(&output));
}

#[test]
fn an_unknown_mode_is_refused_and_never_stored() {
    let world = World::new();
    let place = world.workspace("alice", &[]);

    let output = toq(&world.home(), &place, &["config", "set", "connection_mode", "friends"]);

    assert!(!output.status.success());
    assert!(!fs::read_to_string(place.join(".toq/config.toml")).expect("reads").contains("friends"));
}

#[test]
fn private_files_are_private_and_a_clean_stop_leaves_no_state() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let place = alice.place.join(".toq");
    for name in ["state.json", "state.redb", "keys/identity.key", "keys/tls_key.pem"] {
        let mode = fs::metadata(place.join(name)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }

    drop(alice);

    assert!(!place.join("state.json").exists() && !place.join("toq.pid").exists());
}

#[test]
fn a_lost_identity_key_is_not_replaced_unless_its_owner_says_so() {
    let world = World::new();
    let place = world.workspace("bob", &[]);
    let home = world.home();
    let bob = world.start_with("bob", &place, &[]);
    let before = bob.get("/v1/status").json()["public_key"].clone();
    assert!(bob.toq(&["down"]).status.success());
    let key = place.join(".toq/keys/identity.key");
    let copy = std::fs::read(&key).expect("there");
    std::fs::remove_file(&key).expect("ours");

    for arguments in [&["up"][..], &["send", "toq://127.0.0.1:1/x", "hi"]] {
        let refused = world::toq(&home, &place, arguments);
        assert!(!refused.status.success() && said(&refused).contains("the identity key is gone"), "{refused:?}");
        assert!(!key.exists(), "nothing is made in its place");
    }
    let doctor = said(&world::toq(&home, &place, &["doctor"]));
    assert!(doctor.contains("[!!] keys: the identity key is gone") && doctor.contains("--new-identity"), "{doctor}");

    std::fs::write(&key, &copy).expect("ours");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    let refused = world::toq(&home, &place, &["up", "--new-identity"]);
    assert!(!refused.status.success() && said(&refused).contains("toq rotate-keys"), "a key that is there is kept: {refused:?}");
    let bob = world.start_with("bob", &place, &[]);
    assert_eq!(bob.get("/v1/status").json()["public_key"], before);
    assert!(bob.toq(&["down"]).status.success());
    std::fs::remove_file(&key).expect("ours");
    let up = world::toq(&home, &place, &["up", "--new-identity"]);
    assert!(up.status.success(), "{up:?}");
    assert!(world::toq(&home, &place, &["down"]).status.success());
}
