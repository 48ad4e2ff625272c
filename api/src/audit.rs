//! What was decided, by whom and when, and whether that record is whole.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The query of `GET /v1/audit`.
#[derive(Clone, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only records after this place; the newest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at most; 100 if absent, 1000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The answer of `GET /v1/audit`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AuditResponse {
    /// The decisions, oldest first.
    pub records: Vec<AuditRecord>,
}

/// One decision.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AuditRecord {
    /// Its place, from 1 on.
    pub place: u64,
    /// When.
    pub timestamp: String,
    /// Who: `owner`, `daemon`, `import`, `takeover`, or `peer` and its key.
    pub who: String,
    /// What was done, in one word.
    pub what: String,
    /// To whom or what.
    pub subject: String,
    /// How, where that is not said yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The hash over this record and all before it, in hexadecimal.
    pub hash: String,
}

/// The query of `GET /v1/audit/verify`.
#[derive(Clone, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct AuditVerifyQuery {
    /// A `head` that was noted earlier and elsewhere: it must still be part of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// The answer of `GET /v1/audit/verify`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AuditVerified {
    /// Whether nothing was changed, moved or taken out.
    pub ok: bool,
    /// How many records were read without fault.
    pub records: u64,
    /// `PLACE:HASH` of the last of them. Noted elsewhere, it shows later that nothing before it was touched.
    pub head: String,
    /// What is wrong first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<AuditFault>,
}

/// What is wrong with the record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct AuditFault {
    /// The place of the first record that is wrong.
    pub place: u64,
    /// In words.
    pub message: String,
}
