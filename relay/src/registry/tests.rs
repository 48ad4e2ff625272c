//! What crosses each other on the way to a topic, put in the order in which it hurts.

use std::time::Duration;

use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::EncodeBody;
use tonic::{Status, Streaming};
use toq_dataplane::wire::Message as Frame;
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::{Carriage, Tag, extension};
use toq_store::StoreError;
use toq_store::relay::{Append, Appended, Cut, Ends, Mark, Stretch, Trimmed};

use super::*;
use crate::arrival::Whole;
use crate::bus::ProcessBus;
use crate::frame::{FrameCodec, Outbound};
use crate::home::{Account, Limits, Retention};
use crate::log::{Log, MemoryLog};
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

/// A log whose rows come from a disk that takes its time.
#[derive(Debug)]
struct ColdLog {
    rows: MemoryLog,
    /// How many reads may go on.
    disk: Semaphore,
}

#[async_trait::async_trait]
impl Log for ColdLog {
    async fn append(&self, batch: Vec<Append>, now: Duration) -> Result<Vec<Appended>, StoreError> {
        self.rows.append(batch, now).await
    }

    async fn read(&self, channel: &str, after: u64, through: u64, most: usize, most_bytes: usize) -> Result<Stretch, StoreError> {
        self.disk.acquire().await.expect("it is not closed").forget();
        self.rows.read(channel, after, through, most, most_bytes).await
    }

    async fn commits(&self, channel: &str, most: usize) -> Result<Vec<u64>, StoreError> {
        self.rows.commits(channel, most).await
    }

    async fn ends(&self, channel: &str) -> Result<Ends, StoreError> {
        self.rows.ends(channel).await
    }

    async fn trim(&self, from: Option<String>, cut: Cut) -> Result<Trimmed, StoreError> {
        self.rows.trim(from, cut).await
    }
}

fn relay(limits: Limits) -> (Arc<Home>, Addr<Registry>) {
    over(Arc::new(MemoryLog::default()), limits)
}

fn over(log: Arc<dyn Log>, limits: Limits) -> (Arc<Home>, Addr<Registry>) {
    let home = Arc::new(Home::new(log, Arc::new(ProcessBus::default()), toq_kit::Clock::system(), limits, Retention::default()));
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

/// Lets everybody do what they can do now: time passes by itself only where nobody has anything to do.
async fn all_have_done_what_they_can() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[test]
fn who_unsubscribes_while_what_comes_next_is_read_and_goes_stays_connected() {
    for unsubscribes in [true, false] {
        actix::System::new().block_on(async {
            tokio::time::pause();
            let log = Arc::new(ColdLog { rows: MemoryLog::default(), disk: Semaphore::new(1) });
            let (_home, registry) = over(log.clone(), Limits::default());
            let (mut bob, mut alice) = (Connection::open(&registry), Connection::open(&registry));
            bob.say(extension::subscribe(&numbered(0), None, Some(Tag([1; 16])))).await;
            assert!(matches!(bob.hear().await, MessageType::Accepted(_)));
            let publish = |channel| extension::publish(&channel, Carriage::Message, Bytes::from_static(b"mls"), Some(Tag([2; 16])), None);
            alice.say(publish(numbered(0))).await;
            assert!(matches!(alice.hear().await, MessageType::Accepted(_)));
            // Bob's row is being read, and is kept no longer.
            all_have_done_what_they_can().await;
            log.trim(None, Cut { before: i64::MAX, rows: 10 }).await.expect("cut");
            if unsubscribes {
                bob.say(extension::unsubscribe(&numbered(0))).await;
                all_have_done_what_they_can().await;
            }

            log.disk.add_permits(1);

            if unsubscribes {
                bob.say(publish(numbered(1))).await;
                assert!(matches!(bob.hear().await, MessageType::Accepted(_)), "it is still connected");
            } else {
                let word = bob.hears.recv().await.expect("a last word").expect_err("it has lost its place");
                assert!(word.message().contains("no longer kept"), "{word}");
            }
        });
    }
}
