//! Address patterns: `*`, `toq://host/*`, `toq://*/name`, `toq://*.example.com/bot-*`, or a whole address.

use crate::address::{Address, AgentName, DEFAULT_PORT, MAX_ADDRESS, host_key};

/// Why a text is no address pattern. The message says what is wrong and what a pattern looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address pattern: {fault}")]
pub struct PatternError {
    text: String,
    fault: Fault,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it must start with toq://")]
    Scheme,
    #[error("it has no host")]
    NoHost,
    #[error("its host is neither a host name nor an IP address, with or without *")]
    Host,
    #[error("its port is not a number from 1 to 65535")]
    Port,
    #[error("agent names are lower-case letters, digits and hyphens, with or without *")]
    Name,
    #[error("it is longer than {MAX_ADDRESS} bytes")]
    Length,
}

/// What a pattern looks like, for whoever wrote none.
pub const PATTERN_FORM: &str = "write toq://host/name; `*` stands for any name, any host or any characters within one label, as in toq://host/* or toq://*.example.com/bot-*";

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
    /// Reads a pattern that somebody wants to make a rule or a filter of, and refuses what covers no address.
    ///
    /// # Errors
    /// [`PatternError`] names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = |fault| PatternError { text: text.chars().take(MAX_ADDRESS).collect(), fault };
        if text == "*" {
            return Ok(Self::new(text));
        }
        check(text.strip_prefix("toq://").ok_or_else(|| wrong(Fault::Scheme))?).map_err(wrong)?;
        Ok(Self::new(text))
    }

    /// Why it covers no address; `None` where it may cover one. Rules that were made elsewhere, or before this was asked, may be
    /// such.
    #[must_use]
    pub fn fault(&self) -> Option<PatternError> {
        let checked = check(self.text.strip_prefix("toq://").unwrap_or(&self.text));
        checked.err().map(|fault| PatternError { text: self.text.clone(), fault })
    }

    /// Takes any text for a pattern; some cover nothing, see [`Pattern::parse`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        let rest = text.strip_prefix("toq://").unwrap_or(text);
        if rest == "*" {
            return Self { text: text.to_owned(), host: None, port: None, name: None };
        }
        let (authority, name) = rest.split_once('/').unwrap_or((rest, "*"));
        let (host, port) = split_port(authority);
        let (host, name) = (one_wildcard(host), one_wildcard(name));
        let host = match host.as_str() {
            "*" => None,
            // A host with a wildcard is no name that could be brought into its canonical form.
            glob if glob.contains('*') => Some(glob.strip_suffix('.').unwrap_or(glob).to_lowercase()),
            whole => Some(host_key(whole)),
        };
        Self { text: text.to_owned(), host, port, name: (name != "*").then_some(name) }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True where it says nothing of whom it covers: wildcards alone stand for host and name, in whatever number.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        let says_nothing = |part: &Option<String>| part.as_ref().is_none_or(|part| part.chars().all(|c| matches!(c, '*' | '.')));
        says_nothing(&self.host) && says_nothing(&self.name)
    }

    /// True where it covers the same addresses because it is the same pattern, however each of them is written.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.name) == (&other.host, other.port, &other.name)
    }

    /// True where both name one agent and it is the same one: neither has a wildcard, and one that has no port means it at any.
    #[must_use]
    pub(super) fn names_whom(&self, other: &Self) -> bool {
        let is_whole = |part: &Option<String>| part.as_ref().is_some_and(|part| !part.contains('*'));
        let is_one = is_whole(&self.host) && is_whole(&self.name);
        let port_fits = self.port.is_none() || other.port.is_none() || self.port == other.port;
        is_one && port_fits && (&self.host, &self.name) == (&other.host, &other.name)
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

/// Several wildcards in a row cover what one covers.
fn one_wildcard(part: &str) -> String {
    let mut last = None;
    part.chars().filter(|c| last.replace(*c) != Some('*') || *c != '*').collect()
}

/// Looks at a pattern without its scheme.
fn check(rest: &str) -> Result<(), Fault> {
    if rest.len() > MAX_ADDRESS {
        return Err(Fault::Length);
    }
    let (authority, name) = rest.split_once('/').unwrap_or((rest, "*"));
    let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if host.is_empty() {
        return Err(Fault::NoHost);
    }
    let is_port = |port: &str| port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if port.is_some_and(|port| !is_port(port)) {
        return Err(Fault::Port);
    }
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '*'));
    if !host.strip_suffix('.').unwrap_or(host).split('.').all(is_label) {
        return Err(Fault::Host);
    }
    let is_glob = |name: &str| name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'*'));
    let is_name = if name.contains('*') { is_glob(name) } else { AgentName::parse(name).is_ok() };
    if is_name { Ok(()) } else { Err(Fault::Name) }
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
    fn what_can_cover_no_address_is_no_pattern() {
        let void = [
            "",
            "alice",
            "garbage words",
            "http://x/y",
            "toq://",
            "toq:///x",
            "toq://evil.com:99999/x",
            "toq://evil.com:0/x",
            "toq://evil.com:/x",
            "toq://evil.com/UPPER",
            "toq://evil.com/",
            "toq://evil.com/a/b",
            "toq://evil..com/x",
            "toq://evil com/x",
            "toq://evil.com/-x",
            "toq://evil.com/b_*",
        ];
        for text in void {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::new("http://x/y").fault().is_some());
        assert_eq!(Pattern::new("evil.com/x").fault(), None, "published files leave the scheme out");
        let good = [
            "*",
            "toq://*",
            "toq://*/*",
            "toq://evil.com",
            "toq://evil.com./x",
            "toq://*.evil.com/bot-*",
            "toq://127.0.0.1:9010/x",
            "toq://münchen.example/*",
            "toq://*:9010/x",
            "toq://docker_host/x",
        ];
        for text in good {
            assert_eq!(Pattern::parse(text).as_ref().map(Pattern::as_str), Ok(text));
        }
        let told = Pattern::parse("toq://evil.com:99999/x").expect_err("no port").to_string();
        assert!(told.contains("toq://evil.com:99999/x") && told.contains("port"), "{told}");
    }

    #[test]
    fn what_says_nothing_of_whom_it_covers_is_everybody() {
        for everybody in ["*", "toq://*", "toq://*/*", "toq://*/**", "toq://**/***", "toq://*.*.*.*/*", "toq://*:9009/*"] {
            assert!(Pattern::new(everybody).is_everybody(), "{everybody}");
        }
        for somebody in ["toq://*/bob", "toq://*.example.com/*", "toq://h/*", "toq://*/b*"] {
            assert!(!Pattern::new(somebody).is_everybody(), "{somebody}");
        }
    }

    #[test]
    fn spellings_of_one_pattern_are_the_same() {
        for (one, other) in [
            ("toq://EXAMPLE.com/*", "toq://example.com/**"),
            ("toq://h:09010/x", "toq://h:9010/x"),
            ("*", "toq://*/*"),
            ("toq://a**b.h/x", "toq://a*b.h/x"),
        ] {
            assert!(Pattern::new(one).is_same(&Pattern::new(other)), "{one} {other}");
        }
        assert!(!Pattern::new("toq://h/x").is_same(&Pattern::new("toq://h:9009/x")));
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
