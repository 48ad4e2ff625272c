//! The conversation so far, from the log.

use toq_protocol::dialogue::{Dialogue, Row, Speaker};
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::Proof;
use toq_store::record::{Direction, MessageRow};
use toq_store::{Seq, StoreError, Stretch};

use crate::handler::work::{Order, RunError};

/// How much of a thread is read: many times what a model is shown, and read in some milliseconds.
const STRETCH: Stretch = Stretch { messages: 1_000, bytes: 8 << 20 };

/// What was said on the thread of a message, by its sender and by us.
pub(super) struct Past {
    pub(super) dialogue: Dialogue,
    /// False where only the newest part was read.
    pub(super) is_whole: bool,
}

impl Past {
    pub(super) fn read(order: &Order) -> Result<Self, RunError> {
        let disk = |error: StoreError| RunError::Failed(format!("the conversation cannot be read: {error}"));
        let message = &order.message;
        let reader = order.home.store.reader();
        // What was forgotten before this message came, or while it waited, is not part of it; the message itself is.
        let forgotten = order.peer.map_or(Ok(Seq(0)), |peer| reader.unremembered(&peer)).map_err(disk)?;
        let after = forgotten.min(Seq(order.seq.0.saturating_sub(1)));
        let (rows, is_whole) = match &message.thread_id {
            Some(thread) => reader.conversation(thread, after, reader.last(), STRETCH).map_err(disk)?,
            None => (vec![MessageRow::new(Direction::In, message, order.peer)], true),
        };
        // What another key said on a thread of the same name is none of this conversation.
        let relevant = rows.iter().filter(|row| row.direction() == Direction::Out || row.peer() == order.peer);
        let rows: Vec<Row<'_>> = relevant.filter_map(dialogue_row).collect();
        let dialogue = Dialogue::rebuild(&rows, &message.id, &label(&message.from.wire(), order.peer, order.proof));
        Ok(Self { dialogue, is_whole })
    }
}

/// What a model is told of who speaks: an address is only what the peer says, unless it is proven; a key always is.
fn label(address: &str, peer: Option<PeerKey>, proof: Proof) -> String {
    let standing = if proof.is_proven() { "address proven" } else { "address only claimed" };
    match peer {
        Some(key) => format!("{address} ({standing}; proven key {key})"),
        None => format!("{address} ({standing}; no key)"),
    }
}

/// A row as far as a model is concerned; `None` for what it is not shown.
fn dialogue_row(row: &MessageRow) -> Option<Row<'_>> {
    let speaker = if row.direction() == Direction::In { Speaker::Peer } else { Speaker::Own };
    let closes = match Kind::parse(row.kind())? {
        Kind::MessageSend | Kind::MessageStreamEnd => false,
        Kind::ThreadClose => true,
        _ => return None,
    };
    let body = row.message().ok()?.body;
    // A body without a text is shown as it is.
    let text = body.map(|body| body.text().unwrap_or_else(|| if closes { String::new() } else { body.as_str().to_owned() }));
    Some(Row { id: row.id(), reply_to: row.reply_to(), speaker, closes, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_whether_an_address_is_proven_or_only_claimed() {
        let key = PeerKey::from_bytes([7; 32]);

        assert_eq!(label("toq://h/a", Some(key), Proof::Claimed), format!("toq://h/a (address only claimed; proven key {key})"));
        assert_eq!(label("toq://h/a", Some(key), Proof::Dialled), format!("toq://h/a (address proven; proven key {key})"));
        assert_eq!(label("toq://h/a", None, Proof::Claimed), "toq://h/a (address only claimed; no key)");
    }
}
