//! A member's stream to a relay.
//!
//! One [`Link`] carries all channels of a member. It remembers nothing: who publishes keeps what it published until the
//! [`Accepted`](Event::Accepted) with its tag comes, and asks for what it missed by the place that it has read up to. A link
//! that ends is replaced by another one, with the same tags.
//!
//! Towards a relay without the extension there are no answers and nothing can be asked for again; [`Link::is_extended`] says
//! which kind it is.
//!
//! Nothing here grows without a limit. What is sent waits while [`OUTGOING`] frames are ahead; what comes is read only when
//! [`Incoming::next`] is called, and HTTP/2 holds the relay back meanwhile.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use toq_channels::ChannelName;

use crate::extension::{self, Carriage, HEADER, TRAILER, Tag, VERSION};
use crate::wire::data_plane_service_client::DataPlaneServiceClient;
use crate::wire::message::MessageType;
use crate::wire::refused::Code as Why;
use crate::wire::{Message, Publish, Refused};

/// How many frames may wait to be written.
const OUTGOING: usize = 64;
/// What a relay puts around a blob, at most: a name, headers, a place.
const AROUND: usize = 4 << 10;
/// The largest frame that is taken from a relay: what the most generous one forwards.
const MAX_INCOMING: usize = extension::MAX_MESSAGE + TRAILER + AROUND;
/// What may be on its way towards us in one stream, in bytes: a message of the usual size. A larger one comes in parts.
const WINDOW: u32 = 1 << 20;

/// How a relay is reached.
#[derive(Clone)]
pub struct Options {
    /// `http://host:port` in clear text, `https://host:port` with TLS.
    pub endpoint: String,
    /// What shows who we are; `None` for a relay that lets anybody in.
    pub token: Option<String>,
    /// Certificates to trust besides those of the system, in PEM.
    pub ca: Option<Vec<u8>>,
    /// How long connecting may take, and then the first answer.
    pub connect_timeout: Duration,
    /// A ping is sent after so long without a sign of life, and the link ends when it is not answered for as long again.
    pub keepalive: Duration,
}

impl Options {
    /// The usual options for an endpoint.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        let (connect_timeout, keepalive) = (Duration::from_secs(10), Duration::from_secs(20));
        Self { endpoint: endpoint.into(), token: None, ca: None, connect_timeout, keepalive }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Options").field("endpoint", &self.endpoint).field("token", &token).finish_non_exhaustive()
    }
}

/// Why there is no link, or no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The endpoint is not one.
    #[error("{endpoint} is not the address of a relay: {detail}; write it as https://host:port or http://host:port")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The token has characters that cannot be sent.
    #[error("the token has characters that no token has; exchange the API key for a new one")]
    Token,
    /// Nothing answers there, or not with TLS as expected.
    #[error("the relay at {endpoint} cannot be reached: {detail}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What happened.
        detail: String,
    },
    /// The relay does not let us in with this token.
    #[error("the relay refuses the credentials: {0}")]
    Unauthenticated(String),
    /// The relay has no room for us now.
    #[error("the relay is busy: {0}")]
    Exhausted(String),
    /// The stream has ended.
    #[error("the relay has ended the stream: {0}")]
    Closed(String),
}

impl LinkError {
    fn from_status(status: &Status) -> Self {
        let detail = status.message().to_owned();
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Self::Unauthenticated(detail),
            Code::ResourceExhausted => Self::Exhausted(detail),
            code if detail.is_empty() => Self::Closed(code.description().to_owned()),
            _ => Self::Closed(detail),
        }
    }
}

/// Why a relay does not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The frame or a name in it cannot be read.
    BadRequest,
    /// The credentials do not allow this channel.
    Forbidden,
    /// Another commit of this epoch stands in the log beyond what we had seen. Read it, then make a new one.
    EpochTaken,
    /// Larger than the relay takes.
    TooLarge,
    /// The account or the channel has used up what it may.
    OverQuota,
    /// What was asked for is no longer kept.
    Behind,
    /// The relay cannot write now; what was sent is to be sent again.
    Unavailable,
    /// Something that a later relay says.
    Other,
}

impl From<i32> for Refusal {
    fn from(code: i32) -> Self {
        match Why::try_from(code) {
            Ok(Why::BadRequest) => Self::BadRequest,
            Ok(Why::Forbidden) => Self::Forbidden,
            Ok(Why::EpochTaken) => Self::EpochTaken,
            Ok(Why::TooLarge) => Self::TooLarge,
            Ok(Why::OverQuota) => Self::OverQuota,
            Ok(Why::Behind) => Self::Behind,
            Ok(Why::Unavailable) => Self::Unavailable,
            Ok(Why::Unspecified) | Err(_) => Self::Other,
        }
    }
}

