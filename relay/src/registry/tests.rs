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

use super::*;
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
        registry.do_send(Connect(Box::new(Newcomer { account, dialect: Dialect::Extended, incoming, outgoing, carried: None })));
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

#[test]
fn who_joins_a_topic_that_is_about_to_sleep_keeps_it_awake() {
    actix::System::new().block_on(async {
        let (log, bus) = (Arc::new(MemoryLog::default()), Arc::new(ProcessBus::default()));
        let home = Arc::new(Home::new(log, bus, toq_kit::Clock::system(), Limits::default(), Retention::default()));
        let registry = Registry::new(home.clone(), Seat::Here).start();
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
