//! Invites, and what the server never learns of them.
//!
//! An invite is `skt_inv_` and 64 characters of base64url: 16 bytes that name it and 32 bytes of secret. Three things are made
//! of the whole text, none of which gives it away:
//!
//! ```text
//! proof    = SHA-256("toq invite proof" ‖ token)                                    what a joiner shows the server
//! verifier = SHA-256(proof)                                                        what the server keeps
//! binding  = HMAC-SHA-256(SHA-256("toq invite" ‖ token), key package)              what a joiner sends the owner
//! ```
//!
//! A member that makes an invite registers its id and verifier and keeps the text. The server can then tell who holds the
//! invite and count its uses, but it cannot make a binding: a key package that it put in the place of the joiner's does not pass
//! the owner's check. Published members ask the server to make the invite, and show it the text: for them the server is
//! trusted not to swap, and a channel may refuse them.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What every invite begins with.
const PREFIX: &str = "skt_inv_";

/// Bytes that name an invite.
const ID: usize = 16;

/// Bytes of secret.
const SECRET: usize = 32;

/// An invite as it is handed over. It has no printable form but [`InviteToken::text`].
#[derive(Clone)]
pub struct InviteToken {
    text: String,
    id: [u8; ID],
}

/// The text is no invite.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an invite token: it is \"skt_inv_\" and 64 characters")]
pub struct TokenError;

impl std::fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteToken").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl InviteToken {
    /// Makes an invite of 48 random bytes.
    #[must_use]
    pub fn mint(random: &[u8; ID + SECRET]) -> Self {
        let mut id = [0; ID];
        id.copy_from_slice(&random[..ID]);
        Self { text: format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random)), id }
    }

    /// Reads an invite.
    ///
    /// # Errors
    /// [`TokenError`] where the text is none.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let encoded = text.strip_prefix(PREFIX).filter(|encoded| encoded.len() == (ID + SECRET) / 3 * 4).ok_or(TokenError)?;
        let bytes: [u8; ID + SECRET] =
            BASE64_URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(TokenError)?;
        Ok(Self::mint(&bytes))
    }

    /// The invite, to be handed to who is invited and to nobody else.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its name: 22 characters of base64url. No secret.
    #[must_use]
    pub fn id(&self) -> String {
        Self::id_text(&self.id)
    }

    /// Shows the server that the sender holds the invite: base64url of 32 bytes.
    #[must_use]
    pub fn proof(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.proof_bytes())
    }

    /// What the server keeps: base64url of 32 bytes.
    #[must_use]
    pub fn verifier(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(sha256(&[&self.proof_bytes()]))
    }

    /// Binds a key package (its bytes, not their base64) to the invite: base64 of 32 bytes.
    #[must_use]
    pub fn binding(&self, key_package: &[u8]) -> String {
        BASE64_STANDARD.encode(hmac::sign(&self.binding_key(), key_package))
    }

    /// Whether a binding was made for this key package by who holds the invite. Takes the same time for every wrong one.
    #[must_use]
    pub fn binds(&self, key_package: &[u8], binding: &str) -> bool {
        // 44 characters; whatever is longer is not decoded.
        let tag = (binding.len() == 44).then(|| BASE64_STANDARD.decode(binding).ok()).flatten();
        tag.is_some_and(|tag| hmac::verify(&self.binding_key(), key_package, &tag).is_ok())
    }

    /// The verifier that belongs to a proof; `None` where the text is no proof.
    #[must_use]
    pub fn verifier_of(proof: &str) -> Option<[u8; 32]> {
        Some(sha256(&[&decode_32(proof)?]))
    }

    /// Reads [`InviteToken::verifier`].
    #[must_use]
    pub fn read_verifier(text: &str) -> Option<[u8; 32]> {
        decode_32(text)
    }

    /// Reads [`InviteToken::id`].
    #[must_use]
    pub fn read_id(text: &str) -> Option<[u8; ID]> {
        (text.len() == 22).then(|| BASE64_URL_SAFE_NO_PAD.decode(text).ok()).flatten()?.try_into().ok()
    }

    /// Writes an id.
    #[must_use]
    pub fn id_text(id: &[u8; ID]) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(id)
    }

    fn proof_bytes(&self) -> [u8; 32] {
        sha256(&[b"toq invite proof", self.text.as_bytes()])
    }

    fn binding_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &sha256(&[b"toq invite", self.text.as_bytes()]))
    }
}

