//! What `toq up --foreground` shows: the greeting, then messages as they arrive.

use std::io::Write as _;
use std::sync::Arc;

use toq_actors::Home;
use toq_store::record::Direction;

use crate::cli::sanitize;

/// How many rows are read at once.
const PAGE: usize = 64;

/// Says who is up and where.
pub fn greet(home: &Home, port: u16) {
    say(&format!(
        "toq up on {}\n  public key: {}\n  listening on {}:{port}\n  connection mode: {}",
        home.local().address.written(),
        home.local().identity.public(),
        home.config.bind,
        home.config.connection_mode.as_str(),
    ));
}

/// Shows each message that comes in, until the daemon ends.
pub async fn messages(home: Arc<Home>) {
    let reader = home.store.reader();
    let mut tail = reader.watch();
    let mut cursor = reader.last();
    while tail.changed().await.is_ok() {
        let newest = *tail.borrow_and_update();
        while cursor < newest {
            let rows = match reader.messages_after(cursor, PAGE) {
                Ok(rows) => rows,
                Err(error) => return tracing::error!(%error, "the log cannot be shown"),
            };
            if rows.is_empty() {
                cursor = newest;
            }
            for (seq, row) in rows {
                cursor = seq;
                let Ok(message) = row.message() else { continue };
                if row.direction() == Direction::In {
                    let text = message.body.as_ref().and_then(toq_protocol::Json::text).unwrap_or_default();
                    let text = if text.is_empty() { format!("({})", message.kind) } else { sanitize::text(&text) };
                    say(&format!("[{}] {}: {text}", message.timestamp, sanitize::text(&message.from.wire())));
                }
            }
        }
    }
}

/// Prints a line. A terminal that has gone away is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
}
