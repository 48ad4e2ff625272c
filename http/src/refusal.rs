//! What a refusal means for whoever sent the message: what happened, why, and what to do next.

use toq_protocol::message::MAX_BODY;
use toq_protocol::reason::Reason;
use toq_protocol::session::ANOTHER_KEY;

/// What to do about a key that is not the one that was known.
const COMPARE: &str = "compare the words with the agent's owner (`toq approvals` here, `toq whoami` there); if they are the owner's, \
     `toq approve ed25519:…` with the key that was met, and send again; if not, `toq block` it";

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What happened and why, with the code and what the peer said besides.
    pub message: String,
    /// What to do next; nothing where what happened says it all.
    pub hint: Option<&'static str>,
}

/// Explains why a message stays undelivered.
///
/// `why` is what the log keeps: a code, `CODE: what the peer said`, either of them behind `refused: `, or plain words, which are
/// returned as they are.
#[must_use]
pub fn explain(why: &str) -> Explained {
    let told = why.strip_prefix("refused: ").unwrap_or(why);
    let (code, said) = told.split_once(": ").unwrap_or((told, ""));
    match Reason::parse(code) {
        Reason::Unknown => Explained { message: why.to_owned(), hint: why.starts_with(ANOTHER_KEY).then_some(COMPARE) },
        reason => {
            let (sentence, hint) = words(reason);
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            Explained { message: format!("{sentence} ({code}{said})"), hint: Some(hint) }
        }
    }
}

/// Explains why a message that is too large is not taken by the agent's own daemon.
#[must_use]
pub fn too_large(size: usize, limit: usize) -> Explained {
    let hint = match limit {
        MAX_BODY => "send less, or send it as a file: `toq send-file`, POST /v1/files",
        _ => "send less, send it as a file (`toq send-file`, POST /v1/files), or raise max_message_size",
    };
    Explained { message: format!("Message body is {size} bytes, max is {limit}"), hint: Some(hint) }
}

/// What happened and why; and what to do next.
const fn words(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::AgentUnavailable => ("the agent cannot take messages now", "send again later; its owner can see why with `toq doctor`"),
        Reason::Blocked => (
            "the agent does not let this one in: it was blocked, or is not on the list of those who may connect",
            "ask its owner, on another way, to approve this agent's key; `toq whoami` shows it",
        ),
        Reason::ChannelBindingMismatch => (
            "somebody may be in between: the two ends see different connections, so nothing was delivered",
            "do not send it on another way unencrypted; try from another network, compare keys with the agent's owner (`toq whoami`), \
             and look for a proxy that opens TLS",
        ),
        Reason::ChannelBindingMissing => (
            "the connection could not be tied to the keys of its two ends, though it must be; somebody may be in between",
            "both sides need a release that binds connections; if they have one, look for a proxy that opens TLS",
        ),
        Reason::ClockSkew => (
            "the message looks too old or from the future: the clocks of the two machines differ, or it waited too long",
            "set the clocks of both machines by NTP, then send again",
        ),
        Reason::FileIncomplete => ("the agent does not have the whole file yet", "leave it to the daemon: it goes on where it was"),
        Reason::FileCorrupt => (
            "the bytes that arrived are not those of the file that was announced",
            "send the file again; if this repeats, check the disks of both machines",
        ),
        Reason::FilesNotAccepted => (
            "the agent takes no files",
            "its owner allows them with `toq config set accept_files true`; or send a text that says where the file is",
        ),
        Reason::InvalidEnvelope => (
            "the agent cannot read the message: something in it is missing or wrong",
            "both sides may speak different versions; `toq upgrade` tells whether there is a newer one",
        ),
        Reason::InvalidSignature => (
            "the signature of the message does not fit: it was changed on its way, or made with another key",
            "send it again; if this repeats, somebody may be in between: compare keys with the agent's owner (`toq whoami`)",
        ),
        Reason::KeyChanged => (
            "the agent knows another key for this address, and waits for its owner to decide",
            "ask its owner to compare the keys (`toq whoami` here, `toq approvals` there) and to decide",
        ),
        Reason::MessageTooLarge => (
            "the message is larger than the agent takes",
            "send less, or send it as a file (`toq send-file`); a file may be as large as its owner's max_file_size",
        ),
        Reason::NotAddressedHere => (
            "the agent that answers at this address does not have this name",
            "check the address with its owner (`toq whoami` there); if the agent has moved or has several names, it needs them in `aliases`",
        ),
        Reason::PendingApproval => (
            "the agent's owner has not decided yet whether to let this agent in",
            "send again once they have approved it; or send without waiting (`--no-wait`, `wait=false`): such a message is kept here and \
             goes out by itself",
        ),
        Reason::ProtocolViolation => (
            "the agent got something that was not its turn and ended the connection",
            "send again; if this repeats, both sides may speak different versions: `toq upgrade`",
        ),
        Reason::ResourceExhausted => ("the agent has reached a limit: too many messages, connections or files at once", "send again later"),
        Reason::SequenceViolation => ("the agent saw messages out of their order", "send again; a new connection begins a new order"),
        Reason::StorageFull => ("the disk of the agent's machine is full", "tell its owner; send again once there is space"),
        Reason::StreamNotFound => ("the agent does not know this stream: it has ended, or was idle for too long", "start a new stream"),
        Reason::Unknown => ("the agent refused and gave a reason that is not known here", "ask its owner; both sides' logs may say more"),
        Reason::UnsupportedContentType => (
            "the agent does not take what is of this kind",
            "a program or script can be packed into an archive; or send its content as text",
        ),
        Reason::VersionNotSupported => (
            "the agent and this one have no version of the protocol in common",
            "bring the older of the two up to date: `toq upgrade` tells whether there is a newer one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use toq_protocol::PeerKey;
    use toq_protocol::session::End;

    use super::*;

    #[test]
    fn a_code_becomes_a_sentence_with_the_code_and_what_to_do() {
        for why in ["channel_binding_mismatch", "refused: channel_binding_mismatch"] {
            let explained = explain(why);
            assert!(
                explained.message.starts_with("somebody may be in between") && explained.message.ends_with("(channel_binding_mismatch)")
            );
            assert!(explained.hint.is_some_and(|hint| hint.contains("compare keys")));
        }
        let said = explain("message_too_large: the frame has 9 bytes");
        assert_eq!(said.message, "the message is larger than the agent takes (message_too_large: the frame has 9 bytes)");
    }

    #[test]
    fn who_meets_another_key_is_told_to_compare_and_how_to_decide() {
        let (expected, met) = (PeerKey::from_bytes([1; 32]), PeerKey::from_bytes([2; 32]));
        let explained = explain(&End::KeyChanged { expected, met }.to_string());

        assert!(explained.message.contains(&met.words()) && explained.message.contains(&met.to_string()), "{explained:?}");
        assert!(explained.hint.is_some_and(|hint| hint.contains("toq approvals") && hint.contains("toq approve ed25519:")));
    }

    #[test]
    fn words_stay_as_they_are() {
        for why in ["no agent running at toq://h/a", "refused: later", "unknown", ""] {
            assert_eq!(explain(why), Explained { message: why.to_owned(), hint: None });
        }
    }
}
