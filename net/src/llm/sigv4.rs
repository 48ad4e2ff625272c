//! AWS Signature Version 4, for a POST with a JSON body.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;

use ring::{digest, hmac};
use toq_protocol::time::Timestamp;

use super::endpoint::AwsKeys;

/// What is signed.
pub(super) struct Signable<'a> {
    /// `POST`; `GET` in AWS's own examples.
    pub(super) method: &'a str,
    /// The path as it is sent, each segment encoded once.
    pub(super) path: &'a str,
    /// Headers by their lower-case names, in the order of names.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(super) body: &'a [u8],
    /// The service's name in its scope.
    pub(super) service: &'a str,
}

/// `20150830T123600Z`.
pub(super) fn amz_date(at: Timestamp) -> String {
    let text = Timestamp::from_nanos(at.as_secs().saturating_mul(1_000_000_000)).to_string();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

/// The value of the `Authorization` header of a request that carries `x-amz-date: date`.
pub(super) fn authorization(signable: &Signable<'_>, keys: &AwsKeys, date: &str) -> String {
    let names: Vec<&str> = signable.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut headers = String::new();
    for (name, value) in signable.headers {
        let _ = writeln!(headers, "{name}:{}", value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let path = encode_path(signable.path);
    let canonical = format!("{}\n{path}\n\n{headers}\n{names}\n{}", signable.method, sha256(signable.body));
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/{}/aws4_request", keys.region, signable.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let key = signing_key(keys.secret.expose(), day, &keys.region, signable.service);
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id)
}

/// Encodes everything but unreserved characters and slashes. A path that is encoded already is encoded again:
/// every service but S3 signs it that way.
pub(super) fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let first = zeroize::Zeroizing::new(format!("AWS4{secret}"));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes());
    for part in [day, region, service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use toq_vault::Secret;

    use super::*;

    const DATE: &str = "20150830T123600Z";

    /// The key of AWS's published signing tests.
    fn keys() -> AwsKeys {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        AwsKeys { id: "AKIDEXAMPLE".to_owned(), secret, session: None, region: "us-east-1".to_owned() }
    }

    fn signature(method: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        let signable = Signable { method, path: "/", headers, body, service: "service" };
        let authorization = authorization(&signable, &keys(), DATE);
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "));
        authorization.rsplit('=').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_published_test_suite_is_signed_as_aws_signs_it() {
        let plain = [("host", "example.amazonaws.com"), ("x-amz-date", DATE)];
        let form = [("content-type", "application/x-www-form-urlencoded"), plain[0], plain[1]];

        // get-vanilla, post-vanilla, post-x-www-form-urlencoded
        assert_eq!(signature("GET", &plain, b""), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        assert_eq!(signature("POST", &plain, b""), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        assert_eq!(signature("POST", &form, b"Param1=value1"), "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
    }

    #[test]
    fn the_published_signing_key_is_derived() {
        let key = signing_key(keys().secret.expose(), "20150830", "us-east-1", "iam");
        let to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
            f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";

        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());

        assert_eq!(signature, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    }

    #[test]
    fn dates_and_paths_are_written_as_aws_wants_them() {
        let at = Timestamp::parse("2015-08-30T12:36:00.987Z").expect("a time");

        assert_eq!(amz_date(at), DATE);
        assert_eq!(encode_path("/model/a.b-v1:0/converse"), "/model/a.b-v1%3A0/converse");
        assert_eq!(encode_path(&encode_path("/v1:0")), "/v1%253A0");
    }
}
