//! Who may reach this agent: rules, and the questions that are still open.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of `/v1/approve`, `/v1/revoke` and `/v1/block`: a key or an address pattern; the pattern wins.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct RuleBody {
    /// An exact key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// An address or an address pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Must be true to approve or block a pattern that covers every address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub i_understand: bool,
}

/// The answer of `GET /v1/permissions`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PermissionsResponse {
    /// Who always gets in, unless blocked.
    pub approved: Vec<Rule>,
    /// Who never gets in.
    pub blocked: Vec<Rule>,
}

/// One entry of the permission list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Rule {
    /// What the value is.
    #[serde(rename = "type")]
    pub kind: RuleKind,
    /// The key or the address pattern.
    pub value: String,
    /// Of a key: the address that its agent claims, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How it is known that this address is the agent's own; `claimed` where only the agent says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_by: Option<String>,
    /// Of a key: it in six words, to be compared with its owner's by another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Of a pattern: why it covers nobody, as one that was made elsewhere may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Rule {
    /// A rule of which nothing but itself is known.
    pub fn new(kind: RuleKind, value: impl Into<String>) -> Self {
        Self { kind, value: value.into(), address: None, verified_by: None, words: None, warning: None }
    }
}

/// What a rule's value is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// An address or an address pattern.
    Address,
    /// An exact key.
    Key,
}

impl RuleKind {
    /// Returns the kind as it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Key => "key",
        }
    }
}

/// The answer of `GET /v1/approvals`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ApprovalsResponse {
    /// The open questions, oldest first.
    pub approvals: Vec<Approval>,
}

/// One agent that asks to be let in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Approval {
    /// The same as the key; what `/v1/approvals/{id}` takes.
    pub id: String,
    /// The key that asks.
    pub public_key: String,
    /// The address that it claims.
    pub address: String,
    /// When it asked last.
    pub requested_at: String,
    /// Why it is asked.
    #[serde(default)]
    pub kind: ApprovalKind,
    /// How it is known that the address is its own; `claimed` where only the agent says so.
    #[serde(default)]
    pub proof: String,
    /// How often it has asked.
    #[serde(default)]
    pub requests: u32,
    /// The key in six words, to be compared with its owner's by another way.
    #[serde(default)]
    pub words: String,
    /// The beginning of the key in hexadecimal.
    #[serde(default)]
    pub fingerprint: String,
    /// Why the address may be made to look like another: letters of several scripts in one word, or like that of a
    /// known agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The key that was known for this address before, where this one is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_key: Option<String>,
    /// That key in six words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_words: Option<String>,
    /// The beginning of that key in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_fingerprint: Option<String>,
}

/// Why the owner is asked about an agent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// No rule names it.
    #[default]
    Unknown,
    /// It has another key than the one that was known for its address.
    KeyChanged,
}

/// The body of `POST /v1/approvals/{id}`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ApprovalDecision {
    /// The answer.
    pub decision: Decision,
}

/// An answer to an open question.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Lets the key in from now on.
    Approve,
    /// Forgets the question; the key may ask again.
    Deny,
}

impl Decision {
    /// Reads the word that a request has for it; `None` where it is neither.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "approve" => Some(Self::Approve),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}
