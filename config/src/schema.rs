//! All keys: what each holds, and when a change takes effect.
//!
//! `default.toml` says what a key is for and what it is by default; this table says what it may be. A test
//! holds the two together.

use crate::error::{Fault, Place};
use crate::nearest::nearest;

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, with its table if it has one: `port`, `api.access`.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// When a change takes effect.
    pub effect: Effect,
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A list of toq addresses.
    Addresses,
    /// A host with or without a port.
    Authority,
    /// One of some words; the later ones are known but not there yet.
    Choice { words: &'static [&'static str], later: &'static [&'static str] },
    /// True or false.
    Flag,
    /// A host name or an IPv4 address.
    Host,
    /// A list of hosts with or without a port.
    Hosts,
    /// The address of a network interface.
    Interface,
    /// A list of names or addresses of network interfaces.
    Interfaces,
    /// True or false, where true is not there yet.
    Later,
    /// An agent's name.
    Name,
    /// A text that is never shown.
    Secret,
    /// One value only, because another could not be kept: and why.
    Only { value: u64, why: &'static str },
    /// The path of a file.
    Path,
    /// A list of IP addresses with or without a port.
    Servers,
    /// The address and port of a listener.
    Socket,
    /// An `http` or `https` URL.
    Url,
    /// A whole number from `min` to `max`. A file may say as much as `published`, which means `max`.
    Fitting { min: u64, max: u64, published: u64, why: &'static str },
    /// A whole number between two others, including both.
    Whole { min: u64, max: u64 },
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Whenever a command is called: no daemon holds it.
    Called,
    /// With a later release, which has what it is for.
    Later,
    /// At once, where the running daemon makes the change.
    Live,
    /// With the next start.
    Restart,
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, effect: Effect::Restart }
}

const fn live(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, effect: Effect::Live }
}

const fn called(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, effect: Effect::Called }
}

const fn later(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, effect: Effect::Later }
}

const fn whole(min: u64, max: u64) -> Kind {
    Kind::Whole { min, max }
}

