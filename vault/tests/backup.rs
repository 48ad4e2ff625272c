//! What the vault promises about backups: whose it opens, what it refuses, and before what it costs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use toq_protocol::address::Address;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::policy::{Pattern, Proof, Ruling, Subject};
use toq_protocol::rotation::Succession;
use toq_protocol::time::Timestamp;
use toq_vault::backup::{BackupError, Bundle, Form, KnownPeer, LogRecord, MAX_FILE, Passphrase, Pin, Proven, Strength, Trust, open, seal};
use zeroize::Zeroizing;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/backup.json")).expect("JSON")
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).expect("not empty")
}

fn peer() -> PeerKey {
    Identity::from_seed(&[9; 32]).public()
}

fn bundle() -> Bundle {
    let at = Timestamp::parse("2026-11-21T01:02:03.000000004Z").expect("a time");
    Bundle {
        seed: Zeroizing::new([7; 32]),
        tls_cert: "the certificate".to_owned(),
        tls_key: Zeroizing::new("the key".to_owned()),
        config: Zeroizing::new("agent_name = \"bob\"\n".to_owned()),
        handlers: Some(Zeroizing::new("[a]\n".to_owned())),
        rules: Some(vec![(Subject::Key(peer()), Ruling::Approve), (Subject::Address(Pattern::new("toq://bad.example/*")), Ruling::Block)]),
        peers: vec![KnownPeer { key: peer(), address: "toq://h/a".to_owned(), first_seen: at, last_seen: at }],
        trust: trust(at),
        rotations: Some("{\"counter\":3,\"proofs\":[]}".to_owned()),
        log: vec![LogRecord { table: "messages".to_owned(), parts: vec![vec![0, 1, 255], Vec::new()] }],
    }
}

fn trust(at: Timestamp) -> Trust {
    let address = Address::parse("toq://h.example/a").expect("an address");
    let new = Identity::from_seed(&[8; 32]).public();
    Trust {
        pins: vec![Pin { address, key: peer(), proof: Proof::Dialled, since: at }],
        proven: vec![Proven { key: peer(), proof: Proof::Pinned, binds: true }],
        successions: vec![(peer(), Succession { new, counter: 2, retires_at: at })],
    }
}

fn refusal(file: &Value, strength: Strength) -> BackupError {
    open(file.to_string().as_bytes(), &passphrase("x"), strength).expect_err("refused")
}

/// Our form with another header.
fn with_header(change: impl FnOnce(&mut Value)) -> Value {
    let mut header = json!({"version": 1, "cipher": "aes-256-gcm", "kdf": "argon2id", "memory_kib": 65_536, "iterations": 3,
        "parallelism": 1, "salt": STANDARD.encode([1; 16]), "nonce": STANDARD.encode([2; 12])});
    change(&mut header);
    json!({"toq_backup": header.to_string(), "data": STANDARD.encode([0; 64])})
}

#[test]
fn a_backup_of_the_published_daemon_is_opened() {
    let vectors = vectors();
    let wrapper = vectors["wrapper"].to_string();

    let opened = open(wrapper.as_bytes(), &passphrase("correct horse battery staple"), Strength::Strong).expect("opens");

    let plain: Value = serde_json::from_str(vectors["plaintext_utf8"].as_str().expect("text")).expect("JSON");
    assert_eq!(opened.form, Form::Published);
    assert_eq!(STANDARD.encode(opened.bundle.seed.as_slice()), plain["identity_key"]);
    assert_eq!(opened.bundle.identity().public().to_string(), "ed25519:uvxxvq06xeS2PpyCFu5xo0quxlci7tvKcotOmzzM45Y=");
    assert_eq!(*opened.bundle.config, plain["config"]);
    assert_eq!((opened.bundle.tls_cert.as_str(), opened.bundle.tls_key.as_str()), ("PLACEHOLDER CERTIFICATE\n", "PLACEHOLDER TLS KEY\n"));
    assert!(opened.bundle.peers.is_empty() && opened.bundle.rules.is_none());
}

#[test]
fn what_protects_too_little_is_opened_only_for_an_owner_who_says_so() {
    let legacy = vectors()["legacy"].clone();
    let plain = legacy["plaintext_utf8"].as_str().expect("text");
    let hashed = legacy["wrapper"].to_string();
    let given = passphrase(legacy["passphrase"].as_str().expect("text"));

    for (file, form) in [(hashed.as_str(), Form::Hashed), (plain, Form::Plain)] {
        let refused = open(file.as_bytes(), &given, Strength::Strong).expect_err("nobody said so");
        assert_eq!(refused, BackupError::Weak(form));
        let opened = open(file.as_bytes(), &given, Strength::Any).expect("somebody did");
        assert_eq!((opened.form, opened.bundle.config.as_str()), (form, "agent_name = \"bob\"\n"));
    }
}

#[test]
fn what_was_sealed_is_opened_again_whole() {
    let file = seal(&bundle(), &passphrase("words")).expect("seals");

    let opened = open(file.as_bytes(), &passphrase("words"), Strength::Strong).expect("opens");

    let (got, expected) = (opened.bundle, bundle());
    assert_eq!(opened.form, Form::Ours);
    assert_eq!(*got.seed, *expected.seed);
    assert_eq!(
        (got.tls_cert, got.tls_key, got.config, got.handlers),
        (expected.tls_cert, expected.tls_key, expected.config, expected.handlers)
    );
    assert_eq!((got.rules, got.peers, got.log), (expected.rules, expected.peers, expected.log));
    assert_eq!((got.trust, got.rotations), (expected.trust, expected.rotations));
}

