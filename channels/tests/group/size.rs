//! What is written for a message and for a commit.

use toq_channels::group::{Intent, Received, Shelf};

use crate::party::{NOW, Party};

/// Two of `count` members, all of whom came in by one commit.
fn two_of(count: usize) -> (Party, Party) {
    let mut owner = Party::creator("owner");
    let mut other = Party::new("other");
    let mut packages = vec![other.package()];
    packages.extend((2..count).map(|index| Party::new(&format!("member {index}")).package()));
    let staged = owner.stage(&Intent::Add(packages));
    let _ = owner.read(&staged.commit);
    other.join(&staged.welcome.expect("a welcome"));
    (owner, other)
}

#[test]
fn a_message_writes_the_secrets_and_not_the_tree() {
    for count in [2, 10, 100] {
        let (mut owner, mut other) = two_of(count);
        // The tree's index has another order after a restart, and is written anew once.
        owner.restart();
        let _ = owner.write("first");

        let (blob, rows) = owner.group_mut().encrypt(b"text", None).expect("a message");
        let sent = rows.size();
        owner.memory.commit(rows);
        let (received, rows) = other.group_mut().receive(&blob);
        assert!(matches!(received, Received::Message { .. }));
        let read = rows.size();
        other.memory.commit(rows);
        let (staged, rows) = other.group_mut().stage(&Intent::Rotate, None, NOW).expect("a commit");
        other.memory.commit(rows);
        let applied = owner.group_mut().receive(&staged.commit).1.size();

        assert!(sent < 1536 && read < 1536, "{count} members: {sent} bytes for a message sent, {read} for one received");
        // Both keys, name, capabilities, signature and index of each member, and the keys of a past epoch.
        assert!(applied < 2048 + 512 * count, "{count} members: {applied} bytes for a commit");
    }
}

#[test]
fn the_row_that_is_written_seldom_holds_no_secret() {
    let (mut owner, _) = two_of(10);
    let _ = owner.write("text");
    let row = |part: u8| {
        owner.memory.0.iter().find(|((shelf, key), _)| *shelf == Shelf::Group && key.last() == Some(&part)).expect("a row").1.clone()
    };
    let agent = owner.memory.0.iter().find(|((shelf, _), _)| *shelf == Shelf::Identity).expect("a row").1;
    // More than the public key with its length, which the tree has; the secret key has 64 bytes.
    let shares = |row: &[u8]| agent.windows(40).any(|secret| row.windows(40).any(|window| window == secret));

    assert!(shares(&row(1)), "the signature key is in the row that is written each time");
    assert!(!shares(&row(0)));
    let size = (row(0).len(), row(1).len());
    assert!(size.0 > 10 * 150 && size.1 < 1536, "{size:?}");
}
