//! Reads server-sent events from bytes, without I/O.
//!
//! The parser knows the three fields that toq sends: `data:`, `id:` and comments. Comments are handed out too,
//! because the daemon says in one (`: gap …`) that a reader has missed something. What a server may make us hold
//! is bounded: one event of [`EVENT_MAX`] bytes, after which the stream is refused instead of the memory filled.

use std::collections::VecDeque;

/// The largest event that is read: a message at the largest configurable size, escaped byte by byte.
pub const EVENT_MAX: usize = 64 * 1024 * 1024;

/// What a stream says next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A comment; an empty one only keeps the connection alive.
    Comment(String),
    /// An event, with the id to resume after if it has one.
    Data {
        /// The `id:` line.
        id: Option<String>,
        /// The `data:` lines, joined.
        data: String,
    },
}

/// An event is larger than [`EVENT_MAX`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the stream holds an event of more than {EVENT_MAX} bytes")]
pub struct TooLarge;

/// Turns chunks of bytes into events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    data: Option<String>,
    ready: VecDeque<Event>,
}

impl Parser {
    /// Takes the next bytes of the stream, cut anywhere.
    ///
    /// # Errors
    /// When the event being read grows beyond [`EVENT_MAX`]; the parser is of no use afterwards.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), TooLarge> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.hold(&bytes[..end])?;
            let line = std::mem::take(&mut self.line);
            self.take(line.strip_suffix(b"\r").unwrap_or(&line));
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes)
    }

    /// Returns the next complete event.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let gathered = self.data.as_ref().map_or(0, String::len);
        if gathered + self.line.len() + bytes.len() > EVENT_MAX {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            let id = self.id.take();
            if let Some(data) = self.data.take() {
                self.ready.push_back(Event::Data { id, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.ready.push_back(Event::Comment(value.to_owned())),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "id" => self.id = Some(value.to_owned()),
            // Other fields carry nothing that toq uses, and the standard says to ignore them.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "id: 41\ndata: {\"id\":\"a\"}\n\n:\n\nevent: x\ndata: one\ndata: two\r\n\r\n: gap 3\n\n";

    fn events(chunks: impl IntoIterator<Item = Vec<u8>>) -> Vec<Event> {
        let mut parser = Parser::default();
        for chunk in chunks {
            parser.feed(&chunk).expect("small");
        }
        std::iter::from_fn(|| parser.pop()).collect()
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        let whole = events([STREAM.as_bytes().to_vec()]);

        let single = events(STREAM.bytes().map(|byte| vec![byte]));

        assert_eq!(whole, single);
    }

    #[test]
    fn ids_data_and_comments_are_told_apart() {
        let read = events([STREAM.as_bytes().to_vec()]);

        assert_eq!(
            read,
            [
                Event::Data { id: Some("41".into()), data: r#"{"id":"a"}"#.into() },
                Event::Comment(String::new()),
                Event::Data { id: None, data: "one\ntwo".into() },
                Event::Comment("gap 3".into()),
            ]
        );
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; EVENT_MAX / 2 + 1];

        assert_eq!(parser.feed(&piece), Ok(()));
        assert_eq!(parser.feed(&piece), Err(TooLarge));
    }
}