/// What comes from a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody published. With the extension: never what this very link published, except where it was accepted on an earlier
    /// link and is read back now.
    Delivered {
        /// Where.
        channel: ChannelName,
        /// The place in the channel's log. Only a relay with the extension promises that there is no gap.
        seq: u64,
        /// The MLS bytes, without what the relay appended.
        blob: Bytes,
        /// Which part of the frame carried them.
        carriage: Carriage,
    },
    /// A publication is in the log and on disk, or a subscription is in force. For channels that are subscribed to this comes in
    /// the order of the log: everything that was delivered before it stands before it, everything after it behind.
    Accepted {
        /// What was accepted.
        tag: Tag,
        /// A publication's place in the log; for a subscription the log's last place at that moment.
        seq: u64,
    },
    /// The relay will not do that.
    Refused {
        /// What it was; `None` where it had no tag or could not be read.
        tag: Option<Tag>,
        /// Why.
        why: Refusal,
        /// The same for a person, with what to do next.
        detail: String,
        /// [`EpochTaken`](Refusal::EpochTaken): where the other commit stands. [`Behind`](Refusal::Behind): the oldest place
        /// that is still kept; the subscription is not in force.
        seq: u64,
        /// [`OverQuota`](Refusal::OverQuota): when it is worth another try.
        retry_after: Duration,
    },
    /// A subscription with a place to resume from has been given everything that was in the log when it was made.
    CaughtUp {
        /// Where.
        channel: ChannelName,
        /// The last place that was in the log.
        seq: u64,
    },
    /// The link has ended. Nothing comes after this.
    Closed(LinkError),
}

/// The sending half of a stream to a relay. Clones share the stream, which ends when all are dropped.
#[derive(Clone, Debug)]
pub struct Link {
    outgoing: mpsc::Sender<Message>,
    is_extended: bool,
}

impl Link {
    /// Connects and opens the stream.
    ///
    /// # Errors
    /// [`LinkError`] where the endpoint is none, cannot be reached or does not let us in.
    pub async fn open(options: Options) -> Result<(Self, Incoming), LinkError> {
        let channel = endpoint(&options)?.connect().await.map_err(|error| not_reached(&options, &error))?;
        let mut client = DataPlaneServiceClient::new(channel).max_decoding_message_size(MAX_INCOMING);
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let mut request = Request::new(ReceiverStream::new(queue));
        request.metadata_mut().insert(HEADER, MetadataValue::from_static(VERSION));
        if let Some(token) = &options.token {
            let bearer = format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
            let mut bearer = bearer.map_err(|_| LinkError::Token)?;
            bearer.set_sensitive(true);
            request.metadata_mut().insert("authorization", bearer);
        }
        let silent = |_| LinkError::Unreachable {
            endpoint: options.endpoint.clone(),
            detail: format!("it does not answer within {} s", options.connect_timeout.as_secs_f32()),
        };
        let answer = timeout(options.connect_timeout, client.open_channel(request)).await.map_err(silent)?;
        let answer = answer.map_err(|status| match status.code() {
            // Whatever answers there, the first answer was no relay's.
            Code::Unavailable | Code::Internal if status.source().is_some() => not_reached(&options, &status),
            Code::Unavailable => not_reached(&options, &status),
            _ => LinkError::from_status(&status),
        })?;
        let is_extended = answer.metadata().get(HEADER).is_some_and(|version| version == VERSION);
        Ok((Self { outgoing, is_extended }, Incoming { stream: Some(answer.into_inner()) }))
    }

    /// Whether the relay answers and resumes.
    #[must_use]
    pub const fn is_extended(&self) -> bool {
        self.is_extended
    }

    /// Asks for a channel's messages: those after a place in its log, or only what comes. Asking again for the same channel
    /// replaces what was asked for before.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the stream has ended.
    pub async fn subscribe(&self, channel: &ChannelName, after: Option<u64>, tag: Tag) -> Result<(), LinkError> {
        let (after, tag) = if self.is_extended { (after, Some(tag)) } else { (None, None) };
        self.send(extension::subscribe(channel, after, tag)).await
    }

