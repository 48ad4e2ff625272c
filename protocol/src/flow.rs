//! One stream: chunks in order, then the whole text.
//!
//! Chunks are forwarded as they come and not stored one by one; the text that they make is stored at the
//! end. A stream that stays silent, grows beyond its limit or is not whole at its end is aborted.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::canonical::Json;

/// What a stream may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of text.
    pub bytes: usize,
    /// The longest silence.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 << 20, idle: Duration::from_secs(60) }
    }
}

/// Why a stream came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Aborted {
    /// No chunk came for too long.
    #[error("the stream was silent for too long")]
    Idle,
    /// The text is over its limit.
    #[error("the stream is over its limit")]
    TooLarge,
    /// Chunks are missing at the end.
    #[error("the stream lost chunks")]
    Incomplete,
}

/// The body of a chunk or an end.
#[derive(Clone, Debug, Deserialize)]
pub struct Piece {
    /// The stream it belongs to.
    pub stream_id: String,
    /// What it carries; `{"text": …}` by convention.
    #[serde(default)]
    pub data: Option<Value>,
    /// How many chunks came before an end. Ours only; published peers do not count.
    #[serde(default)]
    pub chunks: Option<u64>,
}

impl Piece {
    /// Reads the body of a chunk or an end.
    #[must_use]
    pub fn parse(body: Option<&Json>) -> Option<Self> {
        serde_json::from_str(body?.as_str()).ok()
    }

    fn text(&self) -> &str {
        self.data.as_ref().and_then(|data| data.get("text")).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The body of a chunk.
#[must_use]
pub fn chunk_body(stream_id: &str, text: &str) -> Json {
    Json::from_value(&json!({"stream_id": stream_id, "data": {"text": text}}))
}

/// The body of an end, with the last text if there is one and the number of chunks before it.
#[must_use]
pub fn end_body(stream_id: &str, text: Option<&str>, chunks: u64) -> Json {
    let mut body = json!({"stream_id": stream_id, "chunks": chunks});
    if let Some(text) = text {
        body["data"] = json!({ "text": text });
    }
    Json::from_value(&body)
}

/// The body under which an end is stored: the one that came, and the whole text beside it.
#[must_use]
pub fn assembled_body(end: &Json, text: &str) -> Json {
    let mut body = end.to_value();
    if let Some(members) = body.as_object_mut() {
        members.insert("text".to_owned(), Value::from(text));
        members.remove("chunks");
    }
    Json::from_value(&body)
}

/// Follows one stream, in either direction.
#[derive(Clone, Debug)]
pub struct Flow {
    limits: Limits,
    text: String,
    chunks: u64,
    last: Duration,
}

impl Flow {
    /// A stream that has just begun.
    #[must_use]
    pub const fn new(limits: Limits, now: Duration) -> Self {
        Self { limits, text: String::new(), chunks: 0, last: now }
    }

    /// How many chunks have passed.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// How many bytes of text have passed.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// [`Aborted::TooLarge`] where it does not fit any more.
    pub fn chunk(&mut self, piece: &Piece, now: Duration) -> Result<(), Aborted> {
        let text = piece.text();
        if self.text.len() + text.len() > self.limits.bytes {
            return Err(Aborted::TooLarge);
        }
        self.text.push_str(text);
        self.chunks += 1;
        self.last = now;
        Ok(())
    }

    /// Takes the end; the whole text comes back.
    ///
    /// # Errors
    /// [`Aborted`] where the text is too long or the sender counted other chunks than came.
    pub fn end(&mut self, piece: &Piece) -> Result<String, Aborted> {
        if piece.chunks.is_some_and(|sent| sent != self.chunks) {
            return Err(Aborted::Incomplete);
        }
        let text = piece.text();
        if self.text.len() + text.len() > self.limits.bytes {
            return Err(Aborted::TooLarge);
        }
        let mut whole = self.text.clone();
        whole.push_str(text);
        Ok(whole)
    }

    /// The time at which the stream is idle for too long, should nothing come.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.last + self.limits.idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(body: &Json) -> Piece {
        Piece::parse(Some(body)).expect("valid")
    }

    #[test]
    fn chunks_and_the_last_text_make_the_whole() {
        let mut flow = Flow::new(Limits::default(), Duration::ZERO);
        flow.chunk(&piece(&chunk_body("s", "Here is ")), Duration::ZERO).expect("fits");
        flow.chunk(&piece(&chunk_body("s", "a stream")), Duration::ZERO).expect("fits");

        let end = end_body("s", Some("."), 2);
        let whole = flow.end(&piece(&end)).expect("whole");

        assert_eq!(whole, "Here is a stream.");
        assert_eq!(assembled_body(&end, &whole).as_str(), r#"{"data":{"text":"."},"stream_id":"s","text":"Here is a stream."}"#);
    }

    #[test]
    fn a_missing_chunk_is_noticed_where_the_sender_counts() {
        let mut flow = Flow::new(Limits::default(), Duration::ZERO);
        flow.chunk(&piece(&chunk_body("s", "one")), Duration::ZERO).expect("fits");

        assert_eq!(flow.end(&piece(&end_body("s", None, 2))), Err(Aborted::Incomplete));
    }

    #[test]
    fn a_stream_over_its_limit_is_refused_before_it_grows() {
        let mut flow = Flow::new(Limits { bytes: 4, idle: Duration::ZERO }, Duration::ZERO);

        assert!(flow.chunk(&piece(&chunk_body("s", "four")), Duration::ZERO).is_ok());
        assert_eq!(flow.chunk(&piece(&chunk_body("s", "!")), Duration::ZERO), Err(Aborted::TooLarge));
        assert_eq!(flow.bytes(), 4);
    }
}
