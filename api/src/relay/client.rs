//! A typed client of the relay's API.
//!
//! It never looks at proxy variables and never follows a redirect, so that a key goes nowhere but where it was meant to. What
//! does no harm when it is done twice is repeated after a broken connection, 408, 429 and 5xx, with growing pauses, or after
//! the time that the server names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Account, AccountCreated, Admitted, Answering, ChannelView, Channels, Completed, Errand, ErrandAnswer, InviteCreated, Invites,
    JoinRequest, Joined, KeyCreated, Keys, MAX_WAIT, MAX_WELCOME, NewAccount, NewChannel, NewInvite, NewKey, Pending, Refusal,
    RelayApiError, RelayErrorBody, Token, Usage, WelcomeStatus, WelcomeSubmission,
};
use crate::tls;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a call may take, beside what it asks the server to wait.
const CALL: Duration = Duration::from_secs(30);

/// How often a call is repeated.
const REPETITIONS: u32 = 3;

/// The pause before the first repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause that a server may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The largest answer that is read, in bytes: a Welcome in base64, or a page of key packages.
const MAX_ANSWER: usize = MAX_WELCOME * 2;

/// What is told of an address that begins with the wrong word, or of a certificate, by the words of those who notice.
const HINTS: [(&str, &str); 3] = [
    (
        "invalid peer certificate",
        "if the API server has a certificate of an authority of its own, name that as trusted (`ca_file` in Python)",
    ),
    ("InvalidContentType", "no TLS is spoken there; if that is the API server, write http://"),
    ("invalid HTTP version parsed", "it does not answer as an API server does; if it has a certificate, write https://"),
];

/// Who calls.
#[derive(Clone, Default, Eq, PartialEq)]
pub enum Credential {
    /// Nobody in particular: `GET /health` and `POST /v1/accounts`.
    #[default]
    None,
    /// A key (`sk_live_…`), or a token that it was exchanged for.
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::None { "None" } else { "Bearer(..)" })
    }
}

/// Where the server is.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// `http://` or `https://`, and a path before `/v1` if there is one.
    pub url: String,
    /// Certificate authorities (PEM) instead of the machine's.
    pub authorities: Option<Vec<u8>>,
    /// A socket of this machine, through which the URL is asked for.
    pub socket: Option<PathBuf>,
}

impl Target {
    /// A server at a URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// A server that listens at a socket of the file system.
    #[must_use]
    pub fn socket(path: &Path) -> Self {
        Self { url: "http://relay".to_owned(), socket: Some(path.to_owned()), ..Self::default() }
    }
}

/// Talks to one API server.
#[derive(Clone, Debug)]
pub struct RelayApi {
    http: reqwest::Client,
    base: Url,
    credential: Credential,
}

/// Whether a call may be made again when nobody knows what became of it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Repeat {
    Never,
    Harmless,
}

impl RelayApi {
    /// Makes a client. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RelayApiError::Url`] where the URL is none or the certificate authorities cannot be used.
    pub fn new(target: &Target, credential: Credential) -> Result<Self, RelayApiError> {
        let base = Url::parse(&target.url).map_err(|_| RelayApiError::Url(target.url.clone()))?;
        let tls = match base.scheme() {
            "https" => tls::trusting(target.authorities.as_deref()),
            "http" => tls::none(),
            _ => return Err(RelayApiError::Url(target.url.clone())),
        };
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(tls.map_err(RelayApiError::Url)?);
        if let Some(socket) = &target.socket {
            builder = builder.unix_socket(socket.as_path());
        }
        let http = builder.build().map_err(|error| RelayApiError::Url(error.to_string()))?;
        Ok(Self { http, base, credential })
    }

