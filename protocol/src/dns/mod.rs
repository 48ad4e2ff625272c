//! What a domain says about its agents: TXT records at `_toq._tcp.<domain>.`, one for each agent.
//!
//! [`Record`] reads one record as published peers do. [`Answer`] is what we act on: all records of a
//! domain, under limits, read more strictly. [`reach`] says which addresses a public name may have.
//!
//! Nothing here asks anybody: who looks names up hands the texts in. What an attacker would try: answer for a domain that
//! is not theirs (so a record proves no more than the way it was fetched), add a second record with a key of their
//! own (so several keys for one name are a refusal, never a choice), send more than anybody needs (so there are
//! limits), or point a public name into the reader's own network.

mod answer;
pub mod reach;
mod record;

pub use answer::{Announced, Answer, AnswerError, MAX_RECORD, MAX_RECORDS};
pub use record::{Record, RecordError};

use crate::address::{host_key, to_ascii};

/// What stands before the domain in the name that is asked for.
const PREFIX: &str = "_toq._tcp.";

/// The longest name of the DNS as text, without the final dot (RFC 1035 section 3.1).
const MAX_NAME: usize = 253;

/// The name whose TXT records announce the agents of a domain, fully qualified. `None` where the host is no
/// [`name`], is a single label, which belongs to a local network, or is too long to be asked for.
#[must_use]
pub fn query_name(domain: &str) -> Option<String> {
    let name = name(domain).filter(|name| name.contains('.'))?;
    (PREFIX.len() + name.len() <= MAX_NAME).then(|| format!("{PREFIX}{name}."))
}

/// The host as a name that the DNS may know: lower-case A-labels without the final dot. `None` for IP
/// addresses, `localhost` and `*.localhost` (RFC 6761 section 6.3), `*.local` (RFC 6762 section 3), and text that is no name.
#[must_use]
pub fn name(host: &str) -> Option<String> {
    let host = host_key(host);
    let is_local =
        ["localhost", "local"].iter().any(|top| host.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    let is_numeric = host.rsplit('.').next().is_none_or(|label| label.bytes().all(|c| c.is_ascii_digit()));
    let is_name = !is_local && !is_numeric && to_ascii(&host).is_some();
    is_name.then_some(host)
}

/// What DNS says about an agent's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsProof {
    /// The domain names this key, and no other, for this agent.
    Verified,
    /// It does not, or could not be asked; why, in words. A failed lookup is always this.
    NotVerified(String),
}

impl DnsProof {
    /// True for [`DnsProof::Verified`].
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        matches!(self, Self::Verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_dns_may_know_are_asked_for() {
        for (host, expected) in [
            ("example.com", Some("_toq._tcp.example.com.")),
            ("Example.COM.", Some("_toq._tcp.example.com.")),
            ("büro.example", Some("_toq._tcp.xn--bro-hoa.example.")),
            ("my.mylocal", Some("_toq._tcp.my.mylocal.")),
            ("bob", None),
            ("localhost", None),
            ("LOCALHOST.", None),
            ("a.localhost", None),
            ("printer.local", None),
            ("Printer.LOCAL", None),
            ("local", None),
            ("127.0.0.1", None),
            ("127.1", None),
            ("1.2.3.4.5", None),
            ("[::1]", None),
            ("::1", None),
            ("", None),
            (".", None),
            ("a b", None),
            ("a..b", None),
            ("_toq._tcp.example.com", None),
        ] {
            assert_eq!(query_name(host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn a_name_that_becomes_too_long_is_not_asked_for() {
        let label = "a".repeat(61);
        let long = format!("{label}.{label}.{label}.{label}");

        assert!(name(&long).is_some());
        assert_eq!(query_name(&long), None);
    }
}
