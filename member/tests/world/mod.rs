//! Members over a relay inside the process.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;
use std::time::Duration;

use toq_member::mock::Relay as Mock;
use toq_member::{Admission, Channel, Client, Error, Happening, Kind, Message, Relay, Settings};

pub const NAME: &str = "acme/team/general";

/// Longer than anything takes that works.
pub const LONG: Duration = Duration::from_secs(60);

pub fn settings(relay: &Mock, identity: &str, dir: Option<&Path>) -> Settings {
    Settings { data_dir: dir.map(|dir| dir.join(identity)), ..Settings::new(Relay::InProcess(relay.clone()), identity.as_bytes()) }
}

/// Opens a member; a directory that is being let go of is waited for.
pub async fn open(settings: Settings) -> Client {
    for _ in 0..600 {
        match Client::open(settings.clone()).await {
            Err(error) if error.kind() == Kind::Storage && error.to_string().contains(" is open in ") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other.expect("it opens"),
        }
    }
    panic!("the directory is still in use");
}

pub async fn member(relay: &Mock, identity: &str, dir: Option<&Path>) -> Client {
    open(settings(relay, identity, dir)).await
}

/// Adds a member to a channel.
pub async fn invite(channel: &Channel, newcomer: &Client) -> Channel {
    let package = newcomer.key_package().await.expect("a key package");
    let welcome = channel.add_member(&package).await.expect("added");
    newcomer.join_channel(channel.name(), &welcome).await.expect("joined")
}

/// Two members of one channel.
pub async fn pair(relay: &Mock, dir: Option<&Path>) -> (Channel, Channel) {
    let (alice, bob) = (member(relay, "alice", dir).await, member(relay, "bob", dir).await);
    let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
    let joined = invite(&channel, &bob).await;
    (channel, joined)
}

pub async fn next(channel: &Channel) -> Message {
    channel.next(Some(LONG)).await.expect("open").expect("a message")
}

pub async fn texts(channel: &Channel, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(String::from_utf8(next(channel).await.payload).expect("text"));
    }
    texts
}

/// Waits until something of this kind happened.
pub async fn event(channel: &Channel, kind: &str) -> Happening {
    let wait = async {
        loop {
            if let Some(found) = channel.events(LONG).await.into_iter().find(|event| event.kind == kind) {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it happens")
}

/// Waits until this holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (Kind, String) {
    let error = result.expect_err("refused");
    (error.kind(), error.to_string())
}

/// Something that goes on beside the test, which holds its handle.
#[allow(clippy::disallowed_methods, reason = "there are no actors in this room")]
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}
