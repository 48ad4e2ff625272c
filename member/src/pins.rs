//! Which agent keys the program already knows: identities that mean nobody else (threat H3).
//!
//! That a member is proven says that some agent key vouches for its name, and anybody can make one. Whether it is the key of the agent
//! that is meant knows only who has met it: the program says it by pins, and a member under a pinned name with another key, or
//! none, is neither added nor joined with.

use std::collections::HashMap;

use toq_channels::group::{Member, view_key_package};
use toq_protocol::key::PeerKey;

use crate::error::{Error, Kind};

/// The agent keys that identities must have.
pub(crate) type Pins = HashMap<Vec<u8>, PeerKey>;

/// Whether all whom these key packages are of may be added. One that cannot be read is left to who adds it.
pub(crate) fn check_packages(pins: &Pins, packages: &[Vec<u8>]) -> Result<(), Error> {
    if pins.is_empty() {
        return Ok(());
    }
    let views = packages.iter().filter_map(|package| view_key_package(package).ok());
    views.into_iter().try_for_each(|view| check(pins, &view.identity, view.proven, "the key package"))
}

/// Whether these may be the members of a channel that is joined.
pub(crate) fn check_members(pins: &Pins, members: &[Member]) -> Result<(), Error> {
    members.iter().filter(|member| !member.me).try_for_each(|member| check(pins, &member.identity, member.proven, "a member"))
}

fn check(pins: &Pins, identity: &[u8], proven: Option<PeerKey>, what: &str) -> Result<(), Error> {
    let Some(pin) = pins.get(identity).filter(|pin| proven != Some(**pin)) else { return Ok(()) };
    let has = proven.map_or_else(|| "none".to_owned(), |key| format!("{} ({key})", key.fingerprint()));
    let name = String::from_utf8_lossy(identity).escape_debug().to_string();
    let text = format!(
        "{what} says that it is of \"{name}\", whose agent key is pinned as {} ({pin}), and is vouched for by {has}; somebody else uses the name, or the pin is old",
        pin.fingerprint()
    );
    Err(Error::new(Kind::Refused, text))
}
