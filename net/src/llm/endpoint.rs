//! Where a provider is, and which key goes there.
//!
//! An attacker who can change a URL would have the key sent to itself. So a key belongs to one origin: the
//! one that was configured together with it. A handler that names another base URL names another key, or none.
//! A key goes over TLS or stays on this machine.

use std::fmt;

use hyper::http::Uri;
use toq_vault::Secret;

use super::LlmError;

/// A place to ask, such as `https://api.openai.com/v1`: scheme, host, port, and the beginning of each path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    is_tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Base {
    /// Parses a base URL. One without a scheme is taken for plain HTTP, as `OLLAMA_HOST` is often written.
    ///
    /// # Errors
    /// [`LlmError::Setting`] where it is not http or https, names a user, or has a query.
    pub fn parse(text: &str) -> Result<Self, LlmError> {
        let refuse = |why: &str| Err(LlmError::Setting(format!("the base URL {why}; it looks like https://host:port/path")));
        let text = text.trim();
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let Ok(uri) = with_scheme.parse::<Uri>() else { return refuse("cannot be read") };
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return refuse("is neither http nor https"),
        };
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else { return refuse("names no host") };
        if authority.as_str().contains('@') {
            return refuse("names a user or a password");
        }
        if uri.query().is_some() {
            return refuse("has a query");
        }
        // Said of Ollama's server, `0.0.0.0` means everywhere; asked for by a client, it means here.
        let host = if host == "0.0.0.0" { "127.0.0.1" } else { host };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { is_tls, host: host.to_ascii_lowercase(), port, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// True where it speaks TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path of something below this base; `below` begins with a slash.
    #[must_use]
    pub fn path(&self, below: &str) -> String {
        format!("{}{below}", self.path)
    }

    /// Host and port, as the `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let default = if self.is_tls { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// What proves to a provider who asks.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing.
    None,
    /// One key.
    Key(Secret),
    /// What signs requests to AWS.
    Aws(AwsKeys),
}

/// An AWS access key.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// Its id.
    pub id: String,
    /// The secret.
    pub secret: Secret,
    /// The token of a temporary key.
    pub session: Option<Secret>,
    /// The region whose service is asked.
    pub region: String,
}

impl Credential {
    /// Every secret in it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::None => (None, None),
            Self::Key(key) => (Some(key.expose()), None),
            Self::Aws(keys) => (Some(keys.secret.expose()), keys.session.as_ref().map(Secret::expose)),
        };
        first.into_iter().chain(second)
    }
}

/// A provider's place and the key for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: Base,
    credential: Credential,
}

impl Endpoint {
    /// Binds a key to a place.
    ///
    /// # Errors
    /// [`LlmError::Setting`] where the key would cross a network in the clear.
    pub fn new(base: Base, credential: Credential) -> Result<Self, LlmError> {
        if !base.is_tls && !base.is_loopback() && !matches!(credential, Credential::None) {
            return Err(LlmError::Setting(format!("a key is not sent to {base} without TLS; use https, or a handler without a key")));
        }
        Ok(Self { base, credential })
    }

    /// Where it is.
    #[must_use]
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// What proves who asks.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_read_and_written() {
        for (text, written) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("localhost:11434", "http://localhost:11434"),
            ("0.0.0.0:11434", "http://127.0.0.1:11434"),
            ("HTTP://[::1]:80/x/", "http://[::1]/x"),
        ] {
            assert_eq!(Base::parse(text).expect("a base").to_string(), written);
        }
        for text in ["", "ftp://h/", "https://user:pw@h/", "https://h/?key=1", "https://", "a b"] {
            assert!(Base::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_goes_over_tls_or_stays_on_this_machine() {
        let bind = |base: &str, credential| Endpoint::new(Base::parse(base).expect("a base"), credential).is_ok();
        let key = || Credential::Key(Secret::new("canary-3f1c"));

        assert!(bind("https://models.example/v1", key()));
        assert!(bind("http://127.0.0.1:1/v1", key()) && bind("http://[::1]:1", key()) && bind("http://localhost:1", key()));
        assert!(
            !bind("http://models.example/v1", key()) && !bind("http://10.0.0.1", key()) && !bind("http://localhost.evil.example", key())
        );
        assert!(bind("http://10.0.0.1:11434", Credential::None));
    }
}
