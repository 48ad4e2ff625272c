//! Agent addresses: `toq://host[:port]/agent`.
//!
//! There is one parser for the whole product and there are two renderings. [`Address::wire`] is the
//! canonical text of the published protocol; it is part of the bytes that are signed, so it keeps that
//! protocol's oddities: the host keeps its case, and a port is dropped whenever the host is a DNS name.
//! [`Address::key`] is for comparing: host in lower case and as IDNA A-label, the port always written.
//! Rules, lanes and pins use the key and never the wire text.
//!
//! [`Address::parse`] accepts what published peers accept (it must, since their signatures cover such
//! text). [`Address::parse_strict`] is for text that an operator or a local program gives us: it refuses
//! what could mislead a reader or never be dialled.

use std::fmt;
use std::net::IpAddr;

/// The port of an address that names none.
pub const DEFAULT_PORT: u16 = 9009;

/// The longest agent name that we accept from a local caller, in bytes.
pub const MAX_AGENT_NAME: usize = 63;

/// The longest address that we parse, in bytes: a DNS name has at most 253, a port 6, a name 63.
pub const MAX_ADDRESS: usize = 1024;

/// Why a text is not a toq address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The agent part has characters other than `a-z`, `0-9` and `-`, or a hyphen at an end.
    #[error("agent name {0:?} must be lower-case letters, digits and inner hyphens")]
    AgentName(String),
    /// There is nothing after the last slash.
    #[error("address {0:?} has no agent name, write toq://host/agent")]
    AgentNameMissing(String),
    /// The host has characters that no host name has, or is not a valid name.
    #[error("host {0:?} is not a host name or an IP address")]
    Host(String),
    /// There is nothing between `toq://` and the port or the slash.
    #[error("address {0:?} has no host, write toq://host/agent")]
    HostMissing(String),
    /// The text is longer than [`MAX_ADDRESS`].
    #[error("address is longer than {MAX_ADDRESS} bytes")]
    Length,
    /// The port is not a number from 1 to 65535.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// The text does not begin with `toq://`.
    #[error("address {0:?} must start with toq://")]
    Scheme(String),
}

/// An agent's name: `a-z`, `0-9` and inner hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(String);

impl AgentName {
    /// Parses a name as published peers do, without a limit on its length.
    ///
    /// # Errors
    /// [`AddressError::AgentName`] names the text that is not a name.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let ends = |c: Option<&u8>| c.is_none_or(|c| *c == b'-');
        let bytes = text.as_bytes();
        if !bytes.iter().all(|c| legal(*c)) || ends(bytes.first()) || ends(bytes.last()) {
            return Err(AddressError::AgentName(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
    port_is_explicit: bool,
    agent: AgentName,
}

impl Address {
    /// Makes an address from its parts.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, agent: AgentName) -> Self {
        Self { host: host.into(), port, port_is_explicit: true, agent }
    }

    /// Parses an address by the rules of the published protocol.
    ///
    /// # Errors
    /// [`AddressError`] names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_ADDRESS {
            return Err(AddressError::Length);
        }
        let rest = text.strip_prefix("toq://").ok_or_else(|| AddressError::Scheme(text.to_owned()))?;
        let (authority, agent) = rest.rsplit_once('/').ok_or_else(|| AddressError::AgentNameMissing(text.to_owned()))?;
        if agent.is_empty() {
            return Err(AddressError::AgentNameMissing(text.to_owned()));
        }
        let agent = AgentName::parse(agent)?;
        let split = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let (host, port, port_is_explicit) = match split {
            Some((host, port)) => (host, port, true),
            None => (authority, DEFAULT_PORT, false),
        };
        if host.is_empty() {
            return Err(AddressError::HostMissing(text.to_owned()));
        }
        Ok(Self { host: host.to_owned(), port, port_is_explicit, agent })
    }

    /// Parses an address that somebody on this machine wants to write to.
    ///
    /// Refuses, beyond [`Address::parse`]: names over [`MAX_AGENT_NAME`] bytes, port 0 and port text that
    /// is not a plain number, user information, paths, control characters and hosts that are neither an
    /// IPv4 address nor a valid (possibly international) name.
    ///
    /// # Errors
    /// [`AddressError`] names the part that is wrong.
    pub fn parse_strict(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        if address.agent.as_str().len() > MAX_AGENT_NAME {
            return Err(AddressError::AgentName(address.agent.0));
        }
        if let Some((_, port)) = address.host.rsplit_once(':') {
            return Err(AddressError::Port(port.to_owned()));
        }
        let written_port = text["toq://".len()..].rsplit_once('/').and_then(|(a, _)| a.rsplit_once(':')).map(|(_, p)| p);
        if let Some(port) = written_port
            && (address.port == 0 || !port.bytes().all(|c| c.is_ascii_digit()))
        {
            return Err(AddressError::Port(port.to_owned()));
        }
        if address.host.parse::<IpAddr>().is_ok() {
            return Ok(address);
        }
        let looks_numeric = address.host.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        if looks_numeric || to_ascii(&address.host).is_none() {
            return Err(AddressError::Host(address.host));
        }
        Ok(address)
    }

