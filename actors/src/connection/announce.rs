//! Telling one agent of our new key, where no session with it is open.
//!
//! The handshake shows the proofs already; the notice is for peers that do not read them there. What comes of it is
//! not waited for by anybody: who is away learns of it in the next handshake.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use toq_net::{SecureIo, broken};
use toq_protocol::address::Address;
use toq_protocol::rotation::Notice;
use toq_protocol::session::{Effect, Session};

use crate::home::Home;

/// How long one agent may take to be reached, to let us in and to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Dials `target` and tells it; the answer says whether it follows, where it said so.
///
/// # Errors
/// The reason in words: nothing listens, it has another key than we know, it did not let us in, it does not answer.
pub async fn announce(home: Arc<Home>, target: Address, notice: Arc<Notice>) -> Result<bool, String> {
    tokio::time::timeout(PATIENCE, told(&home, &target, &notice)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn told(home: &Home, target: &Address, notice: &Notice) -> Result<bool, String> {
    let (route, SecureIo { io: mut stream, exporter }) = home.reach(target).await.map_err(|error| error.to_string())?;
    let expected = home.expected(target, route.announced);
    let (mut session, first) = Session::dial(home.local(), target, expected, exporter, home.entropy(), home.now());
    let mut writing = first;
    let mut buffer = vec![0; 4096];
    let mut answer = None;
    while answer.is_none() {
        stream.write_all(&writing).await.map_err(|error| broken::told(&error))?;
        stream.flush().await.map_err(|error| broken::told(&error))?;
        writing.clear();
        let read = stream.read(&mut buffer).await.map_err(|error| broken::told(&error))?;
        session.push(buffer.get(..read).unwrap_or_default());
        let mut effects = if read == 0 { session.eof() } else { Vec::new() };
        while let Some(more) = session.next(home.now()) {
            effects.extend(more);
        }
        for effect in effects {
            match effect {
                Effect::Write(bytes) => writing.extend(bytes),
                Effect::Opened(_) => writing.extend(session.announce_rotation(notice, home.now())),
                Effect::Followed(accepted) => answer = Some(accepted),
                Effect::End(end) => return Err(end.to_string()),
                _ => {}
            }
        }
    }
    for effect in session.goodbye("told of the new key", home.now()) {
        if let Effect::Write(bytes) = effect {
            // It has answered; that the goodbye arrives changes nothing.
            let _gone = stream.write_all(&bytes).await;
            let _gone = stream.flush().await;
        }
    }
    Ok(answer == Some(true))
}
