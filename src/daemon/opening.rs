//! What a workspace is opened with, whether a daemon runs in it or only one message is sent.

use std::path::Path;
use std::sync::Arc;

use toq_actors::handler::Workshop;
use toq_actors::{Home, Seed};
use toq_config::Loaded;
use toq_kit::Clock;
use toq_net::dial::{Patience, TlsDialer};
use toq_net::tls;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::rotation::RotationProof;
use toq_protocol::time::Timestamp;
use toq_store::{Options, Store, StoreError};
use toq_vault::Keys;

use super::{DaemonError, announce};
use crate::names;

/// The file of the identity key, in `keys/`.
const IDENTITY: &str = "identity.key";

/// Opens the log. Its lock is what makes this the only process that has the workspace.
pub fn log(loaded: &Loaded) -> Result<Store, DaemonError> {
    let options = Options { cache: loaded.config.store.cache_mib << 20, quota: loaded.config.store.max_mib << 20 };
    let path = loaded.dir.join("state.redb");
    let store = Store::open(&path, options).map_err(|error| match error {
        StoreError::AlreadyOpen(_) => DaemonError::Running,
        other => DaemonError::Store(other),
    })?;
    announce::protect(&path).map_err(DaemonError::Files)?;
    Ok(store)
}

/// Opens the keys, which are made where an agent begins.
///
/// An agent that has lived is known by its key: another one in its place would be another agent, to whom nobody has agreed.
pub fn keys(loaded: &Loaded, store: &Store) -> Result<Keys, DaemonError> {
    let dir = loaded.dir.join("keys");
    if !dir.join(IDENTITY).exists() && (has_lost_key(&loaded.dir) || store.reader().last().0 > 0) {
        return Err(DaemonError::LostKey(dir.join(IDENTITY)));
    }
    Keys::open(&dir).map_err(DaemonError::Vault)
}

/// Whether the identity key is gone that was made together with the certificate's.
pub fn has_lost_key(dir: &Path) -> bool {
    let keys = dir.join("keys");
    keys.join("tls_key.pem").exists() && !keys.join(IDENTITY).exists()
}

/// Furnishes a workspace that peers reach at this port.
pub fn home(loaded: &Loaded, store: Store, identity: Identity, port: u16, workshop: Arc<dyn Workshop>) -> Result<Arc<Home>, DaemonError> {
    let config = Arc::new(loaded.config.clone());
    let clock = Clock::system();
    let rotations = came_by(loaded, &identity.public(), &clock)?;
    let patience = Patience { tls: config.handshake_timeout, ..Patience::default() };
    let connector = tls::connector().map_err(|error| DaemonError::Tls(error.to_string()))?;
    Ok(Home::new(Seed {
        id: loaded.dir.display().to_string(),
        config: config.clone(),
        rotations,
        identity,
        keys: loaded.dir.join("keys"),
        store,
        port,
        dialer: Arc::new(TlsDialer::new(connector, patience)),
        workshop,
        resolver: Arc::new(names::resolver(&config.dns)),
        clock,
    }))
}

/// The proofs by which the agent came to its key. A previous key whose grace is over is deleted here.
fn came_by(loaded: &Loaded, key: &PeerKey, clock: &Clock) -> Result<Vec<RotationProof>, DaemonError> {
    let (keys, now) = (loaded.dir.join("keys"), Timestamp::from_nanos(clock.wall_nanos()));
    toq_vault::forget_previous(&keys, now).and_then(|()| toq_vault::rotations(&keys, key, now)).map_err(DaemonError::Vault)
}
