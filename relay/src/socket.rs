//! Sockets of strangers: a limited number, each with a deadline for its first byte.
//!
//! Whoever connects costs a descriptor before anything is known of it. There are a fixed number of places; beyond that a newcomer is
//! closed at once. One that says nothing loses its place, so a crowd of silent connections goes away by itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long the first byte may take.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// How long to wait where the process has no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket.
#[derive(Debug)]
pub struct Guarded {
    stream: TcpStream,
    deadline: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

/// Accepts for ever; nothing that happens to one connection ends it.
pub async fn accept(listener: TcpListener, places: usize, accepted: mpsc::Sender<io::Result<Guarded>>) {
    let places = Arc::new(Semaphore::new(places));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::debug!("there are as many connections as there may be; one is closed");
            continue;
        };
        // Answers are small and wait for nothing that would be worth joining them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection has gone at once");
            continue;
        }
        let deadline = Some(Box::pin(tokio::time::sleep(FIRST_BYTE)));
        if accepted.send(Ok(Guarded { stream, deadline, _place: place })).await.is_err() {
            return;
        }
    }
}

impl Connected for Guarded {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.deadline = None;
            return read;
        }
        let is_late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if is_late { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
