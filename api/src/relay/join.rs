//! The mailbox between who joins and who owns.
//!
//! A joiner leaves a key package with an invite; a member of the owning account fetches it, adds it to the group and leaves the
//! Welcome; the joiner fetches that. Bytes are base64 of the standard alphabet, with padding (RFC 4648 section 4).

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Asks to be let in. Either `token`, or `token_id` and `proof`, says by which invite.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
pub struct JoinRequest {
    /// `org/namespace/service`.
    pub channel: String,
    /// The invite as it was handed over. Published members send it; ours never do, since who reads it can act for its holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// [`InviteToken::id`](super::InviteToken::id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// [`InviteToken::proof`](super::InviteToken::proof).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// An MLS key package, base64.
    pub key_package: String,
    /// What the joiner calls itself, to be shown to people. Who it is stands inside the key package.
    #[serde(default)]
    pub identity: String,
    /// [`InviteToken::binding`](super::InviteToken::binding) of the key package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
}

/// The request was taken, and one use of the invite is spent. The same invite and key package again give the same answer and
/// spend nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Joined {
    /// A UUID, by which the Welcome is fetched.
    pub request_id: String,
}

/// Which requests to list.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PendingQuery {
    /// `org/namespace/service`.
    pub channel: String,
    /// Where there is nothing yet, wait for it so many seconds (at most 30).
    #[serde(default)]
    pub wait: u64,
    /// Pass over so many of the oldest: a page holds at most 100. Nothing is waited for then.
    #[serde(default)]
    pub skip: usize,
}

/// How long to wait.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Where there is no answer yet, wait for it so many seconds (at most 30).
    #[serde(default)]
    pub wait: u64,
}

/// Who wants to be let in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Pending {
    /// The requests that nobody has answered, oldest first.
    pub requests: Vec<PendingJoin>,
}

/// One request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PendingJoin {
    /// A UUID.
    pub id: String,
    /// What the joiner calls itself; a mere claim.
    pub identity: String,
    /// An MLS key package, base64.
    pub key_package: String,
    /// When it came (RFC 3339, UTC).
    pub created_at: String,
    /// Which invite was used. Published servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_id: Option<String>,
    /// The joiner's account. Published servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What binds the key package to the invite; the owner checks it, the server cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
}

/// Requests that a member is about to answer, or those of them that still wait for an answer.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Answering {
    /// Their ids, at most [`MAX_ANSWERING`].
    pub request_ids: Vec<String>,
}

/// How many requests are taken up at once at most.
pub const MAX_ANSWERING: usize = 100;

/// Lets somebody in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct WelcomeSubmission {
    /// The request.
    pub request_id: String,
    /// An MLS Welcome, base64.
    pub welcome: String,
}

/// Lets somebody not in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Refusal {
    /// The request.
    pub request_id: String,
    /// Why, for the joiner.
    #[serde(default)]
    pub reason: String,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinStatus {
    /// Nobody has answered it yet.
    Pending,
    /// There is a Welcome.
    Completed,
    /// The owner does not want it. Published members go on asking until their time is up.
    Refused,
}

/// The answer was stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Completed {
    /// `completed` or `refused`.
    pub status: JoinStatus,
}

/// What became of a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct WelcomeStatus {
    /// Where it stands.
    pub status: JoinStatus,
    /// An MLS Welcome, base64, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub welcome: Option<String>,
    /// Why it was refused, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
