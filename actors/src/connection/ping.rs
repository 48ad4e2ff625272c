//! Asking who answers at an address: a handshake and nothing more.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_net::{BoxedIo, SecureIo, broken};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::session::{Effect, Expected, Session};

use crate::home::Home;

/// Who answered.
#[derive(Clone, Debug)]
pub struct Pinged {
    /// The key that it showed.
    pub key: PeerKey,
    /// The address that it claims.
    pub address: Address,
}

/// Dials `target` and reads its handshake.
///
/// # Errors
/// The reason in words: nothing listens, TLS failed, the name is unknown there, no answer in time.
pub async fn ping(home: Arc<Home>, target: Address) -> Result<Pinged, String> {
    let patience = home.config.handshake_timeout;
    let (route, SecureIo { io: mut stream, exporter }) = home.reach(&target).await.map_err(|error| error.to_string())?;
    // Whoever answers is shown, also where it is not who was there before.
    let expected = Expected { key: route.announced, binding: false };
    let (mut session, first) = Session::dial(home.local(), &target, expected, exporter, home.entropy(), home.now());
    let shaking = async {
        say(&mut stream, &first).await?;
        loop {
            let effects = next(&mut stream, &mut session, &home).await?;
            if let Some(Effect::End(end)) = effects.into_iter().find(|effect| matches!(effect, Effect::End(_))) {
                return Err(end.to_string());
            }
            if let Some(peer) = session.peer() {
                return Ok(Pinged { key: peer.key, address: peer.address.clone() });
            }
        }
    };
    tokio::time::timeout(patience, shaking).await.unwrap_or_else(|_| Err("no answer within the handshake's time".to_owned()))
}

/// Writes bytes and sees them off.
pub(super) async fn say(stream: &mut BoxedIo, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| broken::told(&error))?;
    stream.flush().await.map_err(|error| broken::told(&error))
}

/// Reads until a frame is whole, and takes it.
pub(super) async fn next(stream: &mut BoxedIo, session: &mut Session, home: &Home) -> Result<Vec<Effect>, String> {
    let mut buffer = vec![0; 4096];
    loop {
        if let Some(effects) = session.next(home.now()) {
            return Ok(effects);
        }
        let read = stream.read(&mut buffer).await.map_err(|error| broken::told(&error))?;
        if read == 0 {
            return Err("the agent closed the connection during the handshake".to_owned());
        }
        session.push(buffer.get(..read).unwrap_or_default());
    }
}
