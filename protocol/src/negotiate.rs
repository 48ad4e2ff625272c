//! Negotiation: versions, features, and the extensions that only our own kind understands.
//!
//! Published peers read `supported_versions` and `features` and ignore every other member of these
//! bodies; that is where [`Extensions`] travel. Both bodies are inside signed envelopes, so extensions
//! cannot be stripped without breaking the signature.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::canonical::Json;
use crate::envelope::VERSION;
use crate::reason::Reason;

/// What two of our own daemons can do beyond the published protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions {
    /// One `message.ack` with `up_to` answers every message of the session up to that sequence number,
    /// save those refused by a `system.error` of their own.
    #[serde(default)]
    pub cumulative_ack: bool,
    /// Files are announced and carried as [`crate::file`] says.
    #[serde(default)]
    pub files: bool,
    /// What is decided about a peer that had to wait is told to it, as [`crate::session::Decision`] says.
    #[serde(default)]
    pub decisions: bool,
}

impl Extensions {
    /// Everything that this version can do.
    pub const OURS: Extensions = Extensions { cumulative_ack: true, files: true, decisions: true };

    /// What both sides can do.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self {
            cumulative_ack: self.cumulative_ack && other.cumulative_ack,
            files: self.files && other.files,
            decisions: self.decisions && other.decisions,
        }
    }
}

/// What a negotiation body of the peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The extensions that both sides know.
    pub extensions: Extensions,
    /// Whether the peer takes streams.
    pub streaming: bool,
    /// The peer's digest of the channel (see [`crate::binding`]), where it sent one.
    pub channel_binding: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    supported_versions: Vec<String>,
    features: Option<Value>,
    #[serde(default)]
    extensions: Extensions,
    channel_binding: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    selected_version: String,
    features: Option<Value>,
    #[serde(default)]
    extensions: Extensions,
    channel_binding: Option<String>,
}

/// Without features, or with none that can be read, a peer streams; within them what is not named is not there. So do published peers
/// read it.
fn streams(features: Option<&Value>) -> bool {
    features.and_then(Value::as_object).is_none_or(|named| named.get("streaming").and_then(Value::as_bool).unwrap_or(false))
}

/// The body of our `negotiate.request`.
#[must_use]
pub fn request(channel_binding: &str) -> Json {
    Json::from_value(&json!({
        "supported_versions": [VERSION],
        "features": {"streaming": true, "compression": [], "e2e_encryption": false},
        "extensions": Extensions::OURS,
        "channel_binding": channel_binding,
    }))
}

/// The body of our `negotiate.response`, to a peer that takes streams or does not.
#[must_use]
pub fn response(extensions: Extensions, streaming: bool, channel_binding: &str) -> Json {
    Json::from_value(&json!({
        "selected_version": VERSION,
        "features": {"streaming": streaming, "compression": null, "e2e_encryption": false},
        "extensions": extensions,
        "channel_binding": channel_binding,
    }))
}

/// Why a `negotiate.request` is answered with `negotiate.reject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// There is no common version.
    Version,
    /// The digests of the channel differ.
    BindingMismatch,
    /// There is no digest of the channel where there must be one.
    BindingMissing,
}

impl Rejection {
    const fn word(self) -> &'static str {
        match self {
            Rejection::Version => "no_compatible_version",
            Rejection::BindingMismatch => Reason::ChannelBindingMismatch.as_str(),
            Rejection::BindingMissing => Reason::ChannelBindingMissing.as_str(),
        }
    }

    /// The reason of the session's end.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Rejection::Version => Reason::VersionNotSupported,
            Rejection::BindingMismatch => Reason::ChannelBindingMismatch,
            Rejection::BindingMissing => Reason::ChannelBindingMissing,
        }
    }
}

/// The body of our `negotiate.reject`.
#[must_use]
pub fn reject(rejection: Rejection) -> Json {
    Json::from_value(&json!({"reason": rejection.word(), "supported_versions": [VERSION]}))
}

