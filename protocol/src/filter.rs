//! Which messages a reader wants: by who sent them, with which key, of which type.
//!
//! Within one kind of condition any may hold, between the kinds all must, and no condition is always true.

use crate::envelope::Kind;
use crate::key::PeerKey;
use crate::policy::Pattern;

/// Conditions on incoming messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Address patterns.
    pub from: Vec<Pattern>,
    /// Keys.
    pub keys: Vec<PeerKey>,
    /// Types.
    pub kinds: Vec<Kind>,
}

impl Filter {
    /// Reads a type in its published or its documented spelling: `message.stream.end` or `stream.end`.
    ///
    /// Streams reach readers whole, as their end; whoever asks for chunks gets the whole as well.
    #[must_use]
    pub fn kind(text: &str) -> Option<Kind> {
        match text {
            "message.send" => Some(Kind::MessageSend),
            "thread.close" => Some(Kind::ThreadClose),
            "stream.end" | "stream.chunk" | "message.stream.end" | "message.stream.chunk" => Some(Kind::MessageStreamEnd),
            _ => None,
        }
    }

    /// True where a message from this address, with this key, of this type is wanted; without an address only those who name none want
    /// it. The end of a conversation is
    /// wanted only by those who ask for it, since an answer to it would open the conversation again.
    #[must_use]
    pub fn wants(&self, from: Option<&str>, key: Option<&PeerKey>, kind: Kind) -> bool {
        let kind_fits = match kind {
            Kind::MessageSend | Kind::MessageStreamEnd => self.kinds.is_empty() || self.kinds.contains(&kind),
            _ => self.kinds.contains(&kind),
        };
        let from_fits = self.from.is_empty() || from.is_some_and(|from| self.from.iter().any(|pattern| pattern.matches_text(from)));
        let key_fits = self.keys.is_empty() || key.is_some_and(|key| self.keys.contains(key));
        kind_fits && from_fits && key_fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "toq://a.example:9010/alice";

    fn key(byte: u8) -> PeerKey {
        PeerKey::from_bytes([byte; 32])
    }

    #[test]
    fn without_conditions_everything_but_a_close_is_wanted() {
        let filter = Filter::default();

        assert!(filter.wants(Some(ALICE), None, Kind::MessageSend));
        assert!(filter.wants(Some(ALICE), None, Kind::MessageStreamEnd));
        assert!(!filter.wants(Some(ALICE), None, Kind::ThreadClose));
    }

    #[test]
    fn a_close_reaches_those_who_ask_for_it() {
        let filter = Filter { kinds: vec![Kind::ThreadClose], ..Filter::default() };

        assert!(filter.wants(Some(ALICE), None, Kind::ThreadClose));
        assert!(!filter.wants(Some(ALICE), None, Kind::MessageSend));
    }

    #[test]
    fn any_of_a_kind_and_all_kinds_must_hold() {
        let filter = Filter {
            from: vec![Pattern::new("toq://b.example/*"), Pattern::new("toq://a.example/*")],
            keys: vec![key(1), key(2)],
            kinds: Vec::new(),
        };

        assert!(filter.wants(Some(ALICE), Some(&key(2)), Kind::MessageSend));
        assert!(!filter.wants(Some(ALICE), Some(&key(3)), Kind::MessageSend));
        assert!(!filter.wants(Some(ALICE), None, Kind::MessageSend));
        assert!(!filter.wants(Some("toq://c.example/alice"), Some(&key(1)), Kind::MessageSend));
    }

    #[test]
    fn both_spellings_of_a_type_mean_the_same() {
        for text in ["stream.end", "message.stream.end", "stream.chunk", "message.stream.chunk"] {
            assert_eq!(Filter::kind(text), Some(Kind::MessageStreamEnd), "{text}");
        }
        assert_eq!(Filter::kind("message.ack"), None);
    }
}
