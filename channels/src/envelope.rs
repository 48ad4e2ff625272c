//! Envelopes: a payload with a word about which protocol it belongs to.
//!
//! ```text
//! [length of the header, u32 little-endian][header, JSON in UTF-8][payload]
//! ```
//!
//! The header's members are `p` (protocol), `ct` (content type) and `md` (metadata, absent when there is none), written without
//! spaces and with every character beyond ASCII escaped, which makes the bytes those of published members. Whatever a member sends
//! may be meant as something else (a plain text, say), so refusing is the ordinary case here and costs little: the length is
//! checked before anything is read.

use std::fmt::{self, Write as _};

use crate::members::Members;

/// The longest header, in bytes.
pub const MAX_HEADER: usize = 65_536;

/// The content type of an envelope that names none.
pub const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

const LENGTH: usize = 4;
/// The shortest header is `{}`.
const MIN_ENVELOPE: usize = LENGTH + 2;

/// The protocol that a payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// None: plain bytes.
    Raw,
    /// Agent-to-Agent.
    A2a,
    /// Model Context Protocol.
    Mcp,
    /// Secure Lightweight Inter-agent Messaging.
    Slim,
    /// Agent Communication Protocol.
    Acp,
    /// Agent Network Protocol.
    Anp,
    /// Language Model Operating System.
    Lmos,
    /// Natural Language Interaction Protocol.
    Nlip,
    /// State that the members of a channel share.
    State,
}

impl Protocol {
    /// All of them, in the order in which they are listed to people.
    pub const ALL: [Self; 9] = [Self::Raw, Self::A2a, Self::Mcp, Self::Slim, Self::Acp, Self::Anp, Self::Lmos, Self::Nlip, Self::State];

    /// The protocol that goes by this name on the wire.
    ///
    /// # Errors
    /// [`EnvelopeError::Protocol`] with the name, where there is none.
    pub fn parse(name: &str) -> Result<Self, EnvelopeError> {
        let unknown = || EnvelopeError::Protocol(name.chars().take(64).collect());
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == name).ok_or_else(unknown)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::A2a => "a2a",
            Self::Mcp => "mcp",
            Self::Slim => "slim",
            Self::Acp => "acp",
            Self::Anp => "anp",
            Self::Lmos => "lmos",
            Self::Nlip => "nlip",
            Self::State => "state",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The header is not UTF-8, not JSON, not an object or nests too deep.
    #[error("the envelope's header cannot be read: {0}")]
    Header(String),
    /// The header would end beyond the data.
    #[error("the envelope's header should have {length} bytes, and there are {available}")]
    HeaderBeyondData {
        /// What the envelope says, in bytes.
        length: usize,
        /// What there is, in bytes.
        available: usize,
    },
    /// The header is longer than [`MAX_HEADER`].
    #[error("the envelope's header has {0} bytes, more than {MAX_HEADER}")]
    HeaderLength(usize),
    /// `ct` is not a text or `md` not an object.
    #[error("the envelope's header has a {0} of a wrong type")]
    Member(&'static str),
    /// No protocol goes by this name.
    #[error("the envelope is of an unknown protocol: {0:?}")]
    Protocol(String),
    /// There is no `p`.
    #[error("the envelope's header names no protocol")]
    ProtocolMissing,
    /// There are fewer bytes than the shortest envelope has.
    #[error("{0} bytes are too few for an envelope")]
    Short(usize),
}

/// A payload and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The protocol it belongs to.
    pub protocol: Protocol,
    /// Its media type.
    pub content_type: String,
    /// What else the sender wants to say about it.
    pub metadata: Option<Members>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Envelope {
    /// The envelope's bytes. Metadata without members is left away.
    ///
    /// # Errors
    /// [`EnvelopeError::HeaderLength`] where content type and metadata are so long that nobody would read it.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        let mut header = format!("{{\"p\":\"{}\",\"ct\":", self.protocol);
        push_ascii(&mut header, &json_text(&self.content_type));
        let mut separator = ",\"md\":{";
        for (name, value) in self.metadata.iter().flat_map(Members::iter) {
            header.push_str(separator);
            push_ascii(&mut header, &json_text(name));
            header.push(':');
            push_ascii(&mut header, value);
            separator = ",";
        }
        header.push_str(if separator == "," { "}}" } else { "}" });

        let length = u32::try_from(header.len()).ok().filter(|_| header.len() <= MAX_HEADER);
        let length = length.ok_or(EnvelopeError::HeaderLength(header.len()))?;
        Ok([&length.to_le_bytes(), header.as_bytes(), &self.payload].concat())
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`EnvelopeError`] says why it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let (length, rest) = bytes.split_first_chunk::<LENGTH>().ok_or(EnvelopeError::Short(bytes.len()))?;
        if bytes.len() < MIN_ENVELOPE {
            return Err(EnvelopeError::Short(bytes.len()));
        }
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_HEADER {
            return Err(EnvelopeError::HeaderLength(length));
        }
        let beyond = EnvelopeError::HeaderBeyondData { length, available: rest.len() };
        let (header, payload) = rest.split_at_checked(length).ok_or(beyond)?;

