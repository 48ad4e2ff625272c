//! What published members get: their frames as they were captured, nothing of the extension, and what they need to join.

mod world;

use std::time::Duration;

use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use toq_channels::{ChannelName, frame};
use toq_dataplane::wire::data_plane_service_client::DataPlaneServiceClient;
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::wire::{CommandPayload, Content, command_payload::CommandPayloadType};
use toq_dataplane::wire::{Empty, Message, Publish, content::ContentType};
use toq_dataplane::{Carriage, Event, extension};
use toq_relay::{Config, Relay};
use world::{Member, commit, general, with_config, with_relay};

/// A member that knows the published protocol only.
struct Wheel {
    outgoing: mpsc::Sender<Message>,
    incoming: Streaming<Message>,
}

impl Wheel {
    async fn connect(relay: &Relay) -> Result<Self, Status> {
        let mut client = DataPlaneServiceClient::connect(format!("http://{}", relay.grpc)).await.expect("it listens");
        let (outgoing, queue) = mpsc::channel(64);
        // Returns only when the headers are there, and nothing has been sent yet.
        let answer = client.open_channel(ReceiverStream::new(queue)).await?;
        assert!(answer.metadata().get(extension::HEADER).is_none(), "the extension is not offered to who did not ask");
        Ok(Self { outgoing, incoming: answer.into_inner() })
    }

    async fn send(&self, message: Message) {
        self.outgoing.send(message).await.expect("it is sent");
    }

    async fn listen(&self, channel: &ChannelName) {
        self.send(extension::subscribe(channel, None, None)).await;
    }

    async fn publish(&self, carriage: Carriage, blob: Bytes) {
        self.send(extension::publish(&general(), carriage, blob, None, None)).await;
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(Duration::from_secs(30), self.incoming.message()).await;
        next.expect("something comes").expect("the stream is whole").expect("the stream lives")
    }

    /// The next message's bytes and place.
    async fn heard(&mut self) -> (Bytes, u64) {
        let message = self.next().await;
        let Some(MessageType::Publish(publish)) = &message.message_type else { panic!("not a publication: {message:?}") };
        let (_, blob) = extension::carried(publish).expect("it carries something");
        extension::without_trailer(blob).expect("with a trailer")
    }
}