    /// The same server, called by somebody else.
    #[must_use]
    pub fn with(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    /// Says whether a server answers here.
    ///
    /// # Errors
    /// [`RelayApiError`]; the same for every call below.
    pub async fn health(&self) -> Result<(), RelayApiError> {
        let _: serde::de::IgnoredAny = self.get(&["health"], &[]).await?;
        Ok(())
    }

    /// Opens an account.
    pub async fn create_account(&self, account: &NewAccount) -> Result<AccountCreated, RelayApiError> {
        self.post(&["v1", "accounts"], account, Repeat::Never).await
    }

    /// Tells whose credential this is.
    pub async fn account(&self) -> Result<Account, RelayApiError> {
        self.get(&["v1", "accounts", "me"], &[]).await
    }

    /// Makes another key.
    pub async fn create_key(&self, key: &NewKey) -> Result<KeyCreated, RelayApiError> {
        self.post(&["v1", "keys"], key, Repeat::Never).await
    }

    /// Lists the keys that work.
    pub async fn keys(&self) -> Result<Keys, RelayApiError> {
        self.get(&["v1", "keys"], &[]).await
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, id: &str) -> Result<(), RelayApiError> {
        self.delete(&["v1", "keys", id]).await
    }

    /// Exchanges the key for what the relay is shown.
    pub async fn token(&self) -> Result<Token, RelayApiError> {
        self.call(Method::POST, &["v1", "tokens"], &[], None::<&()>, Repeat::Harmless, CALL).await
    }

    /// Tells what was used this month.
    pub async fn usage(&self) -> Result<Usage, RelayApiError> {
        self.get(&["v1", "usage"], &[]).await
    }

    /// Registers a channel, or finds it registered.
    pub async fn register_channel(&self, channel: &NewChannel) -> Result<ChannelView, RelayApiError> {
        self.post(&["v1", "channels"], channel, Repeat::Harmless).await
    }

    /// Lists the account's channels.
    pub async fn channels(&self) -> Result<Channels, RelayApiError> {
        self.get(&["v1", "channels"], &[]).await
    }

    /// Lists the other accounts that were let into a channel.
    pub async fn admitted(&self, channel: &str) -> Result<Admitted, RelayApiError> {
        self.get(&["v1", "channels", "admitted"], &[("channel", channel)]).await
    }

    /// Lets an account take part in a channel no more.
    pub async fn shut_out(&self, channel: &str, account: &str) -> Result<(), RelayApiError> {
        let path = ["v1", "channels", "admitted", account];
        self.call(Method::DELETE, &path, &[("channel", channel)], None::<&()>, Repeat::Never, CALL).await
    }

    /// Makes an invite, or registers one that the caller made; only the latter is repeated.
    pub async fn create_invite(&self, invite: &NewInvite) -> Result<InviteCreated, RelayApiError> {
        let repeat = if invite.token_id.is_some() { Repeat::Harmless } else { Repeat::Never };
        self.post(&["v1", "channels", "invites"], invite, repeat).await
    }

    /// Lists a channel's invites.
    pub async fn invites(&self, channel: &str) -> Result<Invites, RelayApiError> {
        self.get(&["v1", "channels", "invites"], &[("channel", channel)]).await
    }

    /// Revokes an invite.
    pub async fn revoke_invite(&self, id: &str) -> Result<(), RelayApiError> {
        self.delete(&["v1", "channels", "invites", id]).await
    }

    /// Asks to be let in.
    pub async fn join(&self, join: &JoinRequest) -> Result<Joined, RelayApiError> {
        self.post(&["v1", "channels", "join"], join, Repeat::Harmless).await
    }

    /// Takes back a request that nobody has begun to answer. One that is not there any more is taken back.
    pub async fn withdraw_join(&self, request_id: &str) -> Result<(), RelayApiError> {
        let path = ["v1", "channels", "join", request_id];
        self.call(Method::DELETE, &path, &[], None::<&()>, Repeat::Harmless, CALL).await
    }

    /// Says that these requests are about to be answered, so that they cannot be withdrawn any more; tells which of them still wait.
    /// Published servers do not know this call.
    pub async fn take_up(&self, requests: &Answering) -> Result<Answering, RelayApiError> {
        self.post(&["v1", "channels", "answering"], requests, Repeat::Harmless).await
    }

    /// Lists who wants to be let in, waiting for somebody up to `wait` (at most [`MAX_WAIT`] seconds).
    pub async fn pending(&self, channel: &str, wait: Duration) -> Result<Pending, RelayApiError> {
        self.waiting(&["v1", "channels", "pending"], &[("channel", channel)], wait).await
    }

    /// Lists who wants to be let in behind so many of the oldest. Published servers answer with those again.
    pub async fn pending_behind(&self, channel: &str, skip: usize) -> Result<Pending, RelayApiError> {
        self.get(&["v1", "channels", "pending"], &[("channel", channel), ("skip", &skip.to_string())]).await
    }

    /// Lets somebody in.
    pub async fn submit_welcome(&self, welcome: &WelcomeSubmission) -> Result<Completed, RelayApiError> {
        self.post(&["v1", "channels", "welcome"], welcome, Repeat::Harmless).await
    }

    /// Lets somebody not in. Published servers do not know this call.
    pub async fn refuse(&self, refusal: &Refusal) -> Result<Completed, RelayApiError> {
        self.post(&["v1", "channels", "refuse"], refusal, Repeat::Harmless).await
    }

    /// Tells what became of a request, waiting for an answer up to `wait` (at most [`MAX_WAIT`] seconds).
    pub async fn welcome(&self, request_id: &str, wait: Duration) -> Result<WelcomeStatus, RelayApiError> {
        self.waiting(&["v1", "channels", "welcome", request_id], &[], wait).await
    }

    /// Does something for the operator. Only the socket in a relay's data directory answers this.
    pub async fn errand(&self, errand: &Errand) -> Result<ErrandAnswer, RelayApiError> {
        self.post(&["v1", "operator"], errand, Repeat::Never).await
    }

    /// Gets a resource. Path segments and query values are given raw and encoded here.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, RelayApiError> {
        self.call(Method::GET, path, query, None::<&()>, Repeat::Harmless, CALL).await
    }