fn decode_32(text: &str) -> Option<[u8; 32]> {
    (text.len() == 43).then(|| BASE64_URL_SAFE_NO_PAD.decode(text).ok()).flatten()?.try_into().ok()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Makes an invite, or registers one that the caller made.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct NewInvite {
    /// `org/namespace/service`, registered by this account.
    pub channel: String,
    /// How often it can be used; 1 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// How long it can be used, in seconds; 3600 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// [`InviteToken::id`] of an invite that the caller made. Absent: the server makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// [`InviteToken::verifier`] of the same; given with `token_id` or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
}

/// A new invite.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct InviteCreated {
    /// The invite, where the server made it; shown here and nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// [`InviteToken::id`]. Published servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it ends (RFC 3339, UTC).
    pub expires_at: String,
}

/// Whose invites to list.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InvitesQuery {
    /// `org/namespace/service`.
    pub channel: String,
}

/// An invite, as far as the server knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct InviteView {
    /// [`InviteToken::id`].
    pub id: String,
    /// The channel.
    pub channel: String,
    /// How often it was used.
    pub uses: u32,
    /// How often it can be used.
    pub max_uses: u32,
    /// When it was made (RFC 3339, UTC).
    pub created_at: String,
    /// When it ends (RFC 3339, UTC).
    pub expires_at: String,
}

/// The invites of a channel that have not ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Invites {
    /// Oldest first.
    pub invites: Vec<InviteView>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> InviteToken {
        InviteToken::mint(&std::array::from_fn(|at| u8::try_from(at).expect("48")))
    }

    #[test]
    fn an_invite_reads_back_as_it_was_made() {
        let text = token().text().to_owned();

        assert_eq!(text, "skt_inv_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v");
        assert_eq!(InviteToken::parse(&text).map(|token| token.id()), Ok("AAECAwQFBgcICQoLDA0ODw".to_owned()));
        for bad in ["", "skt_inv_", &text[1..], &text[..text.len() - 1], &format!("{text}A"), &text.replace('_', "-"), "sk_live_x"] {
            assert!(InviteToken::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_server_can_check_a_proof_with_what_it_keeps() {
        let token = token();

        assert_eq!(InviteToken::verifier_of(&token.proof()), InviteToken::read_verifier(&token.verifier()));
        assert_ne!(token.proof(), token.verifier());
        assert_eq!(InviteToken::verifier_of("short"), None);
    }

    #[test]
    fn a_binding_is_good_for_one_key_package_and_one_invite() {
        let (token, other) = (token(), InviteToken::mint(&[7; 48]));
        let binding = token.binding(b"package");

        assert!(token.binds(b"package", &binding));
        assert!(!token.binds(b"packagf", &binding) && !other.binds(b"package", &binding));
        assert!(!token.binds(b"package", "") && !token.binds(b"package", &"A".repeat(4000)));
    }

    #[test]
    fn the_three_derived_values_stay_what_they_are() {
        let token = token();

        // Made with Python's hashlib and hmac from the formulas of the module's documentation.
        assert_eq!(token.proof(), "OBmZAfCmCboW0M2l0cZ6dXVikTnBUww3gUY-rLUmSus");
        assert_eq!(token.verifier(), "-qE_nGK3YMTKQ6sQpAjrLVGMUpUyFfhx5S6COJdn8Cc");
        assert_eq!(token.binding(b"key package"), "nIjOSimT72/dJk3UtpFox7SeDjLdwdQzIfVP4mLzVMM=");
    }

    #[test]
    fn a_debug_line_does_not_show_the_secret() {
        assert!(!format!("{:?}", token()).contains("EBES"));
    }
}
