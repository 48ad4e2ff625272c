//! Sockets of strangers: few at a time, each with a deadline for what it came for.
//!
//! What an attacker would try is to connect and to stop anywhere: before the first byte, in the TLS handshake, in the preface of
//! HTTP/2, after it. One deadline covers all of these, and the [`Lobby`] has places for few. A socket that has asked for something and is
//! silent is asked by HTTP/2 whether it is there.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use crate::lobby::{Lobby, Visit};
use crate::office::source;

/// How long it may take from connecting to the first call, with TLS and all.
const FIRST_CALL: Duration = Duration::from_secs(10);
/// How long to wait where the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket.
#[derive(Debug)]
pub struct Guarded {
    stream: TcpStream,
    visit: Visit,
    /// `None` where it has asked for something in time.
    deadline: Option<Pin<Box<Sleep>>>,
    /// `None` where that has happened.
    sent_away: Option<oneshot::Receiver<()>>,
    is_over: bool,
}

/// What is told of a socket that is to be closed.
fn over<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

/// Accepts for ever; nothing that happens to one connection ends it.
pub async fn accept(listener: TcpListener, lobby: Lobby, accepted: mpsc::Sender<io::Result<Guarded>>) {
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Answers are small and wait for nothing that would be worth joining them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection has gone at once");
            continue;
        }
        let (visit, sent_away) = lobby.enter(source(from.ip()));
        let deadline = Some(Box::pin(tokio::time::sleep(FIRST_CALL)));
        if accepted.send(Ok(Guarded { stream, visit, deadline, sent_away: Some(sent_away), is_over: false })).await.is_err() {
            return;
        }
    }
}

impl Guarded {
    /// Whether it is to be closed; looked at whenever somebody waits for it.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(sent_away) = &mut self.sent_away
            && Pin::new(sent_away).poll(context).is_ready()
        {
            self.sent_away = None;
            self.is_over = true;
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.deadline = None;
            self.is_over |= !self.visit.has_asked();
        }
        self.is_over
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.visit.leave();
    }
}

impl Connected for Guarded {
    type ConnectInfo = Visit;

    fn connect_info(&self) -> Visit {
        self.visit.clone()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            return over();
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Whoever does not read keeps us from reading, too.
        if self.is_over(context) {
            return over();
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.is_over(context) {
            return over();
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// A socket that was accepted, and the other end of it.
    async fn accepted(lobby: &Lobby) -> (Guarded, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let other = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("it listens");
        let (sender, mut sockets) = mpsc::channel(1);
        let accepting = tokio::task::LocalSet::new();
        let socket = accepting.run_until(async {
            let accepting = toq_kit::spawn(accept(listener, lobby.clone(), sender));
            let socket = sockets.recv().await.expect("one came").expect("it is whole");
            accepting.abort();
            socket
        });
        (socket.await, other)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_ask_in_time_is_closed_wherever_it_stopped() {
        let (mut socket, _other) = accepted(&Lobby::new(4)).await;

        let end = socket.read_u8().await.expect_err("it is over");

        assert_eq!(end.kind(), io::ErrorKind::ConnectionAborted);
        assert!(socket.read_u8().await.is_err(), "it stays over");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_asked_may_be_silent() {
        let (mut socket, _other) = accepted(&Lobby::new(4)).await;
        socket.connect_info().ask();

        let read = tokio::time::timeout(FIRST_CALL * 10, socket.read_u8()).await;

        assert!(read.is_err(), "nothing came and nothing ended: {read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_sent_away_is_closed_though_it_has_asked() {
        let lobby = Lobby::new(1);
        let (mut socket, _other) = accepted(&lobby).await;
        socket.connect_info().ask();

        let (_newcomer, _) = lobby.enter(IpAddr::from([127, 0, 0, 1]));

        assert!(socket.read_u8().await.is_err());
    }
}
