//! The stdin adapter: messages as lines of JSON on standard output, sends as lines of JSON on standard input.
//!
//! A line in is the body of `POST /v1/messages`, with the same answers, as a line of its own: `{"sent": …}` or
//! `{"error": …}`. A line out is the event of `GET /v1/messages`. What was written and not confirmed when the daemon died is
//! written again.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use toq_actors::WorkspaceRef;
use toq_api::{Client, ClientError, SendRequest, SendResponse};

use super::inbox::{Inbox, InboxError};

/// The consumer whose place this is.
const CONSUMER: &str = "adapter-stdin";

/// How many lines may wait.
const WAITING: usize = 64;

/// How long to wait for the disk before another try.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes each message that comes in, until the daemon ends or nobody reads any more.
pub async fn write(workspace: WorkspaceRef) {
    while let Err(error) = follow(&workspace).await {
        tracing::warn!(%error, "writing to standard output is interrupted; messages wait");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(workspace: &WorkspaceRef) -> Result<(), InboxError> {
    let mut inbox = Inbox::open(workspace, CONSUMER).await?;
    while let Some((seq, row)) = inbox.next().await? {
        let mut event = toq_http::event(&row)?;
        event.seq = Some(seq.0);
        if say(&json!(event)).is_err() {
            tracing::warn!("nobody reads standard output any more; messages wait");
            return Ok(());
        }
        // The line is out: it is not written again for a disk that is full for a moment.
        while let Err(error) = inbox.confirm(seq).await {
            tracing::error!(%error, "the place of standard output cannot be stored; messages wait");
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Sends what stands on standard input, through the API like everybody else, until its end.
pub async fn read(client: Client) {
    let (lines, mut read) = mpsc::channel::<String>(WAITING);
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
