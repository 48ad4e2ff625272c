//! What is not acceptable is refused with the documented text, and nothing is lost by it.

mod world;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use toq_member::mock::Relay as Mock;
use toq_member::{Admission, Client, Kind, Relay, Settings, Who};
use world::{NAME, invite, member, pair, refused, settings, texts};

#[tokio::test]
async fn names_that_are_none_are_refused_in_the_published_words() {
    let alice = member(&Mock::new(), "alice", None).await;

    for bad in ["bad-name", "", "a/b", "a//b", "/a/b", "a/b/", "a/b/ü", "a b/c/d", &format!("a/b/{}", "c".repeat(300))] {
        let (kind, text) = refused(alice.create_channel(bad, Admission::Any).await);
        assert_eq!(kind, Kind::ChannelName, "{bad}");
        assert!(text.starts_with("invalid channel name: ") && text.ends_with("(expected org/namespace/service)"), "{text}");
    }
    assert_eq!(refused(alice.channel("acme/team/none")).0, Kind::NotFound);
}

#[tokio::test]
async fn welcomes_and_key_packages_that_are_damaged_foreign_or_used_are_refused_and_change_nothing() {
    let relay = Mock::new();
    let (channel, _) = pair(&relay, None).await;
    let carol = member(&relay, "carol", None).await;
    let stranger = member(&relay, "stranger", None).await;
    let package = carol.key_package().await.expect("a key package");

    for garbage in [&b""[..], b"garbage", &package[..package.len() - 1], &[0; 4000]] {
        let (kind, text) = refused(channel.add_member(garbage).await);
        assert_eq!(kind, Kind::Mls, "{text}");
        assert!(text.starts_with("MLS engine error: "), "{text}");
        let (kind, text) = refused(carol.join_channel(NAME, garbage).await);
        assert_eq!(kind, Kind::Mls, "{text}");
        assert!(text.starts_with("MLS engine error: "), "{text}");
    }
    let welcome = channel.add_member(&package).await.expect("added");
    let (_, twice) = refused(channel.add_member(&package).await);
    let (_, foreign) = refused(stranger.join_channel(NAME, &welcome).await);
    let (_, elsewhere) = refused(carol.join_channel("acme/team/other", &welcome).await);

    assert!(twice.starts_with("MLS engine error: "), "{twice}");
    assert_eq!(foreign, "MLS engine error: MLS group error: WelcomeKeyPackageNotFound");
    assert!(elsewhere.contains("another channel"), "{elsewhere}");
    // None of it used anything up.
    let joined = carol.join_channel(NAME, &welcome).await.expect("joined");
    channel.send(b"fine").await.expect("sent");
    assert_eq!(texts(&joined, 1).await, ["fine"]);
    let (_, again) = refused(carol.join_channel(NAME, &welcome).await);
    assert!(again.contains("WelcomeKeyPackageNotFound"), "{again}");
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_one_at_the_limit_is_heard() {
    let relay = Mock::new();
    let (alice, bob) = pair(&relay, None).await;

    let (kind, text) = refused(alice.send(&vec![0; 262_145]).await);
    alice.send(&vec![7; 262_144]).await.expect("sent");

    assert_eq!((kind, text.as_str()), (Kind::TooLarge, "message too large: 262145 bytes exceeds 262144 byte limit"));
    assert_eq!(world::next(&bob).await.payload.len(), 262_144);
}

#[tokio::test]
async fn members_that_are_not_there_and_rights_that_are_not_there_are_refused() {
    let relay = Mock::new();
    let (alice, bob) = pair(&relay, None).await;
    let carol = invite(&alice, &member(&relay, "carol", None).await).await;
    world::event(&bob, "member_added").await;

    assert_eq!(refused(alice.remove_member(&Who::Leaf(77)).await).0, Kind::NotFound);
    assert_eq!(refused(alice.remove_member(&Who::Identity(b"nobody".to_vec())).await).0, Kind::NotFound);
    assert_eq!(refused(bob.remove_member(&Who::Identity(b"carol".to_vec())).await).0, Kind::Refused);
    assert_eq!(carol.members().len(), 3);
    for who in [Who::Leaf(1), Who::Identity(b"bob".to_vec())] {
        let (kind, text) = refused(bob.remove_member(&who).await);
        assert!(kind == Kind::Refused && text.contains("leave()"), "{text}");
    }
}

#[tokio::test]
async fn a_relay_that_is_not_there_keeps_nobody_from_speaking() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        data_dir: Some(dir.path().join("alice")),
        commit_timeout: Duration::from_millis(300),
        ..Settings::new(Relay::Endpoint("http://127.0.0.1:1".to_owned()), b"alice")
    };
    let alice = world::open(settings).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");

    channel.send(b"for later").await.expect("kept");
    let package = member(&Mock::new(), "bob", None).await.key_package().await.expect("a key package");
    let (kind, text) = refused(channel.add_member(&package).await);

    assert_eq!(kind, Kind::Transport);
    assert!(text.starts_with("transport error: ") && text.contains("127.0.0.1:1"), "{text}");
    assert!(!channel.flush(Duration::ZERO).await);
}