    async fn waiting<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)], wait: Duration) -> Result<T, RelayApiError> {
        let wait = wait.as_secs().min(MAX_WAIT);
        let text = wait.to_string();
        let mut query = query.to_vec();
        if wait > 0 {
            query.push(("wait", &text));
        }
        self.call(Method::GET, path, &query, None::<&()>, Repeat::Harmless, CALL + Duration::from_secs(wait)).await
    }

    async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &[&str], body: &B, repeat: Repeat) -> Result<T, RelayApiError> {
        self.call(Method::POST, path, &[], Some(body), repeat, CALL).await
    }

    async fn delete(&self, path: &[&str]) -> Result<(), RelayApiError> {
        self.call(Method::DELETE, path, &[], None::<&()>, Repeat::Never, CALL).await
    }

    /// Makes a call, again where that is right.
    async fn call<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&B>,
        repeat: Repeat,
        limit: Duration,
    ) -> Result<T, RelayApiError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| RelayApiError::Url(self.base.to_string()))?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut pause = PAUSE;
        for left in (0..=REPETITIONS).rev() {
            let mut request = self.http.request(method.clone(), url.clone()).timeout(limit);
            if let Some(body) = body {
                request = request.json(body);
            }
            match once(self.signed(request)).await {
                Err(error) if left > 0 && is_worth_repeating(&error, repeat) => {
                    let asked = if let RelayApiError::Api { retry_after, .. } = &error { *retry_after } else { None };
                    tokio::time::sleep(asked.map_or(pause, |asked| asked.min(MAX_PAUSE))).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        Err(RelayApiError::Timeout)
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credential {
            Credential::None => request,
            Credential::Bearer(secret) => request.bearer_auth(secret),
        }
    }
}

/// A refused connection and a 429 say that nothing was done; anything else is repeated only where that does no harm.
fn is_worth_repeating(error: &RelayApiError, repeat: Repeat) -> bool {
    match error {
        RelayApiError::Api { status: 429, .. } => true,
        other => repeat == Repeat::Harmless && other.is_passing(),
    }
}

async fn once<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, RelayApiError> {
    let response = checked(request.send().await.map_err(failed)?).await?;
    let bytes = read(response).await?;
    let json: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
    serde_json::from_slice(json).map_err(|error| RelayApiError::Decode(error.to_string()))
}

/// Reads an answer, and no more of it than an answer can have.
async fn read(mut response: Response) -> Result<Vec<u8>, RelayApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        if bytes.len() + piece.len() > MAX_ANSWER {
            return Err(RelayApiError::Decode(format!("it is longer than {MAX_ANSWER} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn checked(response: Response) -> Result<Response, RelayApiError> {
    let status = response.status().as_u16();
    if status < 300 {
        return Ok(response);
    }
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let text = read(response).await?;
    // Something other than our server: a proxy, for instance.
    let body = serde_json::from_slice(&text).unwrap_or_else(|_| RelayErrorBody {
        error: format!("the server answered with status {status} and without an explanation"),
        code: String::new(),
        hint: None,
    });
    Err(RelayApiError::Api { status, body, retry_after })
}

fn failed(error: reqwest::Error) -> RelayApiError {
    if error.is_timeout() {
        return RelayApiError::Timeout;
    }
    let server = error.url().map(|url| format!("{}: ", url.origin().ascii_serialization())).unwrap_or_default();
    // The outermost text names the whole URL and nothing else; the cause stands at the end of the chain.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let cause = cause.to_string();
    let hint = HINTS.iter().find(|(sign, _)| cause.contains(sign)).map(|(_, hint)| format!("; {hint}")).unwrap_or_default();
    RelayApiError::Connection(format!("{server}{cause}{hint}"))
}
