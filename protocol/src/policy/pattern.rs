//! Address patterns: `*`, `toq://host/*`, `toq://*/name`, `toq://*.example.com/bot-*`, or a whole address.

use crate::address::{Address, DEFAULT_PORT, host_key};

/// An address pattern.
///
/// `*` stands for any characters within one label of a host or within a name, and alone for a whole host or
/// name. A pattern without a name covers every name, one without a port every port. Hosts compare without
/// regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    text: String,
    /// `None` covers every host.
    host: Option<String>,
    /// `None` covers every port.
    port: Option<u16>,
    /// `None` covers every name.
    name: Option<String>,
}

/// An address taken apart as patterns look at it.
#[derive(Clone, Debug)]
pub(super) struct Parts<'a> {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) name: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(address: &'a Address) -> Self {
        Self { host: address.host_key(), port: address.port(), name: Some(address.agent().as_str()) }
    }

    fn of_text(text: &'a str) -> Self {
        let rest = text.strip_prefix("toq://").unwrap_or(text);
        let (authority, name) = rest.split_once('/').map_or((rest, None), |(authority, name)| (authority, Some(name)));
        let (host, port) = split_port(authority);
        Self { host: host_key(host), port: port.unwrap_or(DEFAULT_PORT), name }
    }
}

impl Pattern {
    /// Reads a pattern. Every text is one; some cover nothing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let rest = text.strip_prefix("toq://").unwrap_or(text);
        if rest == "*" {
            return Self { text: text.to_owned(), host: None, port: None, name: None };
        }
        let (authority, name) = rest.split_once('/').unwrap_or((rest, "*"));
        let (host, port) = split_port(authority);
        let host = match host {
            "*" => None,
            // A host with a wildcard is no name that could be brought into its canonical form.
            glob if glob.contains('*') => Some(glob.strip_suffix('.').unwrap_or(glob).to_lowercase()),
            whole => Some(host_key(whole)),
        };
        Self { text: text.to_owned(), host, port, name: (name != "*").then(|| name.to_owned()) }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where it covers every address there is.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.host.is_none() && self.port.is_none() && self.name.is_none()
    }

    /// True where the pattern covers `address`.
    #[must_use]
    pub fn matches(&self, address: &Address) -> bool {
        self.matches_parts(&Parts::of(address))
    }

    /// True where the pattern covers this text, which need not be an address (`a2a-client` is a sender too).
    #[must_use]
    pub fn matches_text(&self, address: &str) -> bool {
        self.matches_parts(&Parts::of_text(address))
    }

    pub(super) fn matches_parts(&self, parts: &Parts<'_>) -> bool {
        let host_fits = self.host.as_ref().is_none_or(|wanted| !wanted.is_empty() && covers_host(wanted, &parts.host));
        let port_fits = self.port.is_none_or(|wanted| wanted == parts.port);
        let name_fits = self.name.as_ref().is_none_or(|wanted| parts.name.is_some_and(|name| covers(wanted, name)));
        host_fits && port_fits && name_fits
    }

    /// True where every address that `other` covers is covered by this one too.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let part = |ours: &Option<String>, theirs: &Option<String>, covers: fn(&str, &str) -> bool| match (ours, theirs) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(theirs)) => covers(ours, theirs),
        };
        part(&self.host, &other.host, covers_host)
            && part(&self.name, &other.name, covers)
            && (self.port.is_none() || self.port == other.port)
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) const fn port(&self) -> Option<u16> {
        self.port
    }
}

/// Label by label, so that a wildcard never reaches across a dot.
fn covers_host(pattern: &str, host: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == host;
    }
    let (mut patterns, mut labels) = (pattern.split('.'), host.split('.'));
    loop {
        match (patterns.next(), labels.next()) {
            (None, None) => return true,
            (Some(pattern), Some(label)) if covers(pattern, label) => {}
            _ => return false,
        }
    }
}

/// `*` stands for any characters, none included.
fn covers(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return text.ends_with(piece);
        }
        match text.split_once(piece) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    true
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("valid")
    }

    #[test]
    fn a_pattern_without_a_port_covers_any_port() {
        let pattern = Pattern::new("toq://127.0.0.1/*");

        assert!(pattern.matches(&address("toq://127.0.0.1:9010/bob")));
        assert!(!Pattern::new("toq://127.0.0.1:9011/*").matches(&address("toq://127.0.0.1:9010/bob")));
        assert!(Pattern::new("toq://h:9009/*").matches(&address("toq://h/bob")));
    }

    #[test]
    fn a_wildcard_stays_within_its_label() {
        for (pattern, text, covered) in [
            ("toq://*.example.com/*", "toq://a.example.com/bob", true),
            ("toq://*.example.com/*", "toq://a.b.example.com/bob", false),
            ("toq://*.example.com/*", "toq://example.com/bob", false),
            ("toq://*.Example.com/*", "toq://A.EXAMPLE.com./bob", true),
            ("toq://api-*.example.com/*", "toq://api-7.example.com/bob", true),
            ("toq://api-*.example.com/*", "toq://web-7.example.com/bob", false),
            ("toq://*/bot-*", "toq://anywhere/bot-1", true),
            ("toq://*/b*b", "toq://h/bob", true),
            ("toq://*/b*b*b", "toq://h/bob", false),
            ("toq://*/*", "toq://h/bob", true),
            ("toq://*.com.evil/*", "toq://a.com/bob", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(&address(text)), covered, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_includes_what_it_covers_more_of() {
        for (wide, narrow, is_included) in [
            ("*", "toq://h/*", true),
            ("toq://h/*", "toq://h/bob", true),
            ("toq://h/*", "toq://H:9010/bob", true),
            ("toq://h:9010/*", "toq://h/bob", false),
            ("toq://*.example.com/*", "toq://a.example.com/bob", true),
            ("toq://a.example.com/*", "toq://*.example.com/*", false),
            ("toq://*/bob", "toq://h/*", false),
        ] {
            assert_eq!(Pattern::new(wide).includes(&Pattern::new(narrow)), is_included, "{wide} {narrow}");
        }
    }
}