#[tokio::test]
async fn invites_without_an_api_server_say_what_is_missing() {
    let alice = member(&Mock::new(), "alice", None).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");

    let asked = [
        ("invite", refused(channel.invite(1, Duration::from_secs(60)).await)),
        ("join_with_token", refused(alice.join_with_token(NAME, "skt_inv_x", Duration::from_secs(1)).await)),
    ];
    for (call, (kind, text)) in asked {
        // What is documented, and then how to get one.
        assert!(kind == Kind::Refused && text.starts_with(&format!("{call}() requires api_key and api_url")), "{text}");
        assert!(text.contains("toq relay key create"), "{text}");
    }
}

#[tokio::test]
async fn directories_that_cannot_be_used_say_why() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let open = |identity: &str, name: &str| {
        let settings = Settings { data_dir: Some(dir.path().join(name)), ..settings(&relay, identity, None) };
        async move { Client::open(settings).await }
    };
    let alice = open("alice", "alice").await.expect("made");
    alice.create_channel(NAME, Admission::Any).await.expect("made");

    let (kind, twice) = refused(open("alice", "alice").await);
    assert!(kind == Kind::Storage && twice.contains("is open in this process already") && twice.contains("close()"), "{twice}");
    assert!(twice.starts_with("MLS engine error: storage error: "), "{twice}");
    alice.close().await;
    drop(alice);
    assert!(refused(open("mallory", "alice").await).1.contains("belongs to the identity \"alice\""));

    let key = dir.path().join("alice/workspace.key");
    let secret = std::fs::read(&key).expect("there");
    std::fs::write(&key, [0; 32]).expect("written");
    assert!(refused(open("alice", "alice").await).1.contains("sealed with another key"));
    std::fs::write(&key, b"short").expect("written");
    assert!(refused(open("alice", "alice").await).1.contains("damaged"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("opened");
    assert_eq!(refused(open("alice", "alice").await).0, Kind::Storage);
    std::fs::remove_file(&key).expect("removed");
    assert!(refused(open("alice", "alice").await).1.contains("missing"));
    toq_vault::write_private(&key, &secret).expect("back");
    let alice = open("alice", "alice").await.expect("nothing was lost");
    assert_eq!(alice.channels(), [NAME]);
    alice.close().await;

    let file = dir.path().join("alice/member.redb");
    let whole = std::fs::read(&file).expect("there");
    for page in 0..whole.len() / 4096 {
        let mut bytes = whole.clone();
        let noise = |at: usize| u8::try_from((at * at + at / 7 + page) % 251).expect("small");
        bytes[page * 4096..(page + 1) * 4096].iter_mut().enumerate().for_each(|(at, byte)| *byte = noise(at));
        std::fs::write(&file, bytes).expect("written");
        match open("alice", "alice").await {
            Ok(client) => {
                assert_eq!(client.channels(), [NAME], "page {page} is of no use, or it is missed");
                client.close().await;
            }
            Err(error) => assert_eq!(error.kind(), Kind::Storage, "page {page}: {error}"),
        }
    }
    std::fs::write(&file, whole).expect("back");
    let alice = open("alice", "alice").await.expect("nothing was lost");
    assert_eq!(alice.channels(), [NAME]);
    alice.close().await;

    std::fs::create_dir(dir.path().join("broken")).expect("made");
    std::fs::set_permissions(dir.path().join("broken"), std::fs::Permissions::from_mode(0o700)).expect("closed");
    std::fs::write(dir.path().join("broken/member.redb"), [7; 10_000]).expect("written");
    toq_vault::write_private(&dir.path().join("broken/workspace.key"), &[1; 32]).expect("written");
    assert_eq!(refused(open("bob", "broken").await).0, Kind::Storage);
}

#[tokio::test]
async fn a_state_that_is_gone_is_not_replaced_by_a_new_agent_in_silence() {
    for (passphrase, name) in [(None, "workspace.key"), (Some("correct horse"), "workspace.salt")] {
        let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
        let with =
            || Settings { passphrase: passphrase.map(|text: &str| text.to_owned().into()), ..settings(&relay, "alice", Some(dir.path())) };
        let (key, file) = (dir.path().join("alice").join(name), dir.path().join("alice/member.redb"));
        world::open(with()).await.close().await;
        let first = std::fs::read(&key).expect("there");

        std::fs::write(&file, b"").expect("emptied");
        let emptied = Client::open(with()).await.expect_err("refused");
        std::fs::remove_file(&file).expect("removed");
        let removed = Client::open(with()).await.expect_err("refused");

        for error in [emptied, removed] {
            assert_eq!((error.kind(), error.code()), (Kind::Storage, Some("state_lost")));
            let text = error.to_string();
            assert!(text.contains("member.redb is missing or empty") && text.contains(&format!("delete {}", key.display())), "{text}");
        }
        assert!(!file.exists(), "nothing was made");
        std::fs::remove_file(&key).expect("on purpose");
        world::open(with()).await.close().await;
        assert_ne!(std::fs::read(&key).expect("there"), first);
    }
}

#[tokio::test]
async fn a_first_opening_that_was_cut_off_is_made_again() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let home = dir.path().join("alice");
    let (key, begun, file) = (home.join("workspace.key"), home.join("workspace.key.first"), home.join("member.redb"));
    world::open(settings(&relay, "alice", Some(dir.path()))).await.close().await;
    assert!(!begun.exists());

    // Cut off when the store was made; then before it was there; then while it was empty.
    std::fs::rename(&key, &begun).expect("moved");
    world::open(settings(&relay, "alice", Some(dir.path()))).await.close().await;
    assert!(key.exists() && !begun.exists());
    for empty in [false, true] {
        std::fs::rename(&key, &begun).expect("moved");
        std::fs::remove_file(&file).expect("removed");
        if empty {
            std::fs::write(&file, b"").expect("written");
        }
        world::open(settings(&relay, "alice", Some(dir.path()))).await.close().await;
        assert!(key.exists() && !begun.exists());
    }
}

