//! The conversation so far, from the log.

use toq_protocol::dialogue::{Dialogue, Row, Speaker};
use toq_protocol::envelope::Kind;
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
        let key = order.peer.map_or_else(|| "no key".to_owned(), |key| format!("proven key {key}"));
        let dialogue = Dialogue::rebuild(&rows, &message.id, &format!("{} ({key})", message.from.wire()));
        Ok(Self { dialogue, is_whole })
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
