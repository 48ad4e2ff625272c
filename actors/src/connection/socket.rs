//! The two halves of a socket: one read at a time, and a writer that sends whatever has gathered in one
//! piece.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::Notify;
use toq_net::BoxedIo;

/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;

/// How many bytes may wait to be written before a peer that does not read them is given up: two of the
/// largest frames and a window of small ones.
pub(super) const MAX_UNWRITTEN: usize = 4 << 20;

/// How long a peer may take to read anything at all of what waits.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

pub(super) type ReadHalf = tokio::io::ReadHalf<BoxedIo>;
pub(super) type WriteHalf = tokio::io::WriteHalf<BoxedIo>;

/// Reads once. The half comes back so that the actor can read again when it likes. There is a buffer only while there is
/// something to read, since most connections are silent most of the time.
pub(super) async fn read(mut half: ReadHalf) -> (ReadHalf, io::Result<Vec<u8>>) {
    let result = poll_fn(|cx| {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        Pin::new(&mut half).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().to_vec())
    })
    .await;
    (half, result)
}

/// Bytes that wait to be written, shared by an actor and its writer on one thread.
#[derive(Clone, Default)]
pub(super) struct Outgoing {
    state: Rc<RefCell<State>>,
    changed: Rc<Notify>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    is_closing: bool,
}

impl Outgoing {
    /// Adds a frame. False where the peer reads too slowly to take more.
    #[must_use]
    pub(super) fn push(&self, frame: &[u8]) -> bool {
        let mut state = self.state.borrow_mut();
        if state.bytes.len() + frame.len() > MAX_UNWRITTEN {
            return false;
        }
        state.bytes.extend_from_slice(frame);
        self.changed.notify_one();
        true
    }

    /// Closes the socket once everything is written.
    pub(super) fn close(&self) {
        self.state.borrow_mut().is_closing = true;
        self.changed.notify_one();
    }

    /// Writes until closed or broken.
    pub(super) async fn run(self, mut half: WriteHalf) -> io::Result<()> {
        loop {
            let (bytes, is_closing) = {
                let mut state = self.state.borrow_mut();
                (std::mem::take(&mut state.bytes), state.is_closing)
            };
            if bytes.is_empty() {
                if is_closing {
                    return within(half.shutdown()).await;
                }
                self.changed.notified().await;
                continue;
            }
            within(async {
                half.write_all(&bytes).await?;
                half.flush().await
            })
            .await?;
        }
    }
}

async fn within(write: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(WRITE_PATIENCE, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
