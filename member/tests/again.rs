//! Who lost its directory and comes again under the same identity: told what to do, or let in by its agent key.

mod office;
mod world;

use std::time::Duration;

use office::{Office, key, with_key};
use toq_member::mock::Relay as Mock;
use toq_member::{Admission, Kind, Who};
use toq_protocol::key::Identity;
use world::{LONG, NAME, event, invite, member, next, open, refused, texts, until};

#[tokio::test]
async fn whoever_adds_a_member_that_lost_its_directory_is_told_the_road_back() {
    let relay = Mock::new();
    let (channel, old) = world::pair(&relay, None).await;
    let bob = member(&relay, "bob", None).await;
    let package = bob.key_package().await.expect("a key package");

    let (kind, text) = refused(channel.add_member(&package).await);
    assert!(kind == Kind::Mls && text.starts_with("MLS engine error: MLS group error: DuplicateLeafData"), "{text}");
    assert!(text.contains("\"bob\" is a member already (leaf 1), with other keys") && text.contains("remove_member(leaf 1)"), "{text}");
    channel.remove_member(&Who::Leaf(1)).await.expect("removed");
    let joined = invite(&channel, &bob).await;
    channel.send(b"welcome back").await.expect("sent");

    assert_eq!(texts(&joined, 1).await, ["welcome back"]);
    event(&old, "removed").await;
    let namesake = member(&relay, "alice", None).await.key_package().await.expect("a key package");
    assert!(refused(channel.add_member(&namesake).await).1.contains("this member itself is called \"alice\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_by_an_invite_after_it_lost_its_directory_is_told_the_road_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let office = Office::open(dir.path().join("relay"), 0, false);
    let secret = key(&office, "alice@example.com").await;
    let alice = open(with_key(&office, &secret, "alice", dir.path())).await;
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let old = open(with_key(&office, &secret, "bob", dir.path())).await;
    invite(&channel, &old).await;
    old.close().await;
    drop(old);
    std::fs::remove_dir_all(dir.path().join("bob")).expect("lost");
    let bob = open(with_key(&office, &secret, "bob", dir.path())).await;
    let token = channel.invite(2, Duration::from_secs(600)).await.expect("made");

    let (kind, text) = refused(bob.join_with_token(NAME, &token, LONG).await);
    assert!(kind == Kind::Refused && text.starts_with("the owner of acme/team/general refused to let this member in: "), "{text}");
    assert!(text.contains("if it lost its directory") && text.contains("remove_member(leaf 1)"), "{text}");
    assert!(event(&channel, "join_refused").await.detail.contains("remove_member(leaf 1)"));
    channel.remove_member(&Who::Leaf(1)).await.expect("removed");
    let joined = bob.join_with_token(NAME, &token, LONG).await.expect("let in");

    joined.send(b"here again").await.expect("sent");
    assert_eq!(texts(&channel, 1).await, ["here again"]);
}

#[tokio::test]
async fn an_agent_key_takes_the_place_of_its_lost_leaf_in_one_change_by_who_may_remove() {
    for admission in [Admission::Any, Admission::Proven] {
        let (relay, key, other) = (Mock::new(), Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let proven = async |name: &str, key: &Identity| {
            let client = member(&relay, name, None).await;
            client.prove(key.public(), key.sign(&client.statement())).await.expect("proven");
            client
        };
        let channel = proven("alice", &Identity::from_seed(&[3; 32])).await.create_channel(NAME, admission).await.expect("made");
        let old = invite(&channel, &proven("bob", &key).await).await;
        let carol = invite(&channel, &proven("carol", &Identity::from_seed(&[4; 32])).await).await;
        until("carol is there", || carol.members().len() == 3).await;
        let bob = proven("bob", &key).await;
        let package = async |client: &toq_member::Client| client.key_package().await.expect("a key package");

        let foreign = package(&proven("bob", &other).await).await;
        assert!(refused(channel.add_member(&foreign).await).1.contains("remove_member(leaf 1)"));
        if admission == Admission::Any {
            assert!(refused(carol.add_member(&package(&bob).await).await).1.contains("by who may remove"));
        }
        let epoch = channel.epoch();
        let joined = invite(&channel, &bob).await;
        joined.send(b"here again").await.expect("sent");

        assert_eq!((channel.epoch(), next(&channel).await.proven), (epoch + 1, Some(key.public())));
        assert_eq!(texts(&carol, 1).await, ["here again"]);
        let told = event(&old, "removed").await;
        assert_eq!((told.by.as_slice(), told.epoch), (&b"alice"[..], epoch + 1));
        assert_eq!(carol.members().len(), 3);
    }
}
