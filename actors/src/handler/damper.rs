//! Whether a peer says the same again and again, as a program does that answers answers.

use toq_protocol::auto_reply::{REPEAT_WINDOW, gist};
use toq_protocol::key::PeerKey;
use toq_protocol::message::Message;
use toq_store::record::{Direction, MessageRow};
use toq_store::{Seq, StoreError, Stretch};

use crate::home::Home;

/// How many bytes of a thread are compared at most; what is older than that is not.
const MAX_BYTES: usize = 256 << 10;

/// True where this is one more than `most` messages of the peer on this thread that say the same, within the window.
pub(super) fn repeats(home: &Home, message: &Message, peer: Option<&PeerKey>, seq: Seq, most: u32) -> Result<bool, StoreError> {
    let Some(thread) = &message.thread_id else { return Ok(false) };
    // What we say ourselves lies between.
    let messages = (most as usize).saturating_add(1).saturating_mul(2);
    let (rows, _) = home.store.reader().conversation(thread, Seq(0), seq, Stretch { messages, bytes: MAX_BYTES })?;
    let (since, said) = (message.timestamp.minus(REPEAT_WINDOW), gist(message.body.as_ref()));
    let is_same = |row: &&MessageRow| {
        let is_peers = row.direction() == Direction::In && row.peer().as_ref() == peer;
        is_peers && row.message().is_ok_and(|row| row.timestamp >= since && gist(row.body.as_ref()) == said)
    };
    let same = rows.iter().filter(is_same).count();
    Ok(same > most as usize)
}
