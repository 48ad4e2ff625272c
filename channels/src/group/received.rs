//! What became of a blob of the log, as it is told.

use std::fmt;

use super::chain::Head;
use super::member::Member;
use super::rules::Refusal;

/// What became of a blob.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub enum Received {
    /// A message for the application.
    Message {
        /// Who wrote it.
        sender: Member,
        /// In which epoch.
        epoch: u64,
        /// The plaintext.
        payload: Vec<u8>,
        /// Where its sender stood in the log.
        head: Option<Head>,
    },
    /// A commit was applied.
    Committed(Box<Change>),
    /// Somebody wants a change. Nothing can be encrypted before a commit makes it; any member can stage
    /// [`Intent::Commit`](super::Intent::Commit).
    Proposed {
        /// Who.
        by: Member,
        /// What.
        wish: Wish,
    },
    /// We were removed. All rows are deleted; the group is of no more use.
    Removed {
        /// By whom; ourselves where we asked to.
        by: Option<Member>,
        /// The epoch that does not have us any more.
        epoch: u64,
    },
    /// Nothing of interest; nothing changed.
    Ignored(Why),
    /// Somebody tried what is not allowed; nothing changed.
    Refused(Refusal),
    /// The kept state is older than what was sent from it. It does not encrypt any more; join again.
    Stale,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What was said is nobody's who reads a log.
            Self::Message { sender, epoch, payload, .. } => {
                write!(f, "Message(by {}, epoch {epoch}, {} bytes)", sender.index, payload.len())
            }
            Self::Committed(change) => f.debug_tuple("Committed").field(change).finish(),
            Self::Proposed { by, wish } => f.debug_struct("Proposed").field("by", &by.index).field("wish", wish).finish(),
            Self::Removed { by, epoch } => f.debug_struct("Removed").field("by", by).field("epoch", epoch).finish(),
            Self::Ignored(why) => f.debug_tuple("Ignored").field(why).finish(),
            Self::Refused(refusal) => f.debug_tuple("Refused").field(refusal).finish(),
            Self::Stale => f.write_str("Stale"),
        }
    }
}

/// What a commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The epoch that it began.
    pub epoch: u64,
    /// Who made it, as it was before.
    pub by: Option<Member>,
    /// Whether it was the commit of ours that was waited for. One that was [given up](super::Group::discard) and won all the same is not:
    /// then [`Change::by`] is this member, and [`Change::lost`] tells whether another was waited for.
    pub own: bool,
    /// Whether a commit of ours was waited for and has lost. What it was for has to be staged again, if it is still wanted.
    pub lost: bool,
    /// Where it was ours: the MLSMessage for those who were added.
    pub welcome: Option<Vec<u8>>,
    /// Who came in.
    pub added: Vec<Member>,
    /// Who is out, as they were before.
    pub removed: Vec<Member>,
    /// Whether its maker renewed its keys.
    pub rotated: bool,
    /// Whether the owners are others now.
    pub owners: bool,
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To leave.
    Leave,
    /// Somebody removed.
    Remove(Member),
    /// Somebody added, by the name in its credential.
    Add(Vec<u8>),
    /// Its own keys renewed.
    Rotate,
    /// Other owners.
    Owners,
}

/// Why a blob is of no interest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Not an MLS message, or with something behind it.
    Undecodable,
    /// Above [`MAX_MESSAGE`](super::MAX_MESSAGE) or [`MAX_HANDSHAKE`](super::MAX_HANDSHAKE).
    TooLarge,
    /// Of another group.
    OtherGroup,
    /// A Welcome, a key package or a GroupInfo.
    NotForMembers,
    /// Of an epoch that is over: a commit that lost, a late proposal, or a message too old to be read.
    Old,
    /// Of an epoch that we have not reached. An honest log does not show it.
    Ahead,
    /// A message that was read before.
    Duplicate,
    /// Our own.
    Own,
    /// A message so far ahead of those before it that its key is not derived, or one of a sender that has skipped too many already.
    TooFar,
    /// A message that came after its sender's removal.
    SenderGone,
    /// A message that does not decrypt, or whose signature is wrong.
    Undecipherable,
    /// We are no member any more.
    NotMember,
    /// What was read could not be taken down; nothing changed.
    Unsaved(String),
}
