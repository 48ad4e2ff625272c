//! Accepting, and looking after newcomers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix::{ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use toq_kit::{Drain, spawn};
use toq_net::SecureIo;
use toq_net::listen::{Language, is_passing, language, limit_stall, source, tune, turn_away};
use toq_net::tls::exporter;
use toq_protocol::frame;
use toq_protocol::handshake::no_such_agent;
use toq_protocol::session::{Greeted, Greeting};

use super::Door;
use crate::connection::Link;
use crate::describe::{Describe, Description};
use crate::registry::{Find, Found, Registry};
use crate::workspace::Arrived;

/// How long a new connection may be silent.
const FIRST_BYTE: Duration = Duration::from_secs(5);

/// How long TLS may take.
const TLS: Duration = Duration::from_secs(10);

/// How long magic and credentials may take after that.
const GREETING: Duration = Duration::from_secs(5);

/// How long a caller from elsewhere may take to read that there is nothing for it.
const TURNED_AWAY: Duration = Duration::from_secs(2);

/// How long to leave `accept` alone after it failed for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Ctx = Context<Door>;

impl Door {
    pub(super) fn listen(&mut self, ctx: &mut Ctx) {
        let Some(listener) = self.listener.take() else { return };
        match TcpListener::from_std(listener) {
            Ok(listener) => accept_next(listener, ctx, self),
            Err(error) => {
                tracing::error!(address = %self.lifeline.key().0, %error, "a listener cannot be used");
                ctx.stop();
            }
        }
    }

    fn seat(&mut self, stream: TcpStream, from: SocketAddr, ctx: &mut Ctx) {
        self.accepted += 1;
        let source = source(from);
        let number = self.seats.make_room(source);
        let newcomer = Newcomer {
            acceptor: self.acceptor.clone(),
            plain: self.plain.clone(),
            registry: self.registry.clone(),
            door: ctx.address(),
            number,
            from,
        };
        let task = spawn(newcomer.look_after(stream));
        self.seats.sit(number, source, task.abort_handle());
    }
}

fn accept_next(listener: TcpListener, ctx: &mut Ctx, door: &Door) {
    let accepting = async move {
        let accepted = listener.accept().await;
        (listener, accepted)
    };
    ctx.spawn(accepting.into_actor(door).map(|(listener, accepted), act, ctx| match accepted {
        Ok((stream, from)) => {
            act.seat(stream, from, ctx);
            accept_next(listener, ctx, act);
        }
        Err(error) => {
            // No error of accept ends the door; descriptors come back.
            let is_shortage = is_passing(&error);
            tracing::warn!(%error, is_shortage, "accept failed; trying again");
            ctx.run_later(ACCEPT_PAUSE, move |act, ctx| accept_next(listener, ctx, act));
        }
    }));
}

/// A connection whose owner is not known yet.
struct Newcomer {
    acceptor: TlsAcceptor,
    plain: mpsc::Sender<std::net::TcpStream>,
    registry: Addr<Registry>,
    door: Addr<Door>,
    number: u64,
    from: SocketAddr,
}

/// A newcomer left its seat.
#[derive(Message)]
#[rtype(result = "()")]
struct Left(u64);

impl Newcomer {
    async fn look_after(self, stream: TcpStream) {
        if let Err(error) = self.welcome(stream).await {
            tracing::debug!(from = %self.from, %error, "a connection came to nothing");
        }
        self.door.do_send(Left(self.number));
    }

    async fn welcome(&self, stream: TcpStream) -> io::Result<()> {
        tune(&stream);
        let local = stream.local_addr()?;
        if language(&stream, FIRST_BYTE).await? == Language::Plain {
            // A stranger keeps its seat here until it is gone, and takes nothing from the programs of the owner.
            if !source(self.from).is_loopback() {
                return turn_away(stream, TURNED_AWAY).await;
            }
            let full = |_| io::Error::other("the HTTP service takes no more connections");
            // The HTTP service may run on another thread and registers the socket where it does.
            return self.plain.try_send(stream.into_std()?).map_err(full);
        }
        limit_stall(&stream);
        let accepting = self.acceptor.accept(stream);
        let mut stream = tokio::time::timeout(TLS, accepting).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let greeted = tokio::time::timeout(GREETING, greet(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let target = greeted.credentials.target_agent.clone();
        let found = self.registry.send(Find { target: target.clone() }).await.map_err(io::Error::other)?;
        match found {
            Found::Workspace(workspace) => {
                let local_host = source(local).to_string();
                let exporter = exporter(stream.get_ref().1).map_err(io::Error::other)?;
                let io = SecureIo { io: Box::new(stream), exporter };
                let link = Link { io, greeted, local_host, remote: self.from.to_string() };
                workspace.do_send(Arrived(Box::new(link)));
                Ok(())
            }
            Found::Nobody(own) => {
                let refusal = no_such_agent(target.as_deref().unwrap_or_default(), &own);
                let refusal = frame::encode(&refusal).map_err(io::Error::other)?;
                tokio::time::timeout(GREETING, async {
                    stream.write_all(&refusal).await?;
                    stream.shutdown().await
                })
                .await
                .map_err(|_| io::ErrorKind::TimedOut)?
            }
        }
    }
}

async fn greet<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> io::Result<Greeted> {
    let mut greeting = Greeting::new();
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match greeting.read(buffer.get(..read).unwrap_or_default()).map_err(io::Error::other)? {
            Ok(greeted) => return Ok(greeted),
            Err(more) => greeting = more,
        }
    }
}

impl Handler<Left> for Door {
    type Result = ();

    fn handle(&mut self, left: Left, _: &mut Ctx) {
        self.seats.leave(left.0);
    }
}

impl Handler<Drain> for Door {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Ctx) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Describe> for Door {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Description {
        let detail = vec![
            ("seated", self.seats.len().to_string()),
            ("accepted", self.accepted.to_string()),
            ("evicted", self.seats.evicted().to_string()),
            ("uptime_seconds", self.clock.monotonic().as_secs().to_string()),
        ];
        Description::leaf("door", self.lifeline.key().0.to_string(), detail)
    }
}
