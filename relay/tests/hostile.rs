//! Strangers and broken clients: what they send, and what they do not send, costs honest members nothing.

mod world;

use std::time::Duration;

use http_body_util::Full;
use prost::bytes::{Buf as _, BufMut as _, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{Service as _, http};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use toq_dataplane::{Carriage, Event, Refusal, extension};
use toq_relay::Relay;
use toq_relay::begun::ROOM;
use toq_relay::home::Limits;
use world::{Member, general, tag, with_config, with_relay};

const PATH: &str = "/dataplane.proto.v1.DataPlaneService/OpenChannel";

/// Frames as they are, whatever they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A stream that sends any bytes as frames.
struct Stranger {
    outgoing: mpsc::Sender<Bytes>,
    incoming: Streaming<Bytes>,
}

impl Stranger {
    async fn on(connection: &Channel) -> Self {
        let mut grpc = tonic::client::Grpc::new(connection.clone());
        grpc.ready().await.expect("it is connected");
        let (outgoing, queue) = mpsc::channel(8);
        let mut request = Request::new(ReceiverStream::new(queue));
        request.metadata_mut().insert(extension::HEADER, MetadataValue::from_static(extension::VERSION));
        let answer = grpc.streaming(request, http::uri::PathAndQuery::from_static(PATH), Raw).await.expect("let in");
        Self { outgoing, incoming: answer.into_inner() }
    }

    async fn send(&self, frame: impl Into<Bytes>) {
        self.outgoing.send(frame.into()).await.expect("it is sent");
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        tokio::time::timeout(Duration::from_secs(30), self.incoming.message()).await.expect("something comes")
    }
}

async fn connection(relay: &Relay) -> Channel {
    Endpoint::from_shared(format!("http://{}", relay.grpc)).expect("a url").connect().await.expect("it listens")
}

fn frame(number: u64, blob: Vec<u8>) -> Bytes {
    use prost::Message as _;

    extension::publish(&general(), Carriage::Message, blob.into(), Some(tag(number)), None).encode_to_vec().into()
}

/// Proves that an honest member can connect and publish.
async fn members_are_served(relay: &Relay, number: u64) {
    let mut alice = Member::connect(relay).await;
    alice.send(&general(), number, "hello").await;
    assert_eq!(alice.accepted().await.0, tag(number));
}

#[test]
fn whatever_a_member_can_make_is_refused_by_name_where_it_is_too_large() {
    with_config(
        |config| config.limits = Limits { max_message: 1024, ..Limits::default() },
        |relay| async move {
            let mut alice = Member::connect(&relay).await;
            alice.send_seen(&general(), Carriage::Message, 1, Bytes::from(vec![7; 1024]), None).await;
            assert_eq!(alice.accepted().await.0, tag(1));

            // The largest that members send.
            for (number, size) in [(2, 1025), (3, 400 << 10), (4, extension::MAX_FRAME - 1024)] {
                alice.send_seen(&general(), Carriage::Message, number, Bytes::from(vec![7; size]), None).await;
                let Event::Refused { why, tag: of, detail, .. } = alice.next().await else { panic!("not refused") };
                assert_eq!((why, of), (Refusal::TooLarge, Some(tag(number))));
                assert!(detail.contains("1024"), "{detail}");
            }

            alice.send(&general(), 5, "small").await;
            assert_eq!(alice.accepted().await, (tag(5), 2));
            relay
        },
    );
}

#[test]
fn what_is_around_a_small_message_locks_nobody_out() {
    with_relay(|relay| async move {
        use prost::Message as _;
        use toq_dataplane::wire::content::ContentType;
        use toq_dataplane::wire::message::MessageType;

        let mut alice = Member::connect(&relay).await;
        alice.listen(&general(), None).await;
        let mut swollen = extension::publish(&general(), Carriage::Message, Bytes::from_static(b"m"), Some(tag(1)), None);
        let Some(MessageType::Publish(publish)) = &mut swollen.message_type else { panic!("a publication") };
        let Some(ContentType::AppPayload(payload)) = publish.msg.as_mut().and_then(|content| content.content_type.as_mut()) else {
            panic!("a message")
        };
        payload.payload_type = "x".repeat(2_110_000);
        let mallory = Stranger::on(&connection(&relay).await).await;

        mallory.send(swollen.encode_to_vec()).await;
        mallory.send(frame(2, b"next".to_vec())).await;

        assert_eq!(alice.delivered().await, (1, "m".to_owned()));
        assert_eq!(alice.delivered().await, (2, "next".to_owned()));
        assert!(relay.store().log().ends(general().as_str()).expect("it reads").bytes < 500, "nor does it take up the channel's room");
        relay
    });
}

#[test]
fn whatever_a_relay_can_be_told_to_take_reaches_its_members() {
    with_config(
        |config| config.limits = Limits { max_message: extension::MAX_MESSAGE, ..Limits::default() },
        |relay| async move {
            let (mut alice, mut bob) = (Member::connect(&relay).await, Member::connect(&relay).await);
            bob.listen(&general(), None).await;

            alice.send_seen(&general(), Carriage::Message, 1, Bytes::from(vec![b'x'; extension::MAX_MESSAGE]), None).await;

            assert_eq!(alice.accepted().await, (tag(1), 1));
            let (place, text) = bob.delivered().await;
            assert_eq!((place, text.len()), (1, extension::MAX_MESSAGE));
            relay
        },
    );
}

#[test]
fn a_frame_that_nobody_makes_ends_its_stream_with_the_limit_and_no_other_of_its_connection() {
    with_relay(|relay| async move {
        let connection = connection(&relay).await;
        let mut bystander = Stranger::on(&connection).await;

        for round in 0..4 {
            let mut glutton = Stranger::on(&connection).await;
            glutton.send(frame(1, vec![7; 3 << 20])).await;

            let end = glutton.next().await.expect_err("the stream ends");
            assert_eq!(end.code(), Code::OutOfRange, "{end}");
            assert!(end.message().contains("1048576") && end.message().contains("send less"), "{end}");

            bystander.send(frame(10 + round, b"hello".to_vec())).await;
            bystander.next().await.expect("it goes on").expect("it goes on");
        }
        assert_eq!(relay.store().log().ends(general().as_str()).expect("it reads").last, 4, "nothing of it was stored");
        relay
    });
}

#[test]
fn bytes_that_are_no_frame_are_refused_and_their_stream_goes_on() {
    with_relay(|relay| async move {
        use prost::Message as _;
        use toq_dataplane::wire::Message;
        use toq_dataplane::wire::message::MessageType;

        let mut stranger = Stranger::on(&connection(&relay).await).await;
        let read = |bytes: Option<Bytes>| Message::decode(bytes.expect("a frame")).expect("a message").message_type;
        for garbage in
            [vec![0xff; 1], vec![0xff; 70_000], b"\x0a\xff\xff\xff\xff\x0f".to_vec(), vec![0x0a; 4096], b"\x1a\x02\x0a\x7f".to_vec()]
        {
            stranger.send(garbage).await;
            let answer = read(stranger.next().await.expect("it goes on"));
            assert!(matches!(&answer, Some(MessageType::Refused(refused)) if refused.detail.contains("not a message")), "{answer:?}");
        }

        stranger.send(frame(1, b"hello".to_vec())).await;

        assert!(matches!(read(stranger.next().await.expect("it goes on")), Some(MessageType::Accepted(_))));
        relay
    });
}

#[test]
fn a_body_that_is_not_grpc_is_told_so() {
    with_relay(|relay| async move {
        let mut connection = connection(&relay).await;
        for (body, code) in
            [(&b"\x07\0\0\0\x01a"[..], Code::Internal), (b"\x01\0\0\0\x01a", Code::Internal), (b"\0\0\0\0\x09a", Code::Internal)]
        {
            let request = http::Request::post(format!("http://{}{PATH}", relay.grpc)).header("content-type", "application/grpc");
            let request = request.body(Body::new(Full::new(Bytes::from_static(body)))).expect("a request");
            std::future::poll_fn(|context| connection.poll_ready(context)).await.expect("it is connected");
            let answer = connection.call(request).await.expect("it answers");
            let mut frames = Streaming::<Bytes>::new_response(Raw, answer.into_body(), http::StatusCode::OK, None, None);

            let end = frames.message().await.expect_err("the stream ends");

            assert_eq!(end.code(), code, "{end}");
        }
        members_are_served(&relay, 1).await;
        relay
    });
}

#[test]
fn bytes_that_are_no_http_end_their_connection_only() {
    with_relay(|relay| async move {
        let mut alice = Member::connect(&relay).await;
        let mut noise = Vec::new();
        for round in 0..4096_u32 {
            noise.extend_from_slice(&round.wrapping_mul(2_654_435_761).to_le_bytes());
        }
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for bytes in [&noise[..], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", &[&preface[..], &noise[..]].concat()]
        {
            let mut stranger = TcpStream::connect(relay.grpc).await.expect("it listens");
            // The other end may close before it has read everything.
            drop(stranger.write_all(bytes).await);
            let mut rest = Vec::new();
            drop(stranger.read_to_end(&mut rest).await);
        }

        alice.send(&general(), 1, "undisturbed").await;
        assert_eq!(alice.accepted().await, (tag(1), 1));
        relay
    });
}

#[test]
fn a_crowd_of_idle_connections_loses_its_own_places_and_nobody_elses() {
    with_config(
        |config| config.limits = Limits { newcomers: 16, ..Limits::default() },
        |relay| async move {
            let mut alice = Member::connect(&relay).await;
            alice.listen(&general(), None).await;

            let mut crowd = Vec::new();
            for number in 0..300_u64 {
                let mut stranger = TcpStream::connect(relay.grpc).await.expect("it listens");
                // Nothing; the beginning of a preface; a whole one and then nothing.
                let said: &[u8] = [&b""[..], b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"][number as usize % 3];
                stranger.write_all(said).await.expect("there is room");
                crowd.push(stranger);
                if number % 50 == 49 {
                    members_are_served(&relay, number).await;
                    assert!(matches!(alice.next().await, Event::Delivered { .. }), "who is connected stays connected");
                }
            }

            // Those who came last have half of their time left: it is because others needed the places.
            let closing = async {
                for stranger in &mut crowd[..280] {
                    let mut rest = Vec::new();
                    drop(stranger.read_to_end(&mut rest).await);
                }
            };
            let soon = Duration::from_secs(5);
            assert!(tokio::time::timeout(soon, closing).await.is_ok(), "nobody was sent away for others");
            relay
        },
    );
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

#[test]
fn frames_that_begin_and_do_not_end_take_no_more_memory_than_there_is_room() {
    use http_body_util::StreamBody;
    use tokio_stream::StreamExt as _;

    /// What each stream promises, and what it sends of it.
    const PROMISED: u32 = 2 << 20;
    static SENT: [u8; 2_000_000] = [7; 2_000_000];

    with_relay(|relay| async move {
        members_are_served(&relay, 1).await;
        let before = resident();

        let mut crowd = Vec::new();
        for _ in 0..150 {
            let mut connection = connection(&relay).await;
            let head = Bytes::from([&[0][..], &PROMISED.to_be_bytes()].concat());
            let said = [head].into_iter().chain(SENT.chunks(16_000).map(Bytes::from_static));
            // It says no more, and does not end while somebody could.
            let (goes_on, rest) = mpsc::channel(1);
            let said =
                tokio_stream::iter(said.map(|bytes| Ok::<_, Status>(http_body::Frame::data(bytes)))).chain(ReceiverStream::new(rest));
            let request = http::Request::post(format!("http://{}{PATH}", relay.grpc)).header("content-type", "application/grpc");
            let request = request.body(Body::new(StreamBody::new(said))).expect("a request");
            std::future::poll_fn(|context| connection.poll_ready(context)).await.expect("it is connected");
            let answer = connection.call(request).await.expect("it answers");
            crowd.push((goes_on, connection, answer));
        }
        for number in 2..40 {
            members_are_served(&relay, number).await;
        }

        assert!(relay.begun().taken() > ROOM / 2, "they have begun: {}", relay.begun().taken());
        // Their promises are 300 MiB. Beside the room there is what HTTP/2 lets each send before it is read, at both ends of it.
        let grown = resident().saturating_sub(before);
        assert!(grown < 2 * ROOM as u64 + 150 * (256 << 10), "{grown}");
        drop(crowd);
        let mut alice = Member::connect(&relay).await;
        alice.send_seen(&general(), Carriage::Message, 50, Bytes::from(vec![b'x'; 1 << 20]), None).await;
        assert_eq!(alice.accepted().await.0, tag(50));
        relay
    });
}
