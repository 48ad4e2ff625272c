//! A relay in this process, and members that say what they hear.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use prost::bytes::Bytes;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, Incoming, Link, LinkError, Options, Tag};
use toq_relay::home::{Limits, Retention};
use toq_relay::{Config, Relay, up};

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn block_on(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

pub fn config(data: &Path) -> Config {
    let free = "127.0.0.1:0".parse().expect("an address");
    Config {
        data: data.to_owned(),
        grpc: free,
        api: free,
        anonymous: true,
        hs256: None,
        tls: None,
        limits: Limits::default(),
        retention: Retention::default(),
        office: toq_relay::office::Settings::default(),
        keepalive: Duration::from_secs(25),
        quota: 0,
        cache: 8 << 20,
    }
}

/// Runs a test against a relay that lets everybody in.
pub fn with_relay<F: Future<Output = Relay>>(test: impl FnOnce(Relay) -> F) {
    with_config(|_| {}, test);
}

pub fn with_config<F: Future<Output = Relay>>(change: impl FnOnce(&mut Config), test: impl FnOnce(Relay) -> F) {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = config(&dir.path().join("relay"));
        change(&mut config);
        let relay = up(config).await.expect("it starts");
        test(relay).await.stop(Duration::from_secs(5)).await;
    });
}

pub fn general() -> ChannelName {
    ChannelName::parse("acme/team/general").expect("a name")
}

/// A commit of the channel's group as far as a relay can see.
pub fn commit(channel: &ChannelName, epoch: u64, salt: u8) -> Bytes {
    let head = [&[0, 1, 0, 1, 32][..], &channel.id(), &epoch.to_be_bytes(), &[1, 0, 0, 0, 0, 0, 3, salt]];
    Bytes::from(head.concat())
}

pub fn tag(number: u64) -> Tag {
    let mut tag = [0xee; 16];
    tag[8..].copy_from_slice(&number.to_be_bytes());
    Tag(tag)
}

/// A member's link.
pub struct Member {
    pub link: Link,
    pub incoming: Incoming,
}

impl Member {
    pub async fn connect(relay: &Relay) -> Self {
        Self::try_connect(relay, None).await.expect("it lets us in")
    }

    pub async fn at(address: SocketAddr) -> Self {
        let (link, incoming) = Link::open(Options::new(format!("http://{address}"))).await.expect("it lets us in");
        Self { link, incoming }
    }

    pub async fn try_connect(relay: &Relay, token: Option<String>) -> Result<Self, LinkError> {
        let options = Options { token, ..Options::new(format!("http://{}", relay.grpc)) };
        let (link, incoming) = Link::open(options).await?;
        Ok(Self { link, incoming })
    }

    /// Subscribes; returns the log's last place.
    pub async fn listen(&mut self, channel: &ChannelName, after: Option<u64>) -> u64 {
        self.link.subscribe(channel, after, tag(u64::MAX)).await.expect("it is sent");
        match self.next().await {
            Event::Accepted { tag: of, seq } if of == tag(u64::MAX) => seq,
            other => panic!("not in force: {other:?}"),
        }
    }

    pub async fn send(&self, channel: &ChannelName, number: u64, text: &str) {
        self.send_seen(channel, Carriage::Message, number, Bytes::copy_from_slice(text.as_bytes()), None).await;
    }

    pub async fn send_seen(&self, channel: &ChannelName, carriage: Carriage, number: u64, blob: Bytes, seen: Option<u64>) {
        self.link.publish(channel, carriage, blob, tag(number), seen).await.expect("it is sent");
    }

    pub async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.incoming.next()).await.expect("something comes").expect("the stream lives")
    }

    /// The next delivery's place and text.
    pub async fn delivered(&mut self) -> (u64, String) {
        match self.next().await {
            Event::Delivered { seq, blob, .. } => (seq, String::from_utf8_lossy(&blob).into_owned()),
            other => panic!("not a delivery: {other:?}"),
        }
    }

    /// The next acceptance's tag and place.
    pub async fn accepted(&mut self) -> (Tag, u64) {
        match self.next().await {
            Event::Accepted { tag, seq } => (tag, seq),
            other => panic!("not accepted: {other:?}"),
        }
    }
}