/// Reads a `negotiate.reject`.
#[must_use]
pub fn read_reject(body: Option<&Json>) -> Reason {
    #[derive(Deserialize)]
    struct Reject {
        reason: String,
    }
    let word = body.and_then(|body| serde_json::from_str::<Reject>(body.as_str()).ok()).map(|reject| reject.reason);
    let all = [Rejection::BindingMismatch, Rejection::BindingMissing];
    all.into_iter().find(|rejection| word.as_deref() == Some(rejection.word())).unwrap_or(Rejection::Version).reason()
}

/// Reads a `negotiate.request`; `None` without a common version.
#[must_use]
pub fn read_request(body: Option<&Json>) -> Option<Offer> {
    let request: Request = serde_json::from_str(body?.as_str()).ok()?;
    let extensions = Extensions::OURS.common(request.extensions);
    let is_common = request.supported_versions.iter().any(|version| version == VERSION);
    let streaming = streams(request.features.as_ref());
    is_common.then_some(Offer { extensions, streaming, channel_binding: request.channel_binding })
}

/// Reads a `negotiate.response`; `None` where it chose a version that we did not offer.
#[must_use]
pub fn read_response(body: Option<&Json>) -> Option<Offer> {
    let response: Response = serde_json::from_str(body?.as_str()).ok()?;
    let extensions = Extensions::OURS.common(response.extensions);
    let streaming = streams(response.features.as_ref());
    (response.selected_version == VERSION).then_some(Offer { extensions, streaming, channel_binding: response.channel_binding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_peer_agrees_on_no_extension() {
        let published =
            Json::parse(r#"{"supported_versions":["0.1"],"features":{"streaming":true,"compression":[],"e2e_encryption":false}}"#);

        let plain = Offer { extensions: Extensions::default(), streaming: true, channel_binding: None };
        assert_eq!(read_request(published.ok().as_ref()), Some(plain));
        let ours = Offer { extensions: Extensions::OURS, streaming: true, channel_binding: Some("digest".to_owned()) };
        assert_eq!(read_request(Some(&request("digest"))), Some(ours.clone()));
        assert_eq!(read_response(Some(&response(Extensions::OURS, true, "digest"))), Some(ours));
    }

    #[test]
    fn a_peer_streams_unless_it_names_its_features_and_not_this_one() {
        let read = |features: &str| {
            let request = Json::parse(&format!(r#"{{"supported_versions":["0.1"]{features}}}"#)).expect("JSON");
            let response = Json::parse(&format!(r#"{{"selected_version":"0.1"{features}}}"#)).expect("JSON");
            [read_request(Some(&request)), read_response(Some(&response))].map(|offer| offer.expect("the version is right").streaming)
        };

        for features in ["", r#","features":null"#, r#","features":{"streaming":true}"#, r#","features":[]"#] {
            assert_eq!(read(features), [true; 2], "{features}");
        }
        for features in [r#","features":{}"#, r#","features":{"streaming":false}"#, r#","features":{"streaming":"yes"}"#] {
            assert_eq!(read(features), [false; 2], "{features}");
        }
    }

    #[test]
    fn compression_may_be_null_a_string_or_a_list() {
        for compression in ["null", "\"gzip\"", "[\"gzip\"]"] {
            let body = format!(r#"{{"selected_version":"0.1","features":{{"compression":{compression}}}}}"#);
            assert!(read_response(Json::parse(&body).ok().as_ref()).is_some(), "{compression}");
        }
    }

    #[test]
    fn a_rejection_keeps_its_reason() {
        for rejection in [Rejection::Version, Rejection::BindingMismatch, Rejection::BindingMissing] {
            assert_eq!(read_reject(Some(&reject(rejection))), rejection.reason());
        }
        assert_eq!(read_reject(None), Reason::VersionNotSupported);
    }

    #[test]
    fn without_a_common_version_there_is_no_session() {
        assert_eq!(read_request(Json::parse(r#"{"supported_versions":["9.9"]}"#).ok().as_ref()), None);
        assert_eq!(read_request(None), None);
    }
}
