//! What becomes of a wish or a publication, in words for a member and for a person.

use prost::bytes::Bytes;
use tonic::Status;
use toq_dataplane::Tag;
use toq_dataplane::wire::message::MessageType;
use toq_dataplane::wire::refused::Code;
use toq_dataplane::wire::{Accepted, Refused};
use toq_protocol::Timestamp;
use toq_store::StoreError;

use crate::frame::Outbound;
use crate::home::Account;

/// How long to wait before asking a full channel again, in seconds: room comes as messages grow old, which is not a matter of seconds.
const FULL_FOR: u32 = 60;

/// How long to wait where too many channels are in use, in seconds: those that nobody uses end within that time.
const CROWDED_FOR: u32 = 5;

/// What becomes of a wish or a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is in force, or has this place.
    Accepted(u64),
    /// It is not done.
    Refused {
        /// Why.
        code: Code,
        /// The same for a person, and what to do.
        detail: String,
        /// A place that belongs to it.
        seq: u64,
        /// Seconds until it is worth another try.
        retry_after: u32,
    },
}

impl Answer {
    /// Something is wrong with the frame.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::refused(Code::BadRequest, detail, 0)
    }

    pub fn refused(code: Code, detail: impl Into<String>, seq: u64) -> Self {
        Self::Refused { code, detail: detail.into(), seq, retry_after: 0 }
    }

    pub fn epoch_taken(seq: u64) -> Self {
        Self::refused(Code::EpochTaken, format!("the commit at {seq} ended that epoch; apply it, then make yours again"), seq)
    }

    pub fn no_messages(account: &Account, now: i64) -> Self {
        let most = account.messages_per_month;
        let detail = format!("the account has published its {most} messages of this month; wait for the next one, or ask for another plan");
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: until_next_month(now) }
    }

    pub fn no_channels(account: &Account) -> Self {
        let detail = format!("the account has begun {} channels and may begin no more; use one of them", account.channels);
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: u32::MAX }
    }

    pub fn crowded(detail: String) -> Self {
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: CROWDED_FOR }
    }

    pub fn channel_full(most: u64) -> Self {
        let detail = format!(
            "the channel has no room for more until old messages have gone: it keeps at most {most} bytes, and one account no more of \
             them than are free. Send it again later, send less, or ask the relay's operator for more"
        );
        Self::Refused { code: Code::OverQuota, detail, seq: 0, retry_after: FULL_FOR }
    }

    pub fn unavailable(error: &StoreError) -> Self {
        let detail = match error {
            StoreError::Full => "the relay's disk is full; send it again later",
            StoreError::OverQuota { .. } => "the relay has used up what it may keep; send it again later",
            _ => "the relay cannot write; send it again later",
        };
        Self::Refused { code: Code::Unavailable, detail: detail.to_owned(), seq: 0, retry_after: 1 }
    }

    /// What a published member's stream ends with: nobody could tell it otherwise that what it sent is lost, and it would go on as if
    /// it were not. `None` where it may go on: what it sent meant nothing, or another member's commit, which it is given, stands before its own.
    pub fn last_word(&self) -> Option<Status> {
        let Self::Refused { code, detail, .. } = self else { return None };
        match code {
            Code::TooLarge => Some(Status::out_of_range(detail)),
            Code::OverQuota => Some(Status::resource_exhausted(detail)),
            Code::Forbidden => Some(Status::permission_denied(detail)),
            Code::Unavailable => Some(Status::unavailable(detail)),
            Code::Unspecified | Code::BadRequest | Code::EpochTaken | Code::Behind => None,
        }
    }

    /// What says it.
    pub fn frame(self, tag: Option<Tag>) -> Outbound {
        let tag = tag.map(|tag| Bytes::copy_from_slice(&tag.0)).unwrap_or_default();
        Outbound::message(match self {
            Answer::Accepted(seq) => MessageType::Accepted(Accepted { tag, seq }),
            Answer::Refused { code, detail, seq, retry_after } => {
                MessageType::Refused(Refused { tag, code: code.into(), detail, seq, retry_after })
            }
        })
    }
}

/// Seconds until the next month begins; at most a day too many.
fn until_next_month(now: i64) -> u32 {
    let text = Timestamp::from_nanos(now).to_string();
    let day: u32 = text.get(8..10).and_then(|day| day.parse().ok()).unwrap_or(1);
    32_u32.saturating_sub(day).saturating_mul(24 * 3600)
}
