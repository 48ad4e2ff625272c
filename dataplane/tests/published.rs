//! Frames of published members, as they were captured, against what we read and write.

use prost::Message as _;
use prost::bytes::Bytes;
use toq_channels::ChannelName;
use toq_dataplane::extension::{carried, destination, publish, subscribe, without_trailer};
use toq_dataplane::wire::Message;
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::{Carriage, Tag};

const SUBSCRIBE: &str = "0a1b0a19121712150a0461636d6512047465616d1a0767656e6572616c";
const MESSAGE: &str = "1a2d0a19121712150a0461636d6512047465616d1a0767656e6572616c1204080210011a0a0a081206000100022001";
const FORWARDED: &str = "1a350a19121712150a0461636d6512047465616d1a0767656e6572616c1204080210011a120a10120e000100022001000000000000002a";
const COMMIT: &str = "1a2f0a19121712150a0461636d6512047465616d1a0767656e6572616c12040802100b1a0c120a3a081a06120400010001";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex")).collect()
}

fn general() -> ChannelName {
    ChannelName::parse("acme/team/general").expect("a name")
}

fn published(hex: &str) -> toq_dataplane::wire::Publish {
    match Message::decode(bytes(hex).as_slice()).expect("a frame").message_type {
        Some(MessageType::Publish(publish)) => publish,
        other => panic!("not a publication: {other:?}"),
    }
}

#[test]
fn what_we_write_without_the_extension_is_what_published_members_write() {
    let message = publish(&general(), Carriage::Message, Bytes::from(bytes("000100022001")), None, None);
    let commit = publish(&general(), Carriage::Commit, Bytes::from(bytes("00010001")), None, None);

    assert_eq!(subscribe(&general(), None, None).encode_to_vec(), bytes(SUBSCRIBE));
    assert_eq!(message.encode_to_vec(), bytes(MESSAGE));
    assert_eq!(commit.encode_to_vec(), bytes(COMMIT));
}

#[test]
fn a_forwarded_message_is_taken_apart_into_its_bytes_and_its_place() {
    let publish = published(FORWARDED);

    let (carriage, blob) = carried(&publish).expect("it carries something");

    assert_eq!(destination(publish.header.as_ref()), Ok(general()));
    assert_eq!(carriage, Carriage::Message);
    assert_eq!(without_trailer(blob), Some((Bytes::from(bytes("000100022001")), 42)));
}

#[test]
fn bytes_that_are_all_trailer_carry_nothing() {
    for length in 0..=8 {
        assert_eq!(without_trailer(&Bytes::from(vec![1; length])), None);
    }
}

#[test]
fn every_carriage_is_read_back_as_what_it_was_written() {
    for carriage in [Carriage::Message, Carriage::Commit, Carriage::Proposal, Carriage::Welcome] {
        let frame = publish(&general(), carriage, Bytes::from_static(b"mls"), Some(Tag([7; 16])), Some(3));
        let read = Message::decode(frame.encode_to_vec().as_slice()).expect("a frame");

        assert_eq!((read.seen, Tag::read(&read.tag)), (Some(3), Some(Tag([7; 16]))));
        let Some(MessageType::Publish(publish)) = read.message_type else { panic!("not a publication") };
        assert_eq!(carried(&publish), Some((carriage, &Bytes::from_static(b"mls"))));
    }
}

#[test]
fn a_header_that_names_nothing_or_something_else_is_refused() {
    assert!(destination(None).is_err());
    let mut header = toq_dataplane::extension::header(&general());
    if let Some(name) = header.destination.as_mut().and_then(|name| name.str_name.as_mut()) {
        name.str_component_0 = "acme/team".to_owned();
    }
    assert!(destination(Some(&header)).is_err(), "a/b and c is another split than a and b/c");
}
