//! Limits that fit the descriptors which the system allows.
//!
//! A daemon that takes connections until the system refuses has none left for its log, its database and the owner who wants
//! to see what is wrong. So newcomers, sessions and local programs get a quarter each, and the last is for the rest.

use toq_config::WorkspaceConfig;
use toq_http::serve::MAX_CONNECTIONS;

/// What the process has open before anybody connects, and some more.
const OWN: u64 = 32;

/// Lowers limits to what the system allows; returns how many connections local programs may have.
pub fn fit(config: &mut WorkspaceConfig, allowed: Option<u64>) -> usize {
    let share = allowed.map_or(usize::MAX, |allowed| usize::try_from(allowed.saturating_sub(OWN) / 4).unwrap_or(usize::MAX)).max(4);
    if share < config.max_connections || share < config.limits.handshake_seats {
        tracing::warn!(allowed, share, "the system allows few open files, so fewer connections are taken; raise `ulimit -n`");
    }
    config.max_connections = config.max_connections.min(share);
    config.limits.handshake_seats = config.limits.handshake_seats.min(share);
    MAX_CONNECTIONS.min(share)
}
