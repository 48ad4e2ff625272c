//! A relay with a certificate, and with keys that are not kept well, as a process.

mod relays;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use relays::{Relay, block_on, text, toq};
use toq_dataplane::{Event, Link, LinkError, Options};

/// Certificate and key of a fresh agent: as good as any that somebody signed himself.
fn certificate(home: &Path) -> (PathBuf, PathBuf) {
    let keys = home.join("keys");
    toq_vault::Keys::open(&keys).expect("made");
    (keys.join("tls_cert.pem"), keys.join("tls_key.pem"))
}

fn refused(data: &Path) -> String {
    let up = toq(&["relay", "up", "--data", data.to_str().expect("utf-8"), "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]);
    assert!(!up.status.success(), "it started");
    text(&up.stderr)
}

#[test]
fn members_reach_a_relay_with_a_certificate_and_know_another_one() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let (certificate, key) = certificate(dir.path());
        let data = dir.path().join("relay");
        std::fs::create_dir(&data).expect("ours");
        let settings = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        std::fs::write(data.join("relay.toml"), settings).expect("ours");
        let relay = Relay::start(&data, &[]);

        let ca = std::fs::read(&certificate).expect("it is there");
        let trusting = Options { ca: Some(ca), ..Options::new(format!("https://localhost:{}", relay.grpc.port())) };
        let (link, mut incoming) = Link::open(trusting).await.expect("it lets us in");
        assert!(relays::publish(&link, 7).await);
        assert!(matches!(incoming.next().await, Some(Event::Accepted { seq: 1, .. })));
        let strange = Link::open(Options::new(format!("https://localhost:{}", relay.grpc.port()))).await.err();
        assert!(matches!(&strange, Some(LinkError::Unreachable { detail, .. }) if detail.contains("ca_file")), "{strange:?}");
        assert!(relay.down().status.success());

        set_permissions(&key, Permissions::from_mode(0o644)).expect("ours");
        let complaint = refused(&data);
        assert!(complaint.contains(&format!("chmod o= {}", key.display())), "{complaint}");
        set_permissions(&key, Permissions::from_mode(0o600)).expect("ours");
        std::fs::write(&certificate, "nothing of the kind").expect("ours");
        assert!(refused(&data).contains("no certificate"), "{}", refused(&data));
    });
}

#[test]
fn a_relay_whose_keys_others_can_read_does_not_start_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Relay::start(dir.path(), &[]));
    let path = dir.path().join("token.key");
    set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");

    let complaint = refused(dir.path());
    assert!(complaint.contains(&format!("chmod 600 {}", path.display())), "{complaint}");

    set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
    let secret = dir.path().join("shared.secret");
    std::fs::write(&secret, "a secret that two servers share!\n").expect("ours");
    set_permissions(&secret, Permissions::from_mode(0o604)).expect("ours");
    std::fs::write(dir.path().join("relay.toml"), format!("hs256_secret_file = {secret:?}\n")).expect("ours");
    let complaint = refused(dir.path());
    assert!(complaint.contains(&format!("chmod o= {}", secret.display())), "{complaint}");

    set_permissions(&secret, Permissions::from_mode(0o640)).expect("ours");
    assert!(Relay::start(dir.path(), &[]).pid > 0);
}