/// Subscribes a member with the extension from the beginning and returns once what others sent is in the log.
async fn witness(relay: &Relay, last: u64) -> Member {
    let mut witness = Member::connect(relay).await;
    witness.listen(&general(), Some(0)).await;
    loop {
        match witness.next().await {
            Event::Delivered { seq, .. } if seq >= last => return witness,
            Event::CaughtUp { seq: 0, .. } if last == 0 => return witness,
            Event::Delivered { .. } | Event::CaughtUp { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn a_forwarded_message_is_byte_for_byte_what_published_members_expect() {
    with_relay(|relay| async move {
        let (alice, mut bob) = (Wheel::connect(&relay).await.expect("in"), Wheel::connect(&relay).await.expect("in"));
        bob.listen(&general()).await;
        let mut witness = witness(&relay, 0).await;
        // Bob's subscription is in force once something published after it reaches him; until then he may miss it.
        let blob = Bytes::from_static(&[0, 1, 0, 2, 0x20, 1]);
        alice.publish(Carriage::Message, blob.clone()).await;
        assert!(matches!(witness.next().await, Event::Delivered { seq: 1, .. }));
        alice.publish(Carriage::Message, blob.clone()).await;

        let (mut heard, mut seq) = (bob.next().await, 0);
        if let Some(MessageType::Publish(publish)) = &heard.message_type {
            seq = extension::carried(publish).and_then(|(_, blob)| extension::without_trailer(blob)).expect("a place").1;
        }
        assert!(seq == 1 || seq == 2);
        if seq == 1 {
            heard = bob.next().await;
        }

        let expected = "1a350a19121712150a0461636d6512047465616d1a0767656e6572616c1204080210011a120a10120e0001000220010000000000000002";
        let hex: String = heard.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        relay
    });
}

#[test]
fn a_published_member_does_not_hear_itself_and_hears_members_with_the_extension() {
    with_relay(|relay| async move {
        let mut bob = Wheel::connect(&relay).await.expect("in");
        bob.listen(&general()).await;
        bob.publish(Carriage::Message, Bytes::from_static(b"mine")).await;
        let alice = witness(&relay, 1).await;

        alice.send(&general(), 1, "ours").await;

        assert_eq!(bob.heard().await, (Bytes::from_static(b"ours"), 2));
        relay
    });
}

#[test]
fn a_joiner_gets_the_commits_that_it_missed_and_then_everything_without_a_gap() {
    with_relay(|relay| async move {
        let alice = Wheel::connect(&relay).await.expect("in");
        alice.listen(&general()).await;
        for epoch in 0..3 {
            alice.publish(Carriage::Commit, commit(&general(), epoch, 0)).await;
            alice.publish(Carriage::Message, Bytes::from_static(b"not for joiners")).await;
        }
        let member = witness(&relay, 6).await;

        let mut joiner = Wheel::connect(&relay).await.expect("in");
        joiner.listen(&general()).await;
        for epoch in 0..3 {
            assert_eq!(joiner.heard().await, (commit(&general(), epoch, 0), epoch * 2 + 1));
        }
        member.send(&general(), 1, "live").await;

        assert_eq!(joiner.heard().await, (Bytes::from_static(b"live"), 7));
        relay
    });
}

#[test]
fn a_joiner_is_given_both_commits_of_an_epoch_and_a_forged_one_hides_none() {
    with_relay(|relay| async move {
        let mallory = Member::connect(&relay).await;
        // Whoever says that it has read everything is believed, and members find out.
        for (number, epoch, salt) in [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 2, 0), (5, 0, 9)] {
            mallory.send_seen(&general(), Carriage::Commit, number, commit(&general(), epoch, salt), Some(u64::MAX)).await;
        }
        witness(&relay, 5).await;

        let mut joiner = Wheel::connect(&relay).await.expect("in");
        joiner.listen(&general()).await;

        for (place, epoch, salt) in [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 2, 0), (5, 0, 9)] {
            assert_eq!(joiner.heard().await, (commit(&general(), epoch, salt), place), "the first one of an epoch comes first");
        }
        relay
    });
}

/// A commit of which a few are more than what is on its way to one who does not read.
fn large_commit(epoch: u64) -> Bytes {
    Bytes::from([&commit(&general(), epoch, 0)[..], &vec![0; 250_000]].concat())
}

/// Everything in the log by place: the epoch of a commit.
async fn epochs(relay: &Relay, last: u64) -> Vec<u64> {
    let mut witness = Member::connect(relay).await;
    witness.listen(&general(), Some(0)).await;
    let mut found = Vec::new();
    while found.len() < usize::try_from(last).expect("small") {
        match witness.next().await {
            Event::Delivered { blob, .. } => found.push(frame::peek(&blob).map_or(u64::MAX, |head| head.epoch)),
            Event::CaughtUp { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
    found
}

#[test]
fn a_published_members_commit_of_an_epoch_whose_commit_it_was_not_handed_is_dropped() {
    with_relay(|relay| async move {
        let mut bob = Member::connect(&relay).await;
        let mut wheel = Wheel::connect(&relay).await.expect("in");
        wheel.listen(&general()).await;
        bob.send(&general(), 1, "first").await;
        bob.accepted().await;
        bob.send(&general(), 2, "second").await;
        bob.accepted().await;
        assert!(wheel.heard().await.1 <= 2, "it listens");
        // Far more than is on its way to one who does not read, and then a commit.
        let text = "x".repeat(60_000);
        for number in 3..=100 {
            bob.send(&general(), number, &text).await;
            bob.accepted().await;
        }
        bob.send_seen(&general(), Carriage::Commit, 101, commit(&general(), 4, 1), Some(100)).await;
        assert_eq!(bob.accepted().await.1, 101);

        wheel.publish(Carriage::Commit, commit(&general(), 4, 2)).await;
        wheel.publish(Carriage::Commit, commit(&general(), 5, 2)).await;

        assert_eq!(epochs(&relay, 102).await[100..], [4, 5], "the one of an epoch that is not taken stands");
        relay
    });
}

#[test]
fn a_published_members_stream_ends_where_what_it_sent_is_lost() {
    let changes: [fn(&mut Config); 3] = [
        |config| config.limits.max_message = 1024,
        |config| config.retention.bytes_per_channel = 1024,
        |config| config.limits.channels_in_use = 0,
    ];
    for (change, code) in changes.into_iter().zip([Code::OutOfRange, Code::ResourceExhausted, Code::ResourceExhausted]) {
        with_config(change, |relay| async move {
            let mut alice = Wheel::connect(&relay).await.expect("in");

            alice.publish(Carriage::Message, Bytes::from(vec![7; 1025])).await;
            alice.publish(Carriage::Message, Bytes::from_static(b"as if nothing had happened")).await;

            let end = tokio::time::timeout(Duration::from_secs(30), alice.incoming.message()).await.expect("something comes");
            assert_eq!(end.expect_err("it is told").code(), code);
            relay
        });
    }
}

#[test]
fn a_joiners_commit_does_not_pass_the_commits_that_it_is_being_given() {
    with_relay(|relay| async move {
        let mut bob = Member::connect(&relay).await;
        for epoch in 0..40 {
            bob.send_seen(&general(), Carriage::Commit, epoch, large_commit(epoch), Some(epoch)).await;
            assert_eq!(bob.accepted().await.1, epoch + 1);
        }
        let mut joiner = Wheel::connect(&relay).await.expect("in");
        joiner.listen(&general()).await;
        assert_eq!(joiner.heard().await.1, 1, "the others wait for it to read");

        joiner.publish(Carriage::Commit, commit(&general(), 39, 7)).await;
        joiner.publish(Carriage::Commit, commit(&general(), 40, 7)).await;

        assert_eq!(epochs(&relay, 41).await[39..], [39, 40], "its commit of a taken epoch is not in the log");
        for place in 2..=40 {
            assert_eq!(joiner.heard().await.1, place);
        }
        relay
    });
}

#[test]
fn a_new_group_of_the_same_name_begins_at_its_first_epoch_again() {
    with_relay(|relay| async move {
        let mut alice = Member::connect(&relay).await;
        alice.send_seen(&general(), Carriage::Commit, 1, commit(&general(), 0, 1), Some(0)).await;
        assert_eq!(alice.accepted().await.1, 1);

        let mut again = Wheel::connect(&relay).await.expect("in");
        again.listen(&general()).await;
        assert_eq!(again.heard().await.1, 1);
        // What it was handed counts once it listens to what is new.
        alice.send(&general(), 2, "live").await;
        assert_eq!(again.heard().await.1, 2);
        again.publish(Carriage::Commit, commit(&general(), 0, 3)).await;

        assert_eq!(epochs(&relay, 3).await, [0, u64::MAX, 0]);
        relay
    });
}

#[test]
fn frames_that_mean_nothing_are_ignored_and_the_stream_goes_on() {
    with_relay(|relay| async move {
        let mut bob = Wheel::connect(&relay).await.expect("in");
        bob.listen(&general()).await;
        let nothing = |command| Publish {
            header: Some(extension::header(&general())),
            session: None,
            msg: Some(Content { content_type: Some(ContentType::CommandPayload(CommandPayload { command_payload_type: Some(command) })) }),
        };
        for frame in [
            Message::default(),
            Message { message_type: Some(MessageType::Publish(Publish::default())), ..Message::default() },
            Message { message_type: Some(MessageType::Publish(nothing(CommandPayloadType::Ping(Empty {})))), ..Message::default() },
            Message { message_type: Some(MessageType::Publish(nothing(CommandPayloadType::GroupAck(Empty {})))), ..Message::default() },
        ] {
            bob.send(frame).await;
        }
        bob.publish(Carriage::Message, Bytes::new()).await;
        bob.publish(Carriage::Message, Bytes::from_static(b"first")).await;

        let mut alice = Member::connect(&relay).await;
        assert!(witness(&relay, 1).await.link.is_extended());
        alice.send(&general(), 1, "second").await;

        assert_eq!(alice.accepted().await.1, 2, "only one of them was appended");
        assert_eq!(bob.heard().await.0, Bytes::from_static(b"second"));
        relay
    });
}

#[test]
fn without_a_token_nobody_is_let_in_unless_the_relay_says_so() {
    with_config(
        |config| config.anonymous = false,
        |relay| async move {
            let refused = Wheel::connect(&relay).await.err().expect("not let in");

            assert_eq!(refused.code(), Code::Unauthenticated);
            assert!(refused.message().contains("authorization: Bearer"), "{refused}");
            relay
        },
    );
}

#[test]
fn health_is_told_on_the_same_port() {
    with_relay(|relay| async move {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", relay.grpc)).expect("a url").connect().await;
        let mut client = HealthClient::new(channel.expect("it listens"));

        for service in ["", "dataplane.proto.v1.DataPlaneService"] {
            let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await.expect("it answers");
            assert_eq!(answer.into_inner().status, 1, "serving");
        }
        relay
    });
}