    /// Asks for no more of a channel's messages. What is on its way still comes.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the stream has ended.
    pub async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), LinkError> {
        self.send(extension::unsubscribe(channel)).await
    }

    /// Publishes MLS bytes. `seen` is how far we have read the channel's log; the relay refuses a commit where another one of its
    /// epoch stands beyond that.
    ///
    /// # Errors
    /// [`LinkError::Closed`] where the stream has ended. That this returns says nothing about the relay.
    pub async fn publish(
        &self,
        channel: &ChannelName,
        carriage: Carriage,
        blob: Bytes,
        tag: Tag,
        seen: Option<u64>,
    ) -> Result<(), LinkError> {
        let (tag, seen) = if self.is_extended { (Some(tag), seen) } else { (None, None) };
        self.send(extension::publish(channel, carriage, blob, tag, seen)).await
    }

    async fn send(&self, message: Message) -> Result<(), LinkError> {
        self.outgoing.send(message).await.map_err(|_| LinkError::Closed("nothing can be sent on it any more".to_owned()))
    }
}

/// The receiving half of a stream to a relay.
#[derive(Debug)]
pub struct Incoming {
    /// `None` when it has ended.
    stream: Option<Streaming<Message>>,
}

impl Incoming {
    /// The next event; `None` after [`Event::Closed`].
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Incoming {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
            let end = match Pin::new(stream).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => match event(message) {
                    Some(event) => return Poll::Ready(Some(event)),
                    None => continue,
                },
                Poll::Ready(Some(Err(status))) => LinkError::from_status(&status),
                Poll::Ready(None) => LinkError::Closed("it was closed in good order".to_owned()),
            };
            self.stream = None;
            return Poll::Ready(Some(Event::Closed(end)));
        }
    }
}

/// What a frame means; `None` where it means nothing to a member.
fn event(message: Message) -> Option<Event> {
    match message.message_type? {
        MessageType::Publish(publish) => delivered(&publish),
        MessageType::Accepted(accepted) => Some(Event::Accepted { tag: Tag::read(&accepted.tag)?, seq: accepted.seq }),
        MessageType::Refused(refused) => Some(refusal(refused)),
        MessageType::CaughtUp(caught_up) => {
            let channel = extension::channel(caught_up.channel.as_ref()).ok()?;
            Some(Event::CaughtUp { channel, seq: caught_up.seq })
        }
        MessageType::Subscribe(_) | MessageType::Unsubscribe(_) => None,
    }
}

fn delivered(publish: &Publish) -> Option<Event> {
    let channel = extension::destination(publish.header.as_ref()).ok()?;
    let (carriage, blob) = extension::carried(publish)?;
    let (blob, seq) = extension::without_trailer(blob)?;
    Some(Event::Delivered { channel, seq, blob, carriage })
}

fn refusal(refused: Refused) -> Event {
    Event::Refused {
        tag: Tag::read(&refused.tag),
        why: Refusal::from(refused.code),
        detail: refused.detail,
        seq: refused.seq,
        retry_after: Duration::from_secs(refused.retry_after.into()),
    }
}

fn endpoint(options: &Options) -> Result<Endpoint, LinkError> {
    let wrong = |detail: String| LinkError::Endpoint { endpoint: options.endpoint.clone(), detail };
    let made = Endpoint::from_shared(options.endpoint.clone()).map_err(|error| wrong(chain(&error)))?;
    let made = made
        .connect_timeout(options.connect_timeout)
        .http2_keep_alive_interval(options.keepalive)
        .keep_alive_timeout(options.keepalive)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .tcp_nodelay(true);
    match made.uri().scheme_str() {
        Some("http") => Ok(made),
        Some("https") => {
            let roots = ClientTlsConfig::new().with_native_roots();
            let roots = match &options.ca {
                Some(pem) => roots.ca_certificate(Certificate::from_pem(pem)),
                None => roots,
            };
            made.tls_config(roots).map_err(|error| wrong(chain(&error)))
        }
        _ => Err(wrong("it begins with neither https:// nor http://".to_owned())),
    }
}

fn not_reached(options: &Options, error: &dyn std::error::Error) -> LinkError {
    let mut detail = chain(error);
    let hints = [
        (
            "invalid peer certificate",
            "if the relay has a certificate of an authority of its own, name that as trusted (`ca_file` in Python)",
        ),
        ("InvalidContentType", "no TLS is spoken there; if that is the relay, write http://"),
        ("h2 protocol error", "it does not answer as a relay does; if it has a certificate, write https://"),
    ];
    if let Some((_, hint)) = hints.iter().find(|(sign, _)| detail.contains(sign)) {
        detail = format!("{detail}; {hint}");
    }
    LinkError::Unreachable { endpoint: options.endpoint.clone(), detail }
}

/// An error with its causes; the outermost one of the transport says nothing by itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
