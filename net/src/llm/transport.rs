//! One HTTP/1.1 exchange with a provider: dialled for it, bounded, and over when it is dropped.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;
use toq_protocol::time::Timestamp;

use super::answer::{Answer, said};
use super::{Base, Endpoint, LlmError, Question, Request};
use crate::BoxedIo;
use crate::listen::tune;

/// The largest answer, with everything that is not text in it.
const MAX_RESPONSE: usize = 8 << 20;

/// How much of an error's body is read.
const MAX_ERROR: usize = 16 << 10;

/// The most bytes of an answer's head, which hyper also uses as its buffer.
const MAX_HEAD: usize = 64 << 10;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Name lookup, TCP and TLS.
    pub connect: Duration,
    /// Until the head of the answer has come. A model may think for long before it begins.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// All of it.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), first_byte: seconds(120), idle: seconds(60), total: seconds(300) }
    }
}

/// Asks providers. It keeps no connection: a question is rare beside the time its answer takes.
#[derive(Default)]
pub struct Client {
    patience: Patience,
    tls: OnceLock<Result<TlsConnector, LlmError>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that gives each step this long.
    #[must_use]
    pub const fn new(patience: Patience) -> Self {
        Self { patience, tls: OnceLock::new() }
    }

    /// Sends a question; the answer is read from what comes back.
    ///
    /// # Errors
    /// [`LlmError`] where the provider cannot be reached or answers with anything but success.
    pub async fn ask(&self, endpoint: &Endpoint, question: &Question<'_>) -> Result<Answer, LlmError> {
        let request = question.write(endpoint);
        let (head, exchange) = self.send(endpoint.base(), request).await?;
        let status = head.status.as_u16();
        if !head.status.is_success() {
            return Err(refusal(status, &head.headers, exchange, endpoint, question.now).await);
        }
        let content_type = head.headers.get(hyper::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Answer::new(question.provider, exchange, content_type))
    }

    async fn send(&self, base: &Base, request: Request) -> Result<(hyper::http::response::Parts, Exchange), LlmError> {
        let mut deadline = Box::pin(sleep(self.patience.total));
        let opening = timeout(self.patience.connect, self.open(base));
        let io = opening.await.map_err(|_| LlmError::Timeout("connecting"))??;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
        let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(unreachable)?;
        let mut link = Link(Some(Box::pin(connection)));
        let request = to_http(base, request)?;
        let head = async {
            let sending = timeout(self.patience.first_byte, link.drive(sender.send_request(request)));
            sending.await.map_err(|_| LlmError::Timeout("waiting for the answer to begin"))?.map_err(broken)
        };
        let response = within(&mut deadline, head).await?;
        let (head, body) = response.into_parts();
        if body.size_hint().lower() > MAX_RESPONSE as u64 {
            return Err(LlmError::TooLarge("its announced length"));
        }
        Ok((head, Exchange { link, body, deadline, idle: self.patience.idle, left: MAX_RESPONSE }))
    }

    async fn open(&self, base: &Base) -> Result<BoxedIo, LlmError> {
        let stream = TcpStream::connect((base.host(), base.port())).await;
        let stream = stream.map_err(|error| LlmError::Unreachable(format!("{base}: {error}")))?;
        tune(&stream);
        if !base.is_tls() {
            return Ok(Box::new(stream));
        }
        let connector = self.tls.get_or_init(connector).clone()?;
        let name = ServerName::try_from(base.host().to_owned()).map_err(|_| LlmError::Setting(format!("{base} names no valid host")))?;
        let stream = connector.connect(name, stream).await.map_err(|error| LlmError::Unreachable(format!("TLS with {base}: {error}")))?;
        Ok(Box::new(stream))
    }
}

