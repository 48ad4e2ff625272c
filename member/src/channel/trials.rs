//! Reading, where the disk fails or somebody else keeps account.

use toq_store::member::InRow;

use super::*;
use crate::mock::Relay as Mock;
use crate::settings::{Relay, Settings};

const SOME: Duration = Duration::from_secs(60);

/// A channel in which messages of one byte wait, so many that the last of them is not at hand.
async fn channel(count: u64) -> Channel {
    let settings = Settings::new(Relay::InProcess(Mock::new()), b"alice");
    let client = Client::open(settings).await.expect("open");
    let channel = client.create_channel("acme/team/general", Admission::Any).await.expect("made");
    let row = |n| InRow { seq: n, epoch: 0, sender: vec![], proven: None, leaf: 0, payload: vec![0], octets: n };
    let rows: Vec<_> = (1..=count).map(|n| (n, row(n))).collect();
    let id = channel.seat.id;
    let changes = rows.iter().map(|(n, row)| Change::Arrive(id, *n, row.clone())).collect();
    client.0.inner.store().expect("open").commit(changes).await.expect("kept");
    let fuse = channel.seat.core().fuse.clone();
    let mut step = Step::default();
    step.arrived = rows;
    channel.seat.settle(step, &fuse);
    channel
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.n).collect()
}

#[tokio::test]
async fn what_was_taken_is_given_also_where_what_follows_cannot_be_read() {
    let channel = channel(600).await;
    let at_hand = channel.wait_for_next(1000, Before::IsDone).await.expect("open");
    assert_eq!(at_hand.len(), 512, "the others are on the disk only");
    channel.client.0.inner.fail(Error::new(Kind::Storage, "on purpose"));

    let given = channel.and_more(at_hand, 1000);

    assert_eq!(numbers(&given), (1..=512).collect::<Vec<_>>());
    let error = channel.drain(SOME, 1000).await.expect_err("the next call says why");
    assert!(error.to_string().contains("on purpose"), "{error}");
}

#[tokio::test]
async fn what_is_taken_stays_on_the_disk_until_it_is_settled() {
    let channel = channel(600).await;
    let store = channel.client.0.inner.store().expect("open");
    let unread = || store.inbox(&channel.seat.id, 0, 1000, usize::MAX).expect("readable").first().map(|(n, _)| *n);

    assert_eq!(channel.take(1000).await.expect("open").len(), 600);
    assert!(channel.drain(Duration::ZERO, 1).await.expect("open").is_empty());
    let _ = store.slot().await;

    assert_eq!(unread(), Some(1));
    channel.settle(7).await.expect("kept");
    assert_eq!(unread(), Some(8));
}
