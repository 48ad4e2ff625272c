//! The gRPC service: who may open a stream, and the stream itself.
//!
//! Whether somebody may come in is decided before anything of it is kept: the token, then a place. What an attacker would try is to
//! guess which tokens are known (every refusal says the same about the server) and to hold places without ever sending; places are
//! counted for each account and each address, and dead connections are found by pings.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix::Addr;
use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use toq_dataplane::extension::{HEADER, MAX_FRAME, VERSION};

use crate::arrival::{Arrival, Whole};
use crate::begun::Begun;
use crate::frame::{FrameCodec, Outbound};
use crate::home::{Account, Counters, Home, Limits};
use crate::lobby::Visit;
use crate::registry::{Connect, Registry};
use crate::seats::{Seats, Taken};
use crate::subscriber::{Dialect, Newcomer};
use crate::token::{Check, TokenError};

/// The path of the one call that there is.
const OPEN_CHANNEL: &str = "/dataplane.proto.v1.DataPlaneService/OpenChannel";
/// How many frames may wait to be written; their bytes are bounded apart from this.
const OUTGOING: usize = 128;
/// What a frame may have besides its blob: names and headers.
const FRAME_MARGIN: usize = 64 << 10;

/// Where those come from who came by no socket.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The largest frame that is read at all, in bytes. Whatever a member may make, and up to twice what is taken, is read and answered by
/// name; more than that ends the stream.
pub fn max_frame(limits: &Limits) -> usize {
    limits.max_message.max(MAX_FRAME).saturating_mul(2).saturating_add(FRAME_MARGIN)
}

/// Who is let in.
#[derive(Clone, Debug)]
pub enum Admission {
    /// Everybody, without a token. Published members cannot present one.
    Anyone,
    /// Who has a token of one of these.
    Token(Vec<Check>),
}

/// The service.
#[derive(Clone, Debug)]
pub struct DataPlane {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    admission: Admission,
    home: Arc<Home>,
    registry: Addr<Registry>,
    seats: Seats,
    begun: Begun,
}

impl DataPlane {
    /// Makes the front of a tree.
    #[must_use]
    pub fn new(admission: Admission, home: Arc<Home>, registry: Addr<Registry>) -> Self {
        let seats = Seats::new(home.limits.connections, home.limits.connections_per_account);
        let begun = Begun::new(max_frame(&home.limits));
        Self { gate: Arc::new(Gate { admission, home, registry, seats, begun }) }
    }

    /// The room for large frames that are on their way in.
    pub fn begun(&self) -> Begun {
        self.gate.begun.clone()
    }
}

/// What goes to a member. It holds the member's place: who does not read keeps what was to be read, and with it a place, also when
/// nobody writes any more.
#[derive(Debug)]
pub struct Answers {
    frames: ReceiverStream<Result<Outbound, Status>>,
    _seat: Taken,
}

impl Stream for Answers {
    type Item = Result<Outbound, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.frames).poll_next(context)
    }
}

impl Gate {
    fn open(&self, mut request: Request<Streaming<Bytes>>) -> Result<Response<Answers>, Status> {
        let account = self.account(request.metadata())?;
        let visit = request.extensions_mut().remove::<Visit>();
        let source = visit.as_ref().map_or(NOWHERE, Visit::source);
        let seat = self.seats.take(&account.id, source).map_err(Status::resource_exhausted)?;
        let carried = visit.map(Visit::carry);
        let knows = request.metadata().get(HEADER).is_some_and(|version| version == VERSION);
        let dialect = if knows { Dialect::Extended } else { Dialect::Published };
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let whole = request.extensions_mut().remove::<Whole>().unwrap_or_default();
        let newcomer = Newcomer { account, source, dialect, incoming: request.into_inner(), whole, outgoing, carried };
        self.registry.do_send(Connect(Box::new(newcomer)));
        let mut answer = Response::new(Answers { frames: ReceiverStream::new(queue), _seat: seat });
        if knows {
            answer.metadata_mut().insert(HEADER, MetadataValue::from_static(VERSION));
        }
        Ok(answer)
    }

    fn account(&self, metadata: &MetadataMap) -> Result<Account, Status> {
        let checks = match &self.admission {
            Admission::Anyone => {
                return Ok(Account { id: "".into(), messages_per_month: u64::MAX, channels: u64::MAX, until: None, key: None });
            }
            Admission::Token(checks) => checks,
        };
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let missing = "this relay asks for a token: send `authorization: Bearer <token>` with one that the API server gave for an API key";
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(|| Status::unauthenticated(missing))?;
        let now = self.home.seconds();
        let mut end = Err(TokenError::Foreign);
        for check in checks {
            end = check.claims(token, now);
            if end != Err(TokenError::Foreign) {
                break;
            }
        }
        let claims = end.map_err(|error| Status::unauthenticated(error.to_string()))?;
        let is_good = self.home.guests.as_ref().map_or(Ok(true), |guests| guests.vouches(&claims.sub, claims.key.as_deref()));
        if !is_good.map_err(|_| Status::unavailable("the relay cannot look keys up now; try again later"))? {
            return Err(Status::unauthenticated("the API key that the token was made with has been revoked; use another key"));
        }
        let limits = &self.home.limits;
        let messages = limits.messages_per_month.iter().find(|(plan, _)| *plan == claims.plan).map(|(_, most)| *most);
        Ok(Account {
            id: claims.sub.into(),
            // No limit is written as 0.
            messages_per_month: messages.filter(|most| *most > 0).unwrap_or(u64::MAX),
            channels: limits.channels_per_account,
            until: Some(claims.exp),
            key: claims.key.map(Into::into),
        })
    }
}

impl NamedService for DataPlane {
    const NAME: &'static str = "dataplane.proto.v1.DataPlaneService";
}

impl StreamingService<Bytes> for DataPlane {
    type Response = Outbound;
    type ResponseStream = Answers;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let answer = self.gate.open(request);
        if let Err(status) = &answer {
            Counters::count(&self.gate.home.counters.turned_away);
            tracing::debug!(%status, "somebody was not let in");
        }
        std::future::ready(answer)
    }
}

impl Service<http::Request<Body>> for DataPlane {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != OPEN_CHANNEL {
                return Ok(Status::unimplemented("there is one call, OpenChannel").into_http());
            }
            let (largest, whole) = (max_frame(&service.gate.home.limits), Whole::default());
            let source = request.extensions().get::<Visit>().map_or(NOWHERE, Visit::source);
            request.extensions_mut().insert(whole.clone());
            let request = request.map(|body| Arrival::new(body, service.gate.begun.clone(), source, largest, whole));
            // Lengths are checked before anything is allocated for them.
            let mut grpc = Grpc::new(FrameCodec).max_decoding_message_size(largest);
            Ok(grpc.streaming(service, request).await)
        })
    }
}
