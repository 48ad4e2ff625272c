//! A relay with a certificate, and with keys that are not kept well, as a process.

mod relays;

use std::fs::{Permissions, set_permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use relays::{Relay, block_on, text, toq};
use serde_json::Value;
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

#[test]
fn a_certificate_as_openssl_makes_it_by_default_is_warned_of_and_the_command_in_the_warning_makes_one_that_members_take() {
    if Command::new("openssl").arg("version").output().is_err() {
        let mut out = std::io::stdout().lock();
        writeln!(out, "there is no openssl: nothing is proven here").expect("prints");
        return;
    }
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("relay");
        std::fs::create_dir(&data).expect("ours");
        let run = |script: &str| {
            let done = Command::new("sh").args(["-c", script]).output().expect("it runs");
            assert!(done.status.success(), "{script}: {}", text(&done.stderr));
        };
        let settings = |certificate: &Path, key: &Path| {
            std::fs::write(data.join("relay.toml"), format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")).expect("ours");
        };
        let warnings = || {
            let arguments =
                ["--json", "relay", "up", "--data", data.to_str().expect("utf-8"), "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"];
            let up = toq(&arguments);
            let answer: Value = serde_json::from_slice(&up.stdout).unwrap_or_else(|_| panic!("{}", text(&up.stderr)));
            assert!(toq(&["relay", "down", "--data", data.to_str().expect("utf-8")]).status.success());
            answer["warnings"].as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect::<Vec<_>>()
        };
        let (certificate, key) = (dir.path().join("usual.crt"), dir.path().join("usual.key"));
        run(&format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {} -out {}",
            key.display(),
            certificate.display()
        ));
        settings(&certificate, &key);

        let warned = warnings();
        assert!(warned.len() == 1 && warned[0].contains("CA:TRUE"), "{warned:?}");
        run(&warned[0][warned[0].rfind("openssl req").expect("a command")..]);
        let good = (data.join("tls.crt"), data.join("tls.key"));
        settings(&good.0, &good.1);

        assert_eq!(warnings(), [""; 0]);
        let relay = Relay::start(&data, &[]);
        let ca = std::fs::read(&good.0).expect("it is there");
        let trusting = Options { ca: Some(ca), ..Options::new(format!("https://localhost:{}", relay.grpc.port())) };
        assert!(Link::open(trusting).await.is_ok());
    });
}
