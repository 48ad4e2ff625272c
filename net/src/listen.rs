//! Listening sockets, and the first look at what they accept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The first byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// How many accepted connections the kernel may hold for us.
const BACKLOG: i32 = 1024;

/// All that a caller from elsewhere gets over plain HTTP, whatever it asks for (RFC 9112, section 4).
const NOTHING_HERE: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// How much of its request is read after that, in bytes: closing over unread bytes would take the answer away from it.
const LEFT_UNREAD: u64 = 64 * 1024;

/// What a new connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// TLS: a peer.
    Tls,
    /// Anything else: plain HTTP.
    Plain,
}

/// Binds a listener that lets a restarted daemon have its port back at once.
///
/// # Errors
/// The system's, above all a port that is taken.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};

    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Looks at the first byte of a connection without taking it.
///
/// # Errors
/// `TimedOut` where none comes in time, `UnexpectedEof` where the peer closes instead.
pub async fn language(stream: &TcpStream, patience: Duration) -> io::Result<Language> {
    let mut first = [0];
    match tokio::time::timeout(patience, stream.peek(&mut first)).await {
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Ok(_)) if first[0] == TLS_HANDSHAKE => Ok(Language::Tls),
        Ok(Ok(_)) => Ok(Language::Plain),
    }
}

/// Tells a caller from elsewhere that there is nothing for it here, without looking at what it asks, and closes. It takes no
/// longer than `patience`, however slowly the caller writes or reads.
///
/// # Errors
/// `TimedOut` where the caller keeps its end open, or what the connection fails with.
pub async fn turn_away(mut stream: TcpStream, patience: Duration) -> io::Result<()> {
    let told = async {
        stream.write_all(NOTHING_HERE).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LEFT_UNREAD), &mut tokio::io::sink()).await.map(drop)
    };
    tokio::time::timeout(patience, told).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Sets what a peer connection wants beyond [`tune`]: an end for peers that take nothing for half a minute.
/// Local programs get none, since a reader of events may be as slow as it likes.
pub fn limit_stall(stream: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(Duration::from_secs(30))) {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// Sets what every connection wants: no delay for small frames, and an end for peers that vanished
/// without a word.
pub fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let tuned = stream.set_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// True where an `accept` failed for want of something that may come back, such as descriptors, or because
/// the one connection was given up. No such error may end a listener.
#[must_use]
pub fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::CONNABORTED, Errno::INTR, Errno::AGAIN, Errno::PROTO];
    error.raw_os_error().is_some_and(|code| passing.iter().any(|errno| errno.raw_os_error() == code))
}

/// The source of a connection, an IPv4 address in IPv6 clothes undressed.
#[must_use]
pub const fn source(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("listens");
        (near, listener.accept().await.expect("connected").0)
    }

    #[tokio::test]
    async fn a_caller_that_is_turned_away_reads_its_answer_whatever_it_wrote() {
        let (mut caller, stream) = pair().await;
        caller.write_all(&[b'x'; 20_000]).await.expect("taken");

        let (turned_away, answer) = tokio::join!(turn_away(stream, Duration::from_secs(30)), async {
            let mut answer = Vec::new();
            let read = caller.read_to_end(&mut answer).await.map(|_| answer);
            drop(caller);
            read
        });

        assert!(turned_away.is_ok(), "{turned_away:?}");
        assert!(answer.expect("no reset").starts_with(b"HTTP/1.1 404 "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_stays_is_turned_away_in_time() {
        let (mut caller, stream) = pair().await;
        caller.write_all(b"G").await.expect("taken");

        let turned_away = turn_away(stream, Duration::from_secs(2)).await;

        assert_eq!(turned_away.expect_err("never closed").kind(), io::ErrorKind::TimedOut);
    }
}
