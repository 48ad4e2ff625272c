//! Telling an agent what was decided about it.

use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use toq_net::SecureIo;
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::session::{Decision, Effect, End, Session};

use super::ping::{next, say};
use crate::home::Home;

/// Dials `target` once and tells the agent with this key what was decided about it.
///
/// # Errors
/// The reason in words: nothing listens, TLS failed, another key answers, no answer in time.
pub async fn tell(home: Arc<Home>, target: Address, key: PeerKey, decision: Decision) -> Result<(), String> {
    let patience = home.config.handshake_timeout;
    let telling = async {
        let (_, SecureIo { io: mut stream, exporter }) = home.reach(&target).await.map_err(|error| error.to_string())?;
        let (mut session, first) = Session::tell(home.local(), &target, key, decision, exporter, home.entropy(), home.now());
        say(&mut stream, &first).await?;
        loop {
            for effect in next(&mut stream, &mut session, &home).await? {
                match effect {
                    Effect::Write(bytes) => say(&mut stream, &bytes).await?,
                    // The other side closes too; whether it does so first makes no difference.
                    Effect::End(End::Left(_)) => return stream.shutdown().await.or(Ok(())),
                    Effect::End(end) => return Err(end.to_string()),
                    _ => {}
                }
            }
        }
    };
    tokio::time::timeout(patience * 2, telling).await.unwrap_or_else(|_| Err("no answer within the handshake's time".to_owned()))
}
