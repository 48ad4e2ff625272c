//! Tokens: what an account shows the data plane (JSON Web Tokens, RFC 7519 and 8037).
//!
//! The API server mints them, the data plane checks them. Both are one process, which has the private key in `token.key`: who
//! breaks into it mints what it likes. Where EdDSA is used, no secret is shared beyond it; HS256 is there for those whose tokens come from elsewhere. The key decides about the algorithm, never the
//! token: an attacker would try `none`, a public key as the secret of an HMAC, and a token without an end.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde::{Deserialize, Serialize};
use toq_protocol::{Identity, PeerKey, Signature};

/// Who mints tokens.
pub const ISSUER: &str = "skytale-api";
/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// How far the clocks of who mints and who checks may be apart, in seconds.
const LEEWAY: i64 = 30;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The account.
    pub sub: String,
    /// [`ISSUER`].
    pub iss: String,
    /// What the account may do: `free`, `dev`, `team`, `pro`, `enterprise`.
    #[serde(default)]
    pub plan: String,
    /// When it was minted, in seconds of Unix time.
    pub iat: i64,
    /// When it ends, in seconds of Unix time.
    pub exp: i64,
    /// The id of the API key that it was made with: it ends with the key, where the key's end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the token has expired; exchange the API key for a new one")]
    Expired,
    /// It is for later.
    #[error("the token is not valid yet; compare the clocks of this machine and of the API server")]
    Early,
    /// It is not one, or none of ours.
    #[error("the token was not made by the API server that this relay trusts; exchange an API key of that server for one")]
    Foreign,
}

/// What tokens are minted with.
pub enum Mint {
    /// A private key.
    EdDsa(Box<Identity>),
    /// A secret that who checks has as well.
    Hs256(Vec<u8>),
}

impl std::fmt::Debug for Mint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.alg())
    }
}

impl Mint {
    const fn alg(&self) -> &'static str {
        match self {
            Mint::EdDsa(_) => "EdDSA",
            Mint::Hs256(_) => "HS256",
        }
    }

    /// Makes a token.
    #[must_use]
    pub fn token(&self, claims: &Claims) -> String {
        let header = serde_json::json!({"alg": self.alg(), "typ": "JWT"});
        let claims = serde_json::to_vec(claims).unwrap_or_default();
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = match self {
            Mint::EdDsa(identity) => raw(&identity.sign(text.as_bytes())),
            Mint::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec(),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What checks these tokens.
    #[must_use]
    pub fn check(&self) -> Check {
        match self {
            Mint::EdDsa(identity) => Check::EdDsa(identity.public()),
            Mint::Hs256(secret) => Check::Hs256(secret.clone()),
        }
    }
}

/// What tokens are checked with.
#[derive(Clone)]
pub enum Check {
    /// The public key of who mints.
    EdDsa(PeerKey),
    /// The secret of who mints.
    Hs256(Vec<u8>),
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Check::EdDsa(_) => "EdDSA",
            Check::Hs256(_) => "HS256",
        })
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl Check {
    /// Reads a token at `now`, in seconds of Unix time.
    ///
    /// # Errors
    /// [`TokenError`] says why it does not count.
    pub fn claims(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Foreign);
        }
        let (text, signature) = token.rsplit_once('.').ok_or(TokenError::Foreign)?;
        let (header, claims) = text.split_once('.').ok_or(TokenError::Foreign)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Foreign);
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Foreign)?;
        if !self.is_signed(&header.alg, text.as_bytes(), &decoded(signature)?) {
            return Err(TokenError::Foreign);
        }
        let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| TokenError::Foreign)?;
        if claims.iss != ISSUER || claims.sub.is_empty() {
            return Err(TokenError::Foreign);
        }
        if claims.exp <= now {
            return Err(TokenError::Expired);
        }
        if claims.iat > now.saturating_add(LEEWAY) {
            return Err(TokenError::Early);
        }
        Ok(claims)
    }

    fn is_signed(&self, alg: &str, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Check::EdDsa(key) if alg == "EdDSA" => {
                Signature::parse(&format!("ed25519:{}", STANDARD.encode(signature))).is_ok_and(|signature| key.verifies(text, &signature))
            }
            Check::Hs256(secret) if alg == "HS256" => hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), text, signature).is_ok(),
            Check::EdDsa(_) | Check::Hs256(_) => false,
        }
    }
}

/// The 64 bytes of a signature, which is otherwise only written as text.
fn raw(signature: &Signature) -> Vec<u8> {
    let text = signature.to_string();
    let bytes = text.split_once(':').and_then(|(_, encoded)| STANDARD.decode(encoded).ok());
    bytes.expect("a signature is written as a prefix and base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_760_000_000;

    fn claims() -> Claims {
        Claims { sub: "550e8400".into(), iss: ISSUER.into(), plan: "free".into(), iat: NOW, exp: NOW + 3600, key: None }
    }

    fn ours() -> Mint {
        Mint::EdDsa(Box::new(Identity::from_seed(&[7; 32])))
    }

    fn secret() -> Mint {
        Mint::Hs256(b"your-hs256-secret-here".to_vec())
    }

    #[test]
    fn a_token_says_what_was_minted_until_its_end() {
        for mint in [ours(), secret()] {
            let token = mint.token(&claims());

            assert_eq!(mint.check().claims(&token, NOW + 3599), Ok(claims()));
            assert_eq!(mint.check().claims(&token, NOW + 3600), Err(TokenError::Expired));
            assert_eq!(mint.check().claims(&token, NOW - 31), Err(TokenError::Early));
        }
    }

    #[test]
    fn a_published_token_is_read() {
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI1NTBlODQwMC1lMjliLTQxZDQtYTcxNi00NDY2NTU0NDAwMDAiLCJpc3MiOiJz\
            a3l0YWxlLWFwaSIsInBsYW4iOiJmcmVlIiwiaWF0IjoxNzYwMDAwMDAwLCJleHAiOjE3NjAwMDM2MDB9.nPiAhNPNyLBqleKE-4AfuO6l9UR0GBUItn4Cf_XKqjI";

        let claims = secret().check().claims(token, NOW).expect("a token");

        assert_eq!((claims.sub.as_str(), claims.plan.as_str()), ("550e8400-e29b-41d4-a716-446655440000", "free"));
    }

    #[test]
    fn the_key_decides_about_the_algorithm() {
        let public = match ours().check() {
            Check::EdDsa(key) => key,
            Check::Hs256(_) => panic!("ours has a key pair"),
        };
        let confused = Mint::Hs256(public.to_string().into_bytes()).token(&claims());
        let unsigned = |alg: &str| {
            let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"{alg}\"}}"));
            format!("{header}.{}.", URL_SAFE_NO_PAD.encode(serde_json::to_string(&claims()).expect("json")))
        };

        for token in [confused, unsigned("none"), unsigned("EdDSA"), secret().token(&claims())] {
            assert_eq!(ours().check().claims(&token, NOW), Err(TokenError::Foreign));
        }
    }

    #[test]
    fn a_changed_token_and_other_text_are_foreign() {
        let token = ours().token(&claims());
        let other = ours().token(&Claims { plan: "enterprise".into(), ..claims() });
        let (_, end) = token.rsplit_once('.').expect("three parts");
        let (begin, _) = other.rsplit_once('.').expect("three parts");

        for text in [format!("{begin}.{end}"), String::new(), "..".into(), "a.b.c".into(), "x".repeat(MAX_TOKEN + 1)] {
            assert_eq!(ours().check().claims(&text, NOW), Err(TokenError::Foreign));
        }
    }
}
