//! What crosses each other on the way to a topic, put in the order in which it hurts.

use std::time::Duration;

use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::EncodeBody;
use tonic::{Status, Streaming};
use toq_dataplane::wire::Message as Frame;
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::{Carriage, Tag, extension};
use toq_store::relay::{Append, Mark};

use super::*;
use crate::arrival::Whole;
use crate::bus::ProcessBus;
use crate::frame::{FrameCodec, Outbound};
use crate::home::{Account, Limits, Retention};
use crate::log::MemoryLog;
use crate::subscriber::Dialect;

/// A connection without a socket.
struct Connection {
    says: mpsc::Sender<Result<Outbound, Status>>,
    hears: mpsc::Receiver<Result<Outbound, Status>>,
}

impl Connection {
    fn open(registry: &Addr<Registry>) -> Self {
        let (says, said) = mpsc::channel(8);
        let body = EncodeBody::new_client(FrameCodec, ReceiverStream::new(said), None, None);
        let incoming = Streaming::new_request(FrameCodec, body, None, None);
        let (outgoing, hears) = mpsc::channel(8);
        let id: Arc<str> = "".into();
        let account = Account { id, messages_per_month: u64::MAX, channels: u64::MAX, until: None, key: None };
        let (source, dialect, whole) = ([127, 0, 0, 1].into(), Dialect::Extended, Whole::default());
        registry.do_send(Connect(Box::new(Newcomer { account, source, dialect, incoming, whole, outgoing, carried: None })));
        Self { says, hears }
    }

    async fn say(&self, frame: Frame) {
        let frame = Outbound { bytes: Bytes::from(frame.encode_to_vec()), seq: None, room: None };
        self.says.send(Ok(frame)).await.expect("it listens");
    }

    async fn hear(&mut self) -> MessageType {
        let heard = tokio::time::timeout(Duration::from_secs(30), self.hears.recv()).await.expect("something comes");
        let frame = heard.expect("the stream lives").expect("no end");
        Frame::decode(frame.bytes).expect("a frame").message_type.expect("it says something")
    }
}

fn relay(limits: Limits) -> (Arc<Home>, Addr<Registry>) {
    let (log, bus) = (Arc::new(MemoryLog::default()), Arc::new(ProcessBus::default()));
    let home = Arc::new(Home::new(log, bus, toq_kit::Clock::system(), limits, Retention::default()));
    let registry = Registry::new(home.clone(), Seat::Here).start();
    (home, registry)
}

fn numbered(number: u8) -> ChannelName {
    ChannelName::parse(&format!("acme/team/{number}")).expect("a name")
}

#[test]
fn who_joins_a_topic_that_is_about_to_sleep_keeps_it_awake() {
    actix::System::new().block_on(async {
        let (home, registry) = relay(Limits::default());
        let channel = ChannelName::parse("acme/team/general").expect("a name");
        let (mut bob, mut alice) = (Connection::open(&registry), Connection::open(&registry));
        let subscribe = || extension::subscribe(&channel, None, Some(Tag([1; 16])));
        bob.say(subscribe()).await;
        assert!(matches!(bob.hear().await, MessageType::Accepted(_)));
        bob.say(extension::unsubscribe(&channel)).await;
        bob.say(subscribe()).await;
        assert!(matches!(bob.hear().await, MessageType::Accepted(_)));

        // What the topic said between the two, arriving now.
        let idle = |orders| Idle { channel: channel.clone(), generation: 1, orders };
        registry.send(idle(2)).await.expect("it lives");
        alice.say(extension::publish(&channel, Carriage::Message, Bytes::from_static(b"mls"), Some(Tag([2; 16])), None)).await;

        assert!(matches!(alice.hear().await, MessageType::Accepted(_)));
        assert!(matches!(bob.hear().await, MessageType::Publish(_)), "it listens");
        // A subscription, its end, another one and a publication were all that was asked.
        registry.send(idle(4)).await.expect("it lives");
        assert_eq!(home.counters.topics.load(Ordering::Relaxed), 0, "and what is idle sleeps");
    });
}