#[test]
fn a_wrong_passphrase_and_any_changed_part_have_one_answer() {
    let file: Value = serde_json::from_str(&seal(&bundle(), &passphrase("words")).expect("seals")).expect("JSON");
    let open = |file: &Value, words: &str| open(file.to_string().as_bytes(), &passphrase(words), Strength::Any).map(|_| ());
    let mut data = STANDARD.decode(file["data"].as_str().expect("text")).expect("base64");
    let middle = data.len() / 2;
    data[middle] ^= 1;
    let mut changed = vec![file.clone(); 3];
    changed[0]["data"] = Value::from(STANDARD.encode(&data));
    changed[1]["data"] = Value::from(STANDARD.encode(&data[..10]));
    // A space in the header means the same to a reader of JSON, and is refused all the same.
    changed[2]["toq_backup"] = Value::from(file["toq_backup"].as_str().expect("text").replacen(',', ", ", 1));

    assert_eq!(open(&file, "words"), Ok(()));
    assert_eq!(open(&file, "other words"), Err(BackupError::Unopened));
    for file in &changed {
        assert_eq!(open(file, "words"), Err(BackupError::Unopened), "{file}");
    }
    let mut published = vectors()["wrapper"].clone();
    assert_eq!(refusal(&published, Strength::Strong), BackupError::Unopened);
    published["data"] = Value::from("AAAA");
    assert_eq!(refusal(&published, Strength::Strong), BackupError::Unopened);
}

/// Each of these would take minutes or gigabytes if it were computed.
#[test]
fn a_header_that_asks_for_too_much_is_refused_before_it_costs_anything() {
    for (name, value) in [
        ("memory_kib", json!(4_294_967_295_u64)),
        ("memory_kib", json!(1)),
        ("iterations", json!(1_u64 << 31)),
        ("iterations", json!(0)),
        ("parallelism", json!(255)),
    ] {
        let refused = refusal(&with_header(|header| header[name] = value.clone()), Strength::Any);
        assert!(matches!(refused, BackupError::Cost { name: found, .. } if found == name), "{name} {value}: {refused:?}");
    }
    for (name, value) in [
        ("memory_kib", json!(1_u64 << 42)),
        ("salt", Value::from("A".repeat(64 << 20))),
        ("salt", Value::from("AAAA")),
        ("nonce", Value::from("A".repeat(1 << 20))),
        ("kdf", json!("pbkdf2")),
        ("cipher", json!("none")),
        ("extra", json!(1)),
    ] {
        let refused = refusal(&with_header(|header| header[name] = value), Strength::Any);
        assert!(matches!(refused, BackupError::Malformed(_)), "{name}: {refused:?}");
    }
}

#[test]
fn a_later_version_is_named_whatever_its_header_looks_like() {
    let file = json!({"toq_backup": json!({"version": 2, "kdf": {"name": "argon3"}}).to_string(), "data": ""});

    assert_eq!(refusal(&file, Strength::Any), BackupError::Version { found: 2, known: 1 });
}

#[test]
fn a_file_over_the_limit_is_not_even_looked_at() {
    let size = MAX_FILE + 1;
    let refused = open(&vec![b' '; size], &passphrase("x"), Strength::Any).expect_err("too large");

    assert_eq!(refused, BackupError::TooLarge { size });
}

#[test]
fn what_is_missing_is_named_in_the_published_words() {
    let whole =
        json!({"encrypted": true, "kdf": "argon2id", "salt": STANDARD.encode([1; 16]), "nonce": STANDARD.encode([2; 12]), "data": ""});
    for name in ["salt", "nonce", "data"] {
        let mut file = whole.clone();
        file.as_object_mut().expect("an object").remove(name);
        assert_eq!(refusal(&file, Strength::Any).to_string(), format!("Missing {name} in backup"));
    }
    let plain = json!({"identity_key": STANDARD.encode([1; 32]), "tls_cert": "c", "tls_key": "k", "config": ""});
    for name in ["identity_key", "tls_cert", "tls_key", "config"] {
        let mut file = plain.clone();
        file.as_object_mut().expect("an object").remove(name);
        assert_eq!(refusal(&file, Strength::Any).to_string(), format!("Missing {name} in backup"));
    }
    for file in ["", "[]", "nonsense", "{\"encrypted\":", "{\"encrypted\":\"yes\"}"] {
        let refused = open(file.as_bytes(), &passphrase("x"), Strength::Any).expect_err("not a backup");
        assert!(refused.to_string().starts_with("Invalid backup data: "), "{file}: {refused}");
    }
}

#[test]
fn neither_errors_nor_debug_output_tell_a_secret() {
    let secret = "canary-passphrase";
    let given = passphrase(secret);
    let plain = json!({"identity_key": "canary-seed", "tls_cert": "c", "tls_key": "canary-key", "config": "", "peers": "canary-peers"});
    let texts = [
        format!("{given:?}"),
        format!("{:?}", bundle()),
        format!("{:?}", open(plain.to_string().as_bytes(), &given, Strength::Any)),
        format!("{:?}", open(b"{\"encrypted\": \"canary-value\"}", &given, Strength::Any)),
    ];

    for text in texts {
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(Passphrase::new(String::new()).map(|_| ()), Err(BackupError::NoPassphrase));
}