const fn choice(words: &'static [&'static str]) -> Kind {
    Kind::Choice { words, later: &[] }
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// What fits into one frame of the peer protocol beside the envelope.
const BODY: u64 = toq_protocol::message::MAX_BODY as u64;
/// A whole frame: what the files of published daemons say.
const FRAME: u64 = toq_protocol::frame::MAX_FRAME as u64;
const GIB: u64 = 1024 * 1024 * 1024;

/// Every key, in the order of `default.toml`.
pub const KEYS: &[Key] = &[
    key("agent_name", Kind::Name),
    key("host", Kind::Host),
    key("port", whole(0, 65_535)),
    key("bind", Kind::Interface),
    key("advertise", Kind::Authority),
    key("aliases", Kind::Addresses),
    live("connection_mode", Kind::Choice { words: &["open", "allowlist", "approval", "dns-verified"], later: &[] }),
    key("max_pending_approvals", whole(1, 100_000)),
    key("require_channel_binding", choice(&["prefer", "always"])),
    called("verbosity", choice(&["non-technical", "technical"])),
    live("log_level", choice(&["error", "warn", "info", "debug"])),
    key("log_retention_days", whole(1, 3_650)),
    key("log_max_size_mb", whole(1, 1_000_000)),
    key("max_message_size", Kind::Fitting { min: 1024, max: BODY, published: FRAME, why: ENVELOPE }),
    key("accept_files", Kind::Flag),
    key("max_file_size", whole(1024, 1024 * GIB)),
    key("message_history_limit", whole(1, 1_000_000)),
    key("thread_cleanup_days", whole(1, 3_650)),
    key("key_rotation_grace_days", whole(1, 30)),
    key("max_connections", whole(1, 100_000)),
    key("max_threads_per_connection", Kind::Only { value: 100, why: THREADS }),
    key("max_message_queue", whole(1, 100_000_000)),
    key("handshake_timeout", whole(1, 300)),
    key("negotiation_timeout", whole(1, 300)),
    key("ack_timeout", whole(1, 600)),
    key("heartbeat_interval", whole(1, HOUR)),
    key("heartbeat_timeout", whole(2, 2 * HOUR)),
    key("session_resume_timeout", Kind::Only { value: 300, why: RESUME }),
    key("graceful_shutdown_timeout", whole(0, HOUR)),
    key("mdns_enabled", Kind::Flag),
    later("a2a_enabled", Kind::Later),
    later("a2a_api_key", Kind::Secret),
    later("a2a_public_url", Kind::Url),
    key("adapter", Kind::Choice { words: &["http", "unix", "stdin"], later: &["grpc"] }),
    key("adapter.http.callback_url", Kind::Url),
    key("adapter.unix.socket_path", Kind::Path),
    key("api.access", choice(&["same-user", "token"])),
    key("api.listen", Kind::Socket),
    key("api.allowed_hosts", Kind::Hosts),
    key("api.allow_remote", Kind::Later),
    key("api.max_concurrent_requests", whole(1, 65_536)),
    key("delivery.retry_initial_ms", whole(10, 60_000)),
    key("delivery.retry_max_s", whole(1, DAY)),
    key("delivery.message_ttl_s", whole(1, 30 * DAY)),
    key("delivery.max_attempts", whole(0, 1_000_000)),
    key("delivery.window", whole(1, 1_024)),
    key("dns.resolvers", Kind::Servers),
    key("dns.require", choice(&["any", "agreement", "dnssec"])),
    key("dns.allow_private", Kind::Flag),
    key("mdns.interfaces", Kind::Interfaces),
    key("store.cache_mib", whole(1, 65_536)),
    key("store.max_mib", Kind::Whole { min: 0, max: 1 << 32 }),
    key("limits.handshake_seats", whole(1, 65_536)),
    key("limits.handshakes_per_source", whole(1, 65_536)),
    key("limits.connections_per_key", whole(1, 1_024)),
    key("limits.max_streams_per_peer", whole(1, 65_536)),
    key("limits.stream_idle_s", whole(1, DAY)),
    key("limits.stream_max_bytes", whole(1024, GIB)),
    key("limits.messages_per_second_per_peer", whole(1, GIB)),
    key("limits.bytes_per_second_per_peer", whole(1024, 1024 * GIB)),
    key("limits.messages_per_second_per_source", whole(1, GIB)),
    key("limits.bytes_per_second_per_source", whole(1024, 1024 * GIB)),
    key("limits.messages_per_second", whole(1, GIB)),
    key("limits.bytes_per_second", whole(1024, 1024 * GIB)),
    key("limits.new_threads_per_hour_per_peer", whole(1, GIB)),
    key("limits.mute_s", whole(1, HOUR)),
    key("limits.max_runs", whole(1, 1_024)),
    key("limits.answers_per_address", whole(1, 1_000_000)),
    key("runtime.arbiters", whole(0, 1_024)),
];

/// Why conversations are not counted.
const THREADS: &str = "every message without a thread id begins a conversation, so a limit would refuse ordinary messages; \
    limits.connections_per_key and max_message_queue are what bounds a peer";

/// Why sessions are not taken up again.
const ENVELOPE: &str = "a frame of the peer protocol has 1048576 bytes, of which 8192 are kept for addresses, ids and the signature";
const RESUME: &str = "a session that ends is over, and what was not acknowledged is sent again on the next one";

/// The tables of the published daemon's adapters, whose names contain a dot.
pub const ADAPTER_TABLES: [&str; 3] = ["adapter.http", "adapter.grpc", "adapter.unix"];

/// Says whether a path names a configuration key.
pub fn is_key(path: &str) -> bool {
    find(path).is_some()
}

/// Says whether a change of a key takes effect only with the next start.
pub fn needs_restart(path: &str) -> bool {
    find(path).is_some_and(|key| key.effect == Effect::Restart)
}

/// Says when a change of a key takes effect; `None` where there is no such key.
pub fn effect(path: &str) -> Option<Effect> {
    find(path).map(|key| key.effect)
}

/// Returns the path of every key.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path)
}

/// Returns the key with a path.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Says whether a name is that of a table of keys.
pub fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.path.rsplit_once('.').is_some_and(|(table, _)| table == name))
}

/// Makes the fault of a key that does not exist.
pub fn unknown(path: &str, place: Place) -> Fault {
    Fault { place, key: path.to_owned(), message: format!("unknown key `{path}`"), nearest: meant(path).map(str::to_owned) }
}

/// Returns the key that was probably meant: with its table forgotten or made up, or misspelled.
pub fn meant(path: &str) -> Option<&'static str> {
    let leaf = path.rsplit('.').next().unwrap_or(path);
    let same_leaf = KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(leaf));
    same_leaf.map(|key| key.path).or_else(|| nearest(path, KEYS.iter().map(|key| key.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_wrong_table_is_found() {
        assert_eq!(meant("window"), Some("delivery.window"));
        assert_eq!(meant("api.window"), Some("delivery.window"));
        assert_eq!(meant("api.acess"), Some("api.access"));
        assert_eq!(meant("conection_mode"), Some("connection_mode"));
        assert_eq!(meant("favourite_colour"), None);
    }

    #[test]
    fn no_key_is_listed_twice() {
        for key in KEYS {
            assert_eq!(KEYS.iter().filter(|other| other.path == key.path).count(), 1, "{}", key.path);
        }
    }
}
