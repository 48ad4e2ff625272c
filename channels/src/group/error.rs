//! What can go wrong with a group, in the words that programs of published members look for.

use mls_rs::error::MlsError;

use super::proof::ProofError;
use super::rows::ShelfError;
use super::rules::Refusal;

/// Why something was not done with a group. The group is as it was before.
///
/// The texts of [`GroupError::Mls`], [`GroupError::Malformed`] and [`GroupError::Storage`] are what published members write after
/// `MLS engine error: `.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The bytes are no MLS message of the kind that is wanted.
    #[error("message serialization error: {0}")]
    Malformed(String),
    /// MLS does not allow it; the text names what.
    #[error("MLS group error: {0}")]
    Mls(String),
    /// Kept rows cannot be read.
    #[error("storage error: {0}")]
    Storage(String),
    /// The channel's rules do not allow it.
    #[error("not allowed in this channel: {0}")]
    Refused(#[from] Refusal),
    /// A Welcome for another channel than the one to be joined.
    #[error("the welcome is for another channel than {0}; ask the inviter which channel it added you to")]
    OtherChannel(String),
    /// Something is larger than it may be.
    #[error("{what} of {size} is larger than the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is: bytes, or members.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The plaintext is longer than a message may be; the field is its length.
    #[error("message too large: {0} bytes exceeds {max} byte limit", max = super::MAX_PLAINTEXT)]
    MessageTooLarge(usize),
    /// Somebody has asked to leave or is being removed. Nothing is encrypted before the commit, so that they do not read it: stage
    /// [`Intent::Commit`](super::Intent::Commit) where nothing is staged, and try again after the commit.
    #[error("a change of the members has to be committed first")]
    CommitFirst,
    /// A commit of ours waits for the log. Only one can.
    #[error("a commit of ours has not been read back from the log yet")]
    AlreadyStaged,
    /// As many commits as are remembered were made in this epoch and none was read back; read the log first.
    #[error("{0} commits of ours were made in this epoch and none is in the log; read the log first")]
    TooManyAttempts(usize),
    /// There is nothing to commit.
    #[error("there is nothing to commit")]
    NothingToCommit,
    /// We are no member any more.
    #[error("this agent is no member of the channel any more")]
    NotMember,
    /// There is no such member.
    #[error("the channel has no such member")]
    NoSuchMember,
    /// The kept state is older than what was sent with it. Encrypting with it would use keys twice: ask to be added again.
    #[error("the kept state of this channel is older than what was sent from it, it was restored from a copy; join the channel again")]
    Stale,
    /// The agent's proof is not one.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl From<ShelfError> for GroupError {
    fn from(error: ShelfError) -> Self {
        Self::Storage(error.0)
    }
}

impl From<MlsError> for GroupError {
    fn from(error: MlsError) -> Self {
        match &error {
            MlsError::SerializationError(error) => Self::Malformed(error.to_string()),
            MlsError::GroupStorageError(error) | MlsError::KeyPackageRepoError(error) => Self::Storage(error.to_string()),
            MlsError::MlsRulesError(cause) => match cause.inner_dyn_error().downcast_ref::<Refusal>() {
                Some(refusal) => Self::Refused(refusal.clone()),
                None => Self::Mls(cause.to_string()),
            },
            // Published members write the error's name, as in `DuplicateLeafData(1)`, and programs compare it.
            _ => Self::Mls(format!("{error:?}")),
        }
    }
}

impl From<mls_rs::mls_rs_codec::Error> for GroupError {
    fn from(error: mls_rs::mls_rs_codec::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
