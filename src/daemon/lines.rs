//! The stdin adapter: messages as lines of JSON on standard output, sends as lines of JSON on standard input.
//!
//! A line in is the body of `POST /v1/messages`, with the same answers, as a line of its own: `{"sent": …}` or
//! `{"error": …}`. A line out is the event of `GET /v1/messages`. What was written and not confirmed when the daemon died is
//! written again.

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use toq_actors::WorkspaceRef;
use toq_actors::workspace::Consume;
use toq_api::{Client, ClientError, SendRequest, SendResponse};
use toq_kit::ask;
use toq_store::Seq;
use toq_store::record::Direction;

/// The consumer whose place this is.
const CONSUMER: &str = "adapter-stdin";

/// How many rows are read at once, and how many lines may wait.
const PAGE: usize = 64;

/// Writes each message that comes in, until the daemon ends or nobody reads any more.
pub async fn write(workspace: WorkspaceRef) {
    let reader = workspace.home.store.reader();
    let mut tail = reader.watch();
    tail.mark_changed();
    if !consume(&workspace, Consume::Begin(CONSUMER.to_owned(), reader.last())).await {
        return;
    }
    let Ok(Some(place)) = reader.consumer(CONSUMER) else { return };
    let mut cursor = Seq(place.low_water);
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
                if row.direction() == Direction::Out || place.confirmed.binary_search(&seq.0).is_ok() {
                    continue;
                }
                let Ok(mut event) = toq_http::event(&row) else { continue };
                event.seq = Some(seq.0);
                if say(&json!(event)).is_err() {
                    return tracing::warn!("nobody reads standard output any more; messages wait");
                }
                if !consume(&workspace, Consume::Confirm(CONSUMER.to_owned(), vec![seq])).await {
                    return;
                }
            }
        }
    }
}

async fn consume(workspace: &WorkspaceRef, command: Consume) -> bool {
    let done = ask(&workspace.address(), command).await.is_ok_and(|done| done.is_ok());
    if !done {
        tracing::error!("the place of standard output cannot be stored; messages wait");
    }
    done
}

/// Sends what stands on standard input, through the API like everybody else, until its end.
pub async fn read(client: Client) {
    let (lines, mut read) = mpsc::channel::<String>(PAGE);
    // Reading blocks, and ends with the process.
    let reading = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    if let Err(error) = reading {
        return tracing::error!(%error, "standard input cannot be read");
    }
    while let Some(line) = read.recv().await {
        if !line.trim().is_empty() && say(&answer(&client, &line).await).is_err() {
            return;
        }
    }
}

async fn answer(client: &Client, line: &str) -> Value {
    let request: SendRequest = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return json!({"error": {"code": "invalid_request", "message": format!("the line is no message: {error}")}}),
    };
    match client.post::<_, SendResponse>(&["v1", "messages"], &[("wait", "false")], &request).await {
        Ok(sent) => json!({ "sent": sent }),
        Err(ClientError::Api { body, .. }) => json!(body),
        Err(error) => json!({"error": {"code": "unavailable", "message": error.to_string()}}),
    }
}

fn say(line: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", crate::cli::sanitize::json(&line.to_string()))?;
    out.flush()
}