#[tokio::test]
async fn a_file_is_no_directory_for_a_state() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    std::fs::write(dir.path().join("alice"), b"something else").expect("written");

    let (kind, text) = refused(Client::open(settings(&relay, "alice", Some(dir.path()))).await);

    assert!(kind == Kind::Storage && text.contains("is a file") && text.contains("name another one"), "{text}");
    assert_eq!(std::fs::read(dir.path().join("alice")).expect("there"), b"something else");
}

#[tokio::test]
async fn the_directory_and_all_in_it_are_their_owners_alone() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let (alice, _bob) = pair(&relay, Some(dir.path())).await;
    alice.send(b"a canary in the outbox").await.expect("sent");

    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("alice")), 0o700);
    for entry in std::fs::read_dir(dir.path().join("alice")).expect("there") {
        let path = entry.expect("readable").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).expect("readable");
        assert!(!bytes.windows(6).any(|window| window == b"canary"), "{}", path.display());
    }
}

#[tokio::test]
async fn a_passphrase_keeps_a_directory_and_another_does_not_open_it() {
    let (relay, dir) = (Mock::new(), tempfile::tempdir().expect("a directory"));
    let with = |passphrase: Option<&str>| Settings {
        passphrase: passphrase.map(|text| text.to_owned().into()),
        ..settings(&relay, "alice", Some(dir.path()))
    };
    let alice = world::open(with(Some("correct horse"))).await;
    alice.create_channel(NAME, Admission::Any).await.expect("made");
    alice.close().await;
    drop(alice);

    assert!(refused(Client::open(with(Some("battery staple"))).await).1.contains("another key"));
    assert!(refused(Client::open(with(None)).await).1.contains("passphrase"));
    assert!(!dir.path().join("alice/workspace.key").exists());
    assert_eq!(world::open(with(Some("correct horse"))).await.channels(), [NAME]);
}
