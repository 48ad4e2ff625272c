//! Reason codes: why a message was refused, in one word that crosses the wire.
//!
//! The words are those of the published catalogue, plus a few of ours where it has none. A peer sees the
//! code and never our internal text.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a message or a session was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text),* }
            }

            /// The reason with this word; [`Reason::Unknown`] for words that we do not know.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text { $($text => Reason::$name,)* _ => Reason::Unknown }
            }
        }
    };
}

reasons! {
    /// The receiver cannot take it now.
    AgentUnavailable = "agent_unavailable",
    /// The sender is blocked.
    Blocked = "blocked",
    /// The two ends see different TLS channels: somebody is between them.
    ChannelBindingMismatch = "channel_binding_mismatch",
    /// The peer did not bind the session to its TLS channel, though it must.
    ChannelBindingMissing = "channel_binding_missing",
    /// The sender's clock and ours disagree, or the message is past its lifetime.
    ClockSkew = "clock_skew",
    /// The file is not whole yet at the receiver, which says how much it has.
    FileIncomplete = "file_incomplete",
    /// The file's bytes are not those that were announced.
    FileCorrupt = "file_corrupt",
    /// The receiver takes no files.
    FilesNotAccepted = "files_not_accepted",
    /// The envelope lacks something or has something that cannot be.
    InvalidEnvelope = "invalid_envelope",
    /// A signature does not verify.
    InvalidSignature = "invalid_signature",
    /// Another key was known for this address.
    KeyChanged = "key_changed",
    /// The message is over the receiver's limit.
    MessageTooLarge = "message_too_large",
    /// The recipients do not include this agent.
    NotAddressedHere = "not_addressed_here",
    /// The sender waits for the receiver's owner to decide.
    PendingApproval = "pending_approval",
    /// A message out of place.
    ProtocolViolation = "protocol_violation",
    /// Limits are reached.
    ResourceExhausted = "resource_exhausted",
    /// Sequence numbers do not increase.
    SequenceViolation = "sequence_violation",
    /// The receiver's disk is full.
    StorageFull = "storage_full",
    /// The stream is not known, or has ended.
    StreamNotFound = "stream_not_found",
    /// A word that we do not know.
    Unknown = "unknown",
    /// The receiver cannot take this MIME type.
    UnsupportedContentType = "unsupported_content_type",
    /// No common protocol version.
    VersionNotSupported = "version_not_supported",
}

impl Reason {
    /// True where the same message may be accepted later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Reason::AgentUnavailable
            | Reason::ChannelBindingMismatch
            | Reason::ChannelBindingMissing
            | Reason::ClockSkew
            | Reason::FileIncomplete
            | Reason::KeyChanged
            | Reason::PendingApproval
            | Reason::ResourceExhausted
            | Reason::SequenceViolation
            | Reason::StorageFull => true,
            Reason::Blocked
            | Reason::FileCorrupt
            | Reason::FilesNotAccepted
            | Reason::InvalidEnvelope
            | Reason::InvalidSignature
            | Reason::MessageTooLarge
            | Reason::NotAddressedHere
            | Reason::ProtocolViolation
            | Reason::StreamNotFound
            | Reason::Unknown
            | Reason::UnsupportedContentType
            | Reason::VersionNotSupported => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