#[test]
fn channels_whose_subscription_was_refused_sleep_whether_its_member_stays_or_goes() {
    for stays in [true, false] {
        actix::System::new().block_on(async {
            let (home, registry) = relay(Limits::default());
            let mut mallory = Connection::open(&registry);
            for number in 0..20 {
                mallory.say(extension::subscribe(&numbered(number), Some(7), Some(Tag([number; 16])))).await;
                let MessageType::Refused(refused) = mallory.hear().await else { panic!("there is no such place") };
                assert_eq!(refused.tag, [number; 16][..]);
            }
            assert_eq!(home.counters.topics.load(Ordering::Relaxed), 20);
            let kept = stays.then_some(mallory);

            // Time passes by itself where nobody has anything to do.
            tokio::time::pause();
            tokio::time::sleep(Duration::from_secs(60)).await;

            assert_eq!(home.counters.topics.load(Ordering::Relaxed), 0);
            drop(kept);
        });
    }
}

#[test]
fn a_refused_subscription_is_answered_and_the_next_one_to_the_channel_is_in_force() {
    actix::System::new().block_on(async {
        let (_home, registry) = relay(Limits::default());
        let (mut bob, alice) = (Connection::open(&registry), Connection::open(&registry));
        for number in 0..3 {
            bob.say(extension::subscribe(&numbered(0), Some(7), Some(Tag([number; 16])))).await;
        }
        bob.say(extension::subscribe(&numbered(0), None, Some(Tag([9; 16])))).await;
        while !matches!(bob.hear().await, MessageType::Accepted(accepted) if accepted.tag == [9; 16][..]) {}

        alice.say(extension::publish(&numbered(0), Carriage::Message, Bytes::from_static(b"mls"), Some(Tag([2; 16])), None)).await;

        assert!(matches!(bob.hear().await, MessageType::Publish(_)), "it listens");
    });
}

#[test]
fn one_tag_in_two_channels_is_two_publications() {
    actix::System::new().block_on(async {
        let (_home, registry) = relay(Limits::default());
        let mut alice = Connection::open(&registry);
        let publish = |channel, tag| extension::publish(&channel, Carriage::Message, Bytes::from_static(b"mls"), Some(Tag(tag)), None);
        alice.say(publish(numbered(2), [1; 16])).await;
        assert!(matches!(alice.hear().await, MessageType::Accepted(_)));

        alice.say(publish(numbered(1), [7; 16])).await;
        alice.say(publish(numbered(2), [7; 16])).await;

        let mut places = [alice.hear().await, alice.hear().await].map(|answer| match answer {
            MessageType::Accepted(accepted) => accepted.seq,
            other => panic!("not accepted: {other:?}"),
        });
        places.sort_unstable();
        assert_eq!(places, [1, 2], "each has its answer");
    });
}

#[test]
fn a_repeated_publication_is_told_of_where_nobody_has_heard_of_it() {
    actix::System::new().block_on(async {
        let (home, registry) = relay(Limits::default());
        let (mut alice, mut bob) = (Connection::open(&registry), Connection::open(&registry));
        bob.say(extension::subscribe(&numbered(0), None, Some(Tag([1; 16])))).await;
        assert!(matches!(bob.hear().await, MessageType::Accepted(_)));
        // It is written, and whoever would have told of it is gone.
        let blob = Bytes::from_static(b"mls\0\0\0\0\0\0\0\0");
        let frame = extension::publish(&numbered(0), Carriage::Message, blob, None, None).encode_to_vec();
        let append = Append {
            channel: numbered(0).as_str().into(),
            tag: [7; 16],
            is_tagged: true,
            mark: Mark::Plain,
            epoch: 0,
            seen: 0,
            at: home.clock.wall_nanos(),
            account: "".into(),
            month: home.month(),
            messages_per_month: u64::MAX,
            channels: u64::MAX,
            bytes_per_channel: u64::MAX,
            frame,
        };
        home.log.append(vec![append], home.clock.monotonic()).await.expect("written");

        alice.say(extension::publish(&numbered(0), Carriage::Message, Bytes::from_static(b"mls"), Some(Tag([7; 16])), None)).await;

        assert!(matches!(alice.hear().await, MessageType::Accepted(accepted) if accepted.seq == 1));
        assert!(matches!(bob.hear().await, MessageType::Publish(_)), "it stands in the log");
    });
}
