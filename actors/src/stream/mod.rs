//! Open streams: one actor each, in either direction.
//!
//! Each owns a [`Flow`](toq_protocol::flow::Flow), which assembles the text. Chunks are passed on as they
//! come and not stored; the end stores the whole. A stream that is silent for too long or whose connection
//! is lost is aborted and says so; none resumes silently.

mod incoming;
mod outgoing;

pub use incoming::{Chunk, End, InKey, IncomingStream, assembled};
pub use outgoing::{Conclude, EndOut, OutKey, OutgoingStream, Piece, Start};

use toq_protocol::address::Address;
use toq_protocol::flow::{Flow, Limits};
use toq_store::Batch;
use toq_store::batch::Change;
use toq_store::record::EventRow;

use crate::describe::Description;
use crate::home::Home;

fn limits(home: &Home) -> Limits {
    Limits { bytes: home.config.limits.stream_max_bytes, idle: home.config.limits.stream_idle }
}

/// What is written when a stream comes to nothing.
fn aborted(home: &Home, stream_id: &str, address: String, why: &str) -> Batch {
    Batch::new(vec![Change::Event(EventRow {
        kind: "stream.aborted".to_owned(),
        subject: stream_id.to_owned(),
        address: Some(address),
        reason: Some(why.to_owned()),
        timestamp: home.wall().as_nanos(),
    })])
}

/// A stream in a few words: `from` or `to` whom it goes, and how much it has carried.
fn described(stream_id: &str, way: (&'static str, &'static str), address: &Address, flow: &Flow) -> Description {
    let (direction, preposition) = way;
    let detail = vec![
        ("direction", direction.to_owned()),
        (preposition, address.wire()),
        ("chunks", flow.chunks().to_string()),
        ("bytes", flow.bytes().to_string()),
    ];
    Description::leaf("stream", stream_id.to_owned(), detail)
}
