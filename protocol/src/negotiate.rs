//! Negotiation: versions, features, and the extensions that only our own kind understands.
//!
//! Published peers read `supported_versions` and `features` and ignore every other member of these
//! bodies; that is where [`Extensions`] travel. Both bodies are inside signed envelopes, so extensions
//! cannot be stripped without breaking the signature.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::canonical::Json;
use crate::envelope::VERSION;

/// What two of our own daemons can do beyond the published protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extensions {
    /// One `message.ack` with `up_to` answers every message of the session up to that sequence number,
    /// save those refused by a `system.error` of their own.
    #[serde(default)]
    pub cumulative_ack: bool,
}

impl Extensions {
    /// Everything that this version can do.
    pub const OURS: Extensions = Extensions { cumulative_ack: true };

    /// What both sides can do.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self { cumulative_ack: self.cumulative_ack && other.cumulative_ack }
    }
}

#[derive(Deserialize)]
struct Request {
    supported_versions: Vec<String>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Deserialize)]
struct Response {
    selected_version: String,
    #[serde(default)]
    extensions: Extensions,
}

/// The body of our `negotiate.request`.
#[must_use]
pub fn request() -> Json {
    Json::from_value(&json!({
        "supported_versions": [VERSION],
        "features": {"streaming": true, "compression": [], "e2e_encryption": false},
        "extensions": Extensions::OURS,
    }))
}

/// The body of our `negotiate.response`.
#[must_use]
pub fn response(extensions: Extensions) -> Json {
    Json::from_value(&json!({
        "selected_version": VERSION,
        "features": {"streaming": true, "compression": null, "e2e_encryption": false},
        "extensions": extensions,
    }))
}

/// The body of our `negotiate.reject`.
#[must_use]
pub fn reject() -> Json {
    Json::from_value(&json!({"reason": "no_compatible_version", "supported_versions": [VERSION]}))
}

/// Reads a `negotiate.request`: the extensions both sides know, or `None` without a common version.
#[must_use]
pub fn read_request(body: Option<&Json>) -> Option<Extensions> {
    let request: Request = serde_json::from_str(body?.as_str()).ok()?;
    request.supported_versions.iter().any(|version| version == VERSION).then(|| Extensions::OURS.common(request.extensions))
}

/// Reads a `negotiate.response`: the extensions both sides know, or `None` where it chose a version that
/// we did not offer.
#[must_use]
pub fn read_response(body: Option<&Json>) -> Option<Extensions> {
    let response: Response = serde_json::from_str(body?.as_str()).ok()?;
    (response.selected_version == VERSION).then(|| Extensions::OURS.common(response.extensions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_peer_agrees_on_no_extension() {
        let published =
            Json::parse(r#"{"supported_versions":["0.1"],"features":{"streaming":true,"compression":[],"e2e_encryption":false}}"#);

        assert_eq!(read_request(published.ok().as_ref()), Some(Extensions::default()));
        assert_eq!(read_request(Some(&request())), Some(Extensions::OURS));
    }

    #[test]
    fn compression_may_be_null_a_string_or_a_list() {
        for compression in ["null", "\"gzip\"", "[\"gzip\"]"] {
            let body = format!(r#"{{"selected_version":"0.1","features":{{"compression":{compression}}}}}"#);
            assert!(read_response(Json::parse(&body).ok().as_ref()).is_some(), "{compression}");
        }
    }

    #[test]
    fn without_a_common_version_there_is_no_session() {
        assert_eq!(read_request(Json::parse(r#"{"supported_versions":["9.9"]}"#).ok().as_ref()), None);
        assert_eq!(read_request(None), None);
    }
}
