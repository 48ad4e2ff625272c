//! Keys that change while time passes: who follows, who is too late, what is not stored twice.

mod house;

use std::time::Duration;

use house::{Agent, House, run};
use toq_actors::workspace::{Deliver, Patience, RotateKeys, Rule, Stored};
use toq_config::ConnectionMode;
use toq_protocol::envelope::{Envelope, Kind, VERSION};
use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::policy::{Ruling, Subject};
use toq_protocol::reason::Reason;

const DAY: Duration = Duration::from_secs(86_400);

fn key(agent: &Agent) -> PeerKey {
    agent.workspace.home.local().identity.public()
}

async fn delivered(house: &House, text: &str) -> MessageId {
    let accepted = house.alice.send(&house.bob.address, text, Patience::Settled).await.expect("accepted");
    accepted.settled.expect("asked for").await.expect("told");
    accepted.id
}

async fn acquainted(mode: ConnectionMode) -> (House, MessageId) {
    let house = House::with_bob_in(mode).await;
    let approve = Rule::Add(Subject::Key(key(&house.alice)), Ruling::Approve);
    house.bob.workspace.address().send(approve).await.expect("alive").expect("committed");
    let id = delivered(&house, "before").await;
    (house, id)
}

async fn rotate(agent: &Agent) {
    agent.workspace.address().send(RotateKeys).await.expect("alive").expect("rotated");
}

/// What bob says to a message of this id that comes under this key.
async fn deliver(house: &House, peer: PeerKey, id: MessageId) -> Stored {
    let envelope = Envelope {
        version: VERSION.to_owned(),
        id,
        kind: Kind::MessageSend,
        from: house.alice.address.clone(),
        to: vec![house.bob.address.clone()],
        thread_id: None,
        reply_to: None,
        sequence: 2,
        timestamp: house.bob.workspace.home.wall().to_string(),
        priority: None,
        content_type: None,
        ttl: None,
        compression: None,
        e2e_nonce: None,
        body: None,
    };
    let deliver = Deliver {
        connection: toq_actors::connection::ConnectionId(0),
        peer,
        address: house.alice.address.clone(),
        source: None,
        is_bound: false,
        envelopes: vec![envelope],
    };
    house.bob.workspace.address().send(deliver).await.expect("alive").stored[0]
}

#[test]
fn a_peer_that_was_away_for_the_whole_grace_meets_a_stranger() {
    run(async {
        let (house, _) = acquainted(ConnectionMode::Approval).await;
        house.wire.cut(true);
        // A block ends the session; so does bob's going away.
        let alice = Subject::Key(key(&house.alice));
        let rules =
            [Rule::Add(alice.clone(), Ruling::Block), Rule::Remove(alice.clone(), Ruling::Block), Rule::Add(alice, Ruling::Approve)];
        for rule in rules {
            house.bob.workspace.address().send(rule).await.expect("alive").expect("committed");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        rotate(&house.alice).await;

        tokio::time::sleep(8 * DAY).await;
        house.wire.cut(false);
        house.alice.send(&house.bob.address, "too late", Patience::Accepted).await.expect("accepted");
        tokio::time::sleep(Duration::from_secs(60)).await;

        assert_eq!(house.bob.inbox(), ["before"]);
        let pending = house.bob.workspace.home.store.reader().approvals().expect("reads");
        assert_eq!(pending.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [key(&house.alice)]);
    });
}

#[test]
fn an_old_key_is_good_until_its_grace_is_over_and_for_nothing_afterwards() {
    run(async {
        let (house, _) = acquainted(ConnectionMode::Open).await;
        let old = key(&house.alice);
        rotate(&house.alice).await;
        delivered(&house, "after").await;

        assert_eq!(deliver(&house, old, MessageId::from_bytes([1; 16])).await, Stored::Committed);
        tokio::time::sleep(8 * DAY).await;

        assert_eq!(deliver(&house, old, MessageId::from_bytes([2; 16])).await, Stored::Refused(Reason::Blocked));
        assert_eq!(deliver(&house, key(&house.alice), MessageId::from_bytes([3; 16])).await, Stored::Committed);
    });
}

#[test]
fn a_message_that_came_under_the_old_key_is_not_stored_again_under_the_new_one() {
    run(async {
        let (house, id) = acquainted(ConnectionMode::Open).await;
        rotate(&house.alice).await;
        delivered(&house, "after").await;

        // Its acknowledgement was lost, so it is sent again.
        assert_eq!(deliver(&house, key(&house.alice), id).await, Stored::Committed);

        assert_eq!(house.bob.inbox(), ["before", "after"]);
    });
}

#[test]
fn who_is_blocked_or_revoked_by_its_new_key_does_not_come_back_with_the_old_one() {
    run(async {
        let rules = [|key| Rule::Add(Subject::Key(key), Ruling::Block), |key| Rule::Remove(Subject::Key(key), Ruling::Approve)];
        for rule in rules {
            let (house, _) = acquainted(ConnectionMode::Allowlist).await;
            let old = key(&house.alice);
            rotate(&house.alice).await;
            delivered(&house, "after").await;
            let new = key(&house.alice);
            let approved = house.bob.workspace.home.store.reader().rules().expect("reads");
            assert_eq!(approved, [(Subject::Key(new), Ruling::Approve)], "one agent, one approval");
            assert_eq!(deliver(&house, old, MessageId::from_bytes([1; 16])).await, Stored::Committed, "it has its grace");

            house.bob.workspace.address().send(rule(new)).await.expect("alive").expect("committed");

            assert_eq!(deliver(&house, old, MessageId::from_bytes([2; 16])).await, Stored::Refused(Reason::Blocked));
        }
    });
}

#[test]
fn an_owner_who_blocks_the_old_key_at_once_need_not_wait_for_its_grace() {
    run(async {
        let (house, _) = acquainted(ConnectionMode::Open).await;
        let old = key(&house.alice);
        rotate(&house.alice).await;
        delivered(&house, "after").await;

        let block = Rule::Add(Subject::Key(old), Ruling::Block);
        house.bob.workspace.address().send(block).await.expect("alive").expect("committed");

        assert_eq!(deliver(&house, old, MessageId::from_bytes([1; 16])).await, Stored::Refused(Reason::Blocked));
        assert_eq!(deliver(&house, key(&house.alice), MessageId::from_bytes([2; 16])).await, Stored::Committed);
    });
}
