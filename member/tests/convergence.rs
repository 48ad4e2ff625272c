//! Ten members that change the group at once, over a bad relay, and are killed meanwhile.

mod world;

use std::collections::HashSet;
use std::time::Duration;

use toq_member::mock::{Mischief, Relay};
use toq_member::{Admission, Channel};
use world::{LONG, NAME, invite, member, spawn, until};

const MEMBERS: usize = 10;
const ROUNDS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_members_that_commit_at_once_and_are_killed_end_in_one_epoch_and_miss_nothing() {
    let (relay, dir) = (Relay::new(), tempfile::tempdir().expect("a directory"));
    let first = member(&relay, "member 0", Some(dir.path())).await;
    let mut channels = vec![first.create_channel(NAME, Admission::Any).await.expect("made")];
    drop(first);
    for n in 1..MEMBERS {
        let newcomer = member(&relay, &format!("member {n}"), Some(dir.path())).await;
        channels.push(invite(&channels[0], &newcomer).await);
    }
    relay.misbehave(Mischief { seed: 7, duplicate: 30, reorder: 20, cut: 1, ..Mischief::default() });
    let mut accepted = Vec::new();
    let mut heard: Vec<HashSet<String>> = vec![HashSet::new(); MEMBERS];

    for round in 0..ROUNDS {
        let mut doing = Vec::new();
        for (n, channel) in channels.iter().enumerate() {
            let channel = channel.clone();
            doing.push(spawn(async move {
                let rotated = channel.rotate_key().await;
                let text = format!("round {round} of {n}");
                let said = channel.send_and_wait(text.as_bytes(), LONG).await;
                (rotated.is_ok(), said.is_ok().then_some(text))
            }));
        }
        // Two of them are killed while they are at it.
        let (one, two) = (round % MEMBERS, (round * 3 + 5) % MEMBERS);
        for victim in HashSet::from([one, two]) {
            tokio::time::sleep(Duration::from_millis(15)).await;
            doing[victim].abort();
            drain(&channels[victim], &mut heard[victim]).await;
            let name = format!("member {victim}");
            // What a killed process leaves behind: nothing is closed in good order.
            let other = channels[(victim + 1) % MEMBERS].clone();
            let gone = std::mem::replace(&mut channels[victim], other);
            doing.push(spawn(async move {
                drop(gone);
                (true, None)
            }));
            let client = member(&relay, &name, Some(dir.path())).await;
            channels[victim] = client.channel(NAME).expect("kept");
        }
        for (n, task) in doing.into_iter().enumerate() {
            if let Ok((rotated, said)) = task.await {
                assert!(rotated, "member {n} could not rotate in round {round}");
                accepted.extend(said.map(|said| (n, said)));
            }
        }
    }
    relay.misbehave(Mischief::default());
    until("all in one epoch", || {
        let ends: HashSet<_> = channels.iter().map(|channel| channel.authenticator().expect("a member")).collect();
        ends.len() == 1
    })
    .await;

    for (n, channel) in channels.iter().enumerate() {
        channel.send(format!("last of {n}").as_bytes()).await.expect("sent");
    }
    for (n, channel) in channels.iter().enumerate() {
        let wanted: HashSet<String> = (0..MEMBERS).filter(|other| *other != n).map(|other| format!("last of {other}")).collect();
        while !wanted.is_subset(&heard[n]) {
            heard[n].insert(String::from_utf8(world::next(channel).await.payload).expect("text"));
        }
        for (sender, text) in &accepted {
            assert!(*sender == n || heard[n].contains(text), "member {n} has not heard {text:?}");
        }
    }
    assert!(accepted.len() >= ROUNDS * (MEMBERS - 2));
}

async fn drain(channel: &Channel, heard: &mut HashSet<String>) {
    for message in channel.drain(Duration::ZERO, 10_000).await.expect("open") {
        heard.insert(String::from_utf8(message.payload).expect("text"));
    }
}