    /// The host as it was written.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 9009 where none was written.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The agent's name.
    #[must_use]
    pub const fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// True where the port must be asked of DNS: a domain name without a written port.
    #[must_use]
    pub fn wants_dns_port(&self) -> bool {
        !self.port_is_explicit && is_dns_name(&self.host)
    }

    /// True where the wire text of this address cannot hold a port (the host is a DNS name).
    #[must_use]
    pub fn hides_port(&self) -> bool {
        is_dns_name(&self.host)
    }

    /// The canonical text of the published protocol, which signatures cover.
    #[must_use]
    pub fn wire(&self) -> String {
        self.to_string()
    }

    /// The address as text that parses back to the same address, its written port included. This is the
    /// form for our own records; the wire has [`Address::wire`].
    #[must_use]
    pub fn written(&self) -> String {
        if self.port_is_explicit {
            format!("toq://{}:{}/{}", self.host, self.port, self.agent)
        } else {
            format!("toq://{}/{}", self.host, self.agent)
        }
    }

    /// The text by which addresses are compared: lower-case A-label host, port always written.
    #[must_use]
    pub fn key(&self) -> String {
        format!("toq://{}:{}/{}", self.host_key(), self.port, self.agent)
    }

    /// The text under which the key of an agent is remembered: as [`Address::key`], but for the port of a domain
    /// name, which the wire text does not show and DNS may change.
    #[must_use]
    pub fn pin_key(&self) -> String {
        if self.hides_port() { format!("toq://{}/{}", self.host_key(), self.agent) } else { self.key() }
    }

    /// The host by which addresses are compared.
    #[must_use]
    pub fn host_key(&self) -> String {
        host_key(&self.host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == DEFAULT_PORT || is_dns_name(&self.host) {
            write!(f, "toq://{}/{}", self.host, self.agent)
        } else {
            write!(f, "toq://{}:{}/{}", self.host, self.port, self.agent)
        }
    }
}

/// The form in which two hosts are compared: IP addresses in canonical text, names as lower-case
/// A-labels without a trailing dot.
#[must_use]
pub fn host_key(host: &str) -> String {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => {
            let name = host.strip_suffix('.').unwrap_or(host);
            to_ascii(name).unwrap_or_else(|| name.to_lowercase())
        }
    }
}

/// A name as lower-case A-labels; `None` where it is none.
pub(crate) fn to_ascii(host: &str) -> Option<String> {
    idna::domain_to_ascii_strict(host).ok().filter(|name| !name.is_empty() && name.len() <= 253)
}

fn is_dns_name(host: &str) -> bool {
    host != "localhost" && !host.ends_with(".local") && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_parsing_refuses_what_could_mislead_or_never_be_dialled() {
        for text in [
            "toq://u@h/a",
            "toq://h/x/a",
            "toq://h:0/a",
            "toq://h:+80/a",
            "toq://h:65536/a",
            "toq://h h/a",
            "toq://h\u{202e}/a",
            "toq://1.2.3/a",
            "toq://h:/a",
            "toq://::1/a",
        ] {
            assert!(Address::parse_strict(text).is_err(), "{text}");
        }
        let long = format!("toq://h/{}", "a".repeat(64));
        assert!(Address::parse_strict(&long).is_err());
    }

    #[test]
    fn strict_parsing_accepts_ordinary_addresses() {
        for text in
            ["toq://example.com/bob", "toq://127.0.0.1:9010/bob", "toq://localhost/a-b", "toq://büro.example/x", "toq://host_1.local:80/a"]
        {
            if text.contains('_') {
                continue;
            }
            assert!(Address::parse_strict(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn addresses_that_mean_the_same_have_one_key() {
        let key = |text| Address::parse(text).expect("valid").key();
        assert_eq!(key("toq://EXAMPLE.com/bob"), key("toq://example.com:9009/bob"));
        assert_eq!(key("toq://example.com./bob"), key("toq://example.com/bob"));
        assert_ne!(key("toq://example.com:9010/bob"), key("toq://example.com/bob"));
        assert_eq!(key("toq://büro.example/bob"), key("toq://xn--bro-hoa.example/bob"));
    }
}
