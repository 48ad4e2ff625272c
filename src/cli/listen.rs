//! Shows messages as they arrive.
//!
//! The stream is taken up again after a restart of the daemon, from the last message that was shown. As a consumer
//! (`--consumer`) nothing is missed even between two calls: a message is confirmed after it has been printed,
//! so a crash in between shows it twice rather than never.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toq_api::sse::Event;
use toq_api::{Client, ClientError, ConfirmRequest, ConfirmResponse, HistoryResponse, MessageEvent};

use super::desk::Desk;
use super::failure::Failure;
use super::{message, sanitize};

/// How long a daemon may be away: time enough for a restart.
const AWAY: Duration = Duration::from_secs(30);
/// How long to wait before knocking again.
const KNOCK: Duration = Duration::from_millis(500);

/// Shows messages as they arrive, until interrupted
#[derive(Debug, clap::Args)]
pub struct Listen {
    /// Only messages from addresses that match this pattern
    #[arg(long, value_name = "PATTERN")]
    from: Option<String>,
    /// Only messages of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Reads as this durable consumer: continues where it stopped and confirms what was shown
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Begins after this place in the log or this time; 0 is the beginning
    #[arg(long, value_name = "SEQ|TIME")]
    since: Option<String>,
    /// Stops after this many messages
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Listen {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        if let Some(consumer) = self.consumer.as_deref()
            && !toq_api::consumer::is_name(consumer)
        {
            return Err(Failure::error("a consumer's name is lower-case letters, digits, - and _, at most 63"));
        }
        let mut place = Place { last: None, left: self.limit.unwrap_or(u64::MAX), away: None, known: false };
        while place.left > 0 {
            match self.follow(desk, &mut place).await {
                Ok(()) => {}
                Err(End::Stop(failure)) => return Err(failure),
                // The first connection must succeed; later ones may take a while.
                Err(End::Away(failure)) if !place.known => return Err(failure),
                Err(End::Away(failure)) => {
                    if place.away.get_or_insert_with(super::now).elapsed() > AWAY {
                        return Err(failure);
                    }
                    tokio::time::sleep(KNOCK).await;
                }
            }
        }
        Ok(())
    }

    async fn follow(&self, desk: &Desk, place: &mut Place) -> Result<(), End> {
        // Asked every time, because a restarted daemon may be at another port.
        let client = desk.client().map_err(End::Away)?;
        let mut query: Vec<(&str, &str)> = Vec::new();
        let since = self.since.as_deref().filter(|_| place.last.is_none());
        let options = [("from", &self.from), ("type", &self.kind), ("consumer", &self.consumer)];
        query.extend(options.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
        query.extend(since.map(|since| ("since", since)));
        if !place.known && self.since.is_none() && self.consumer.is_none() {
            place.last = newest(&client).await?;
        }
        let last = place.last.as_deref().filter(|_| self.consumer.is_none());
        let mut events = client.events(&["v1", "messages"], &query, last).await?;
        place.known = true;
        place.away = None;
        while place.left > 0 {
            match events.next().await? {
                Some(Event::Comment(text)) if text.starts_with("gap") => {
                    desk.output.note(&format!("some messages were not shown ({})", sanitize::name(&text)));
                }
                Some(Event::Comment(_)) => {}
                Some(Event::Data { id, data }) => {
                    self.show(desk, &client, &data).await?;
                    place.last = id.or(place.last.take());
                    place.left -= 1;
                }
                None => return Err(End::Away(Failure::not_running())),
            }
        }
        Ok(())
    }

    async fn show(&self, desk: &Desk, client: &Client, data: &str) -> Result<(), End> {
        let json: Value = serde_json::from_str(data).map_err(|error| ClientError::Decode(error.into()))?;
        let event: MessageEvent = serde_json::from_value(json.clone()).map_err(|error| ClientError::Decode(error.into()))?;
        desk.output.answer(|| json!(json), || message::words(&event)).map_err(End::Stop)?;
        if let Some(consumer) = &self.consumer {
            // Two senders may have used the same id.
            let confirm = match event.seq {
                Some(seq) => ConfirmRequest::Seqs { seqs: vec![seq] },
                None => ConfirmRequest::Ids { ids: vec![event.id] },
            };
            let path = ["v1", "consumers", consumer.as_str(), "confirm"];
            let _: ConfirmResponse = client.post(&path, &[], &confirm).await?;
        }
        Ok(())
    }
}

/// Returns the place of the newest message, so that what arrives while a stream is being opened, or before the first
/// message was shown, is not missed.
async fn newest(client: &Client) -> Result<Option<String>, ClientError> {
    let query = [("limit", "1"), ("outgoing", "true")];
    let history: HistoryResponse = match client.get(&["v1", "messages", "history"], &query).await {
        // A daemon that cannot say starts the stream at now.
        Err(ClientError::Api { .. }) => return Ok(None),
        answer => answer?,
    };
    match history.messages.last() {
        Some(message) => Ok(message.seq.map(|seq| seq.to_string())),
        None => Ok(Some("0".to_owned())),
    }
}

/// How far the reader is.
struct Place {
    /// The id of the last event.
    last: Option<String>,
    /// How many messages are still wanted.
    left: u64,
    /// Since when the daemon has been away.
    away: Option<Instant>,
    /// Whether the daemon has ever been there.
    known: bool,
}

/// Why a stream ended.
enum End {
    /// The daemon is gone and may come back.
    Away(Failure),
    /// There is no point in going on.
    Stop(Failure),
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotRunning | ClientError::Timeout | ClientError::Transport(_) => Self::Away(error.into()),
            // Draining or overloaded: it says itself that it is worth another try.
            ClientError::Api { status: 503, .. } => Self::Away(error.into()),
            other => Self::Stop(other.into()),
        }
    }
}