        let header = std::str::from_utf8(header).map_err(|error| EnvelopeError::Header(error.to_string()))?;
        let header = Members::parse(header).map_err(|error| EnvelopeError::Header(error.to_string()))?;
        let present = |name| header.get(name).filter(|value| *value != "null");
        let protocol = header.get("p").ok_or(EnvelopeError::ProtocolMissing)?;
        let protocol = Protocol::parse(&header.text("p").unwrap_or_else(|| protocol.to_owned()))?;
        let content_type = match present("ct") {
            None => DEFAULT_CONTENT_TYPE.to_owned(),
            Some(_) => header.text("ct").ok_or(EnvelopeError::Member("ct"))?,
        };
        let metadata = match present("md") {
            None => None,
            Some(_) => Some(header.object("md").ok_or(EnvelopeError::Member("md"))?),
        };
        Ok(Self { protocol, content_type, metadata, payload: payload.to_vec() })
    }
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("writing a string to memory cannot fail")
}

/// Appends JSON text without the spaces between its parts and with every character beyond printable ASCII escaped. Those stand inside
/// strings only, so the value is the same.
fn push_ascii(out: &mut String, json: &str) {
    let (mut in_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => in_string = !in_string,
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            _ => {}
        }
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("writing to memory cannot fail");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(header: &[u8]) -> Vec<u8> {
        let length = u32::try_from(header.len()).expect("small");
        [&length.to_le_bytes()[..], header, b"payload"].concat()
    }

    #[test]
    fn a_header_over_the_limit_is_neither_read_nor_written() {
        let envelope = |extra| Envelope {
            protocol: Protocol::Raw,
            content_type: "x".repeat(MAX_HEADER - r#"{"p":"raw","ct":""}"#.len() + extra),
            metadata: None,
            payload: Vec::new(),
        };

        assert_eq!(Envelope::decode(&envelope(0).encode().expect("fits")).expect("an envelope"), envelope(0));
        assert!(matches!(envelope(1).encode(), Err(EnvelopeError::HeaderLength(65_537))));
        assert!(matches!(Envelope::decode(&[0xff; 64]), Err(EnvelopeError::HeaderLength(_))));
        assert!(matches!(Envelope::decode(&framed(&[b' '; MAX_HEADER + 1])), Err(EnvelopeError::HeaderLength(_))));
    }

    #[test]
    fn headers_that_are_not_utf_8_or_no_object_are_refused() {
        let deep = format!("{{\"p\":\"raw\",\"md\":{}{}}}", "[".repeat(9000), "]".repeat(9000));
        for header in [&b"\xff\xff"[..], b"[]", b"\"p\"", b"null", b"12", deep.as_bytes()] {
            assert!(matches!(Envelope::decode(&framed(header)), Err(EnvelopeError::Header(_))));
        }
        for (header, member) in [(r#"{"p":"raw","ct":1}"#, "ct"), (r#"{"p":"raw","md":[]}"#, "md")] {
            assert!(matches!(Envelope::decode(&framed(header.as_bytes())), Err(EnvelopeError::Member(name)) if name == member));
        }
        assert!(matches!(Envelope::decode(&framed(br#"{"p":1}"#)), Err(EnvelopeError::Protocol(_))));
    }

    #[test]
    fn the_order_and_the_spelling_of_metadata_survive() {
        let header = r#"{"p":"raw","ct":"x/y","md":{"z":1.10,"a":12345678901234567890123,"k":"\u00fc"}}"#;

        let envelope = Envelope::decode(&framed(header.as_bytes())).expect("an envelope");

        assert_eq!(envelope.encode().expect("fits"), framed(header.as_bytes()));
    }

    #[test]
    fn metadata_is_written_without_spaces_between_its_parts() {
        let metadata = Some(Members::parse("{ \"k\" :\t[ 1 , \" \\\" [ \" ] }").expect("an object"));
        let envelope = Envelope { protocol: Protocol::Raw, content_type: "x/y".to_owned(), metadata, payload: b"payload".to_vec() };

        assert_eq!(envelope.encode().expect("fits"), framed(br#"{"p":"raw","ct":"x/y","md":{"k":[1," \" [ "]}}"#));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            protocol in proptest::sample::select(&Protocol::ALL[..]),
            content_type: String,
            metadata: Option<std::collections::BTreeMap<String, (i64, String, Option<bool>)>>,
            payload: Vec<u8>,
        ) {
            let metadata = metadata.filter(|members| !members.is_empty());
            let metadata = metadata.map(|members| {
                Members::parse(&serde_json::to_string(&members).expect("JSON")).expect("an object")
            });
            let envelope = Envelope { protocol, content_type, metadata, payload };

            let bytes = envelope.encode().expect("small");
            let read = Envelope::decode(&bytes).expect("an envelope");

            let header = &bytes[LENGTH..bytes.len() - envelope.payload.len()];
            prop_assert!(header.iter().all(|byte| (b' '..0x7f).contains(byte)));
            prop_assert_eq!(read.encode().expect("small"), bytes);
            prop_assert_eq!((read.protocol, read.content_type, read.payload), (envelope.protocol, envelope.content_type, envelope.payload));
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_read_back_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(envelope) = Envelope::decode(&bytes) {
                let read = Envelope::decode(&envelope.encode().expect("small")).expect("an envelope");
                prop_assert_eq!(read.payload, envelope.payload);
            }
        }
    }
}