/// TLS 1.3 with the certificates that this system trusts.
fn connector() -> Result<TlsConnector, LlmError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (trusted, _) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        let why = "this system has no trusted certificates; install ca-certificates, or name a file in SSL_CERT_FILE";
        return Err(LlmError::Setting(why.to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| LlmError::Setting(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn to_http(base: &Base, request: Request) -> Result<hyper::Request<Full<Bytes>>, LlmError> {
    let unfit = |_| LlmError::Setting("the key or the model's name cannot be sent in a request".to_owned());
    let mut builder = hyper::Request::post(base.path(&request.path)).header("host", base.authority());
    for (name, value) in request.headers {
        let mut value = HeaderValue::try_from(value).map_err(|error| unfit(error.into()))?;
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    builder.header("user-agent", "toq").body(Full::new(Bytes::from(request.body))).map_err(unfit)
}

/// What a provider's refusal means.
async fn refusal(status: u16, headers: &HeaderMap, exchange: Exchange, endpoint: &Endpoint, now: Timestamp) -> LlmError {
    let body = exchange.read_some(MAX_ERROR).await;
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let said = said(&body, endpoint.credential().secrets());
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now));
    match status {
        300..=399 => LlmError::Redirected(status),
        401 | 403 => LlmError::Unauthorized { status, said },
        429 => LlmError::RateLimited { retry_after },
        408 | 425 | 500..=599 => LlmError::Overloaded { status, said, retry_after },
        _ => LlmError::BadRequest { status, said },
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Duration::from_secs(u64::try_from(at.timestamp().as_second() - now.as_secs()).unwrap_or(0)))
}

/// A connection that moves only while somebody waits for something on it: there is no task to outlive the one
/// who asked.
struct Link(Option<Pin<Box<Http>>>);

type Http = Connection<TokioIo<BoxedIo>, Full<Bytes>>;

impl Link {
    async fn drive<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        std::future::poll_fn(|cx| {
            if let Some(connection) = &mut self.0
                && connection.as_mut().poll(cx).is_ready()
            {
                // Its error, if any, reaches whoever waits.
                self.0 = None;
            }
            match wanted.as_mut().poll(cx) {
                Poll::Ready(found) => Poll::Ready(found),
                Poll::Pending => {
                    // What was just asked for may be work for the connection.
                    if let Some(connection) = &mut self.0
                        && connection.as_mut().poll(cx).is_ready()
                    {
                        self.0 = None;
                        cx.waker().wake_by_ref();
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// The body of an answer that is coming in.
pub(super) struct Exchange {
    link: Link,
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    idle: Duration,
    /// How many more bytes may come.
    left: usize,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Exchange {
    /// The next bytes; `None` at the end.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, LlmError> {
        let (link, body, idle) = (&mut self.link, &mut self.body, self.idle);
        let reading = async {
            loop {
                let frame = timeout(idle, link.drive(body.frame())).await.map_err(|_| LlmError::Timeout("a silence in the answer"))?;
                match frame {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(broken(error)),
                    Some(Ok(frame)) => {
                        // Trailers say nothing that is wanted.
                        if let Ok(bytes) = frame.into_data() {
                            return Ok(Some(bytes));
                        }
                    }
                }
            }
        };
        let bytes = within(&mut self.deadline, reading).await?;
        let length = bytes.as_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(length).ok_or(LlmError::TooLarge("its body"))?;
        Ok(bytes)
    }

    /// What comes at first, up to a limit; what goes wrong meanwhile ends it.
    async fn read_some(mut self, limit: usize) -> Vec<u8> {
        let mut some = Vec::new();
        while some.len() < limit
            && let Ok(Some(bytes)) = self.read().await
        {
            some.extend_from_slice(&bytes[..bytes.len().min(limit - some.len())]);
        }
        some
    }
}

async fn within<T>(deadline: &mut Pin<Box<Sleep>>, work: impl Future<Output = Result<T, LlmError>>) -> Result<T, LlmError> {
    tokio::select! {
        biased;
        done = work => done,
        () = deadline => Err(LlmError::Timeout("the whole answer")),
    }
}

fn unreachable(error: hyper::Error) -> LlmError {
    LlmError::Unreachable(error.to_string())
}

fn broken(error: hyper::Error) -> LlmError {
    if error.is_parse() {
        return LlmError::Malformed(format!("not HTTP: {error}"));
    }
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    LlmError::Unreachable(format!("the connection broke: {error}{source}"))
}
