//! A small typed client for the local API.
//!
//! It speaks plain HTTP to one daemon on this machine. It never looks at proxy variables, because a proxy
//! would see every message and the daemon would see the proxy instead of the caller; it never follows a redirect,
//! because the daemon sends none; and every call ends: each has a time limit, and a live stream is given up when
//! not even a keep-alive has come for a minute.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::code::{ErrorBody, ErrorCode};
use crate::sse::{Event, Parser, TooLarge};
use crate::tls;

/// How long to wait for a connection: the daemon is on this machine.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a call may take unless the caller says otherwise.
const CALL: Duration = Duration::from_secs(30);
/// How long a live stream may be silent: four missed keep-alives.
const SILENCE: Duration = Duration::from_secs(60);

/// Talks to one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    calls: reqwest::Client,
    streams: reqwest::Client,
    base: Url,
    token: Option<String>,
    limit: Duration,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The daemon answered with an error.
    #[error("{}", body.error.message)]
    Api {
        /// The HTTP status.
        status: u16,
        /// What the daemon said.
        body: ErrorBody,
    },
    /// The daemon's answer is not what the contract promises.
    #[error("cannot read the daemon's answer")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing listens where the daemon should be.
    #[error("toq is not running")]
    NotRunning,
    /// The call took longer than it may.
    #[error("the daemon did not answer in time")]
    Timeout,
    /// The connection broke.
    #[error("cannot talk to the daemon")]
    Transport(#[source] reqwest::Error),
    /// The base URL cannot carry a path.
    #[error("not a usable daemon url: {0}")]
    Url(String),
}

impl Client {
    /// Makes a client for a daemon on this machine.
    ///
    /// # Errors
    /// When the HTTP machinery cannot be set up.
    pub fn local(port: u16) -> Result<Self, ClientError> {
        Self::new(&format!("http://127.0.0.1:{port}"))
    }

    /// Makes a client for a daemon, or one agent of a host, at a URL.
    ///
    /// # Errors
    /// When the text is not an `http` URL, or the HTTP machinery cannot be set up.
    pub fn new(base: &str) -> Result<Self, ClientError> {
        let base = Url::parse(base).map_err(|_| ClientError::Url(base.to_owned()))?;
        if base.scheme() != "http" || base.cannot_be_a_base() {
            return Err(ClientError::Url(base.to_string()));
        }
        // Plain HTTP is all that is spoken here; without this the library looks for a TLS of its own.
        let tls = tls::none().map_err(ClientError::Url)?;
        let plain = || {
            let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
            builder.connect_timeout(CONNECT).tls_backend_preconfigured(tls.clone())
        };
        // A call may be silent until its own limit, for instance while a sender waits for a reply.
        let calls = plain().build().map_err(ClientError::Transport)?;
        let streams = plain().read_timeout(SILENCE).build().map_err(ClientError::Transport)?;
        Ok(Self { calls, streams, base, token: None, limit: CALL })
    }

    /// Sends a bearer token with every call.
    #[must_use]
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// Lets every call take this long; live streams are not affected.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Gets a resource. Path segments and query values are given raw and encoded here.
    ///
    /// # Errors
    /// See [`ClientError`]; the same for every call below.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, ClientError> {
        let request = self.request(&self.calls, Method::GET, path, query)?;
        self.call(request).await
    }

    /// Posts a JSON body. An answer without a body reads as `()`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &B,
    ) -> Result<T, ClientError> {
        let request = self.request(&self.calls, Method::POST, path, query)?.json(body);
        self.call(request).await
    }

    /// Changes a resource with a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn patch<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &[&str], body: &B) -> Result<T, ClientError> {
        let request = self.request(&self.calls, Method::PATCH, path, &[])?.json(body);
        self.call(request).await
    }

    /// Deletes a resource, or what a JSON body names.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &[&str], body: Option<&B>) -> Result<T, ClientError> {
        let mut request = self.request(&self.calls, Method::DELETE, path, &[])?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.call(request).await
    }

    /// Gets bytes piece by piece; answers with how many came.
    ///
    /// # Errors
    /// See [`ClientError`]. Where `take` fails, that is [`ClientError::Decode`].
    pub async fn download(&self, path: &[&str], mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> Result<u64, ClientError> {
        let request = self.request(&self.calls, Method::GET, path, &[])?;
        let mut response = checked(request.timeout(self.limit).send().await.map_err(failed)?).await?;
        let mut size = 0;
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            take(&piece).map_err(|error| ClientError::Decode(error.into()))?;
            size += piece.len() as u64;
        }
        Ok(size)
    }

    /// Says whether a daemon answers here.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn health(&self) -> Result<(), ClientError> {
        let request = self.request(&self.calls, Method::GET, &["v1", "health"], &[])?;
        let response = request.timeout(self.limit).send().await.map_err(failed)?;
        checked(response).await.map(drop)
    }

    /// Opens a live stream, resuming after an event if its id is given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, path: &[&str], query: &[(&str, &str)], last: Option<&str>) -> Result<Events, ClientError> {
        let mut request = self.request(&self.streams, Method::GET, path, query)?.header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = checked(request.send().await.map_err(failed)?).await?;
        Ok(Events { response, parser: Parser::default() })
    }

    fn request(
        &self,
        http: &reqwest::Client,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, ClientError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| ClientError::Url(self.base.to_string()))?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = checked(request.timeout(self.limit).send().await.map_err(failed)?).await?;
        let bytes = response.bytes().await.map_err(failed)?;
        let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(json).map_err(|error| ClientError::Decode(error.into()))
    }
}

/// A live stream of events.
#[derive(Debug)]
pub struct Events {
    response: Response,
    parser: Parser,
}

impl Events {
    /// Returns the next event, or nothing when the daemon has ended the stream.
    ///
    /// Nothing is lost when the returned future is dropped half-way.
    ///
    /// # Errors
    /// When the connection breaks or is silent for too long.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.parser.pop() {
                return Ok(Some(event));
            }
            let Some(bytes) = self.response.chunk().await.map_err(failed)? else {
                return Ok(None);
            };
            self.parser.feed(&bytes).map_err(|error: TooLarge| ClientError::Decode(error.into()))?;
        }
    }
}

fn failed(error: reqwest::Error) -> ClientError {
    if error.is_connect() {
        ClientError::NotRunning
    } else if error.is_timeout() {
        ClientError::Timeout
    } else {
        ClientError::Transport(error)
    }
}

async fn checked(response: Response) -> Result<Response, ClientError> {
    let status = response.status().as_u16();
    if status < 400 {
        return Ok(response);
    }
    let text = response.text().await.map_err(failed)?;
    // Something other than our daemon, or a later one with a code that this client has not heard of.
    let body = serde_json::from_str(&text).unwrap_or_else(|_| {
        let message = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|json| json.pointer("/error/message")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("the daemon answered with status {status}"));
        ErrorBody::new(ErrorCode::InternalError, message)
    });
    Err(ClientError::Api { status, body })
}
