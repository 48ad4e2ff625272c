//! Coming in by a token, through the API server's mailbox.
//!
//! A request is on the disk with its key package before it leaves. Whoever asks may stop waiting, or be killed, at any moment: the next call
//! with the same invite takes the same request up again, and finds the Welcome that came meanwhile. So an invite is used once, and nobody is
//! let in who is not there any more. Whoever does not want to come in after all [withdraws](Client::withdraw_join).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toq_api::relay::{InviteToken, JoinRequest, JoinStatus, RelayApi, RelayApiError, RelayCode};
use toq_channels::ChannelName;
use toq_channels::group::{Agent, KeyPackageKind, PACKAGE_LIFETIME, view_key_package};
use toq_store::member::{Change, MemberStore, RequestRow, Standing};

use crate::chance::{Now, sha256};
use crate::channel::Channel;
use crate::client::Client;
use crate::error::{Error, Kind, NEW_KEY};
use crate::home::changes;
use crate::inner::RequestKey;

/// How long the API server is asked to wait for an answer.
const WAIT: Duration = Duration::from_secs(25);

/// How long a server that does not wait is left alone, until it is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a withdrawal waits for a call that was just cancelled to be gone.
const ENDING: Duration = Duration::from_secs(1);

/// A request of this member, as it is kept.
struct Request {
    name: ChannelName,
    token: String,
    key: RequestKey,
    row: RequestRow,
    /// Whether an earlier call has made it.
    is_old: bool,
}

/// What became of a request.
enum End {
    Welcome(Vec<u8>),
    /// The server does not know it any more.
    Gone(Error),
}

impl Client {
    /// Joins a channel by an invite, through the API server.
    ///
    /// The invite is used once by this member, however often this is called with it: where an earlier call stopped waiting, or its process was
    /// killed, this one waits on for the same answer. Where this member came in by it and is still there, its channel is returned.
    ///
    /// # Errors
    /// [`Kind::Refused`] where there is no API server, the token is expired, used up or of another channel, or the owner lets nobody
    /// in with it; [`Kind::TimedOut`] where no owner answers in time: the request stays, until it is
    /// [withdrawn](Client::withdraw_join) or ends on the server.
    pub async fn join_with_token(&self, name: &str, token: &str, timeout: Duration) -> Result<Channel, Error> {
        let api = self.api("join_with_token()")?;
        let (name, key) = asked(name, token)?;
        let turn = self.0.inner.turn_of(&key);
        let late = || {
            let text = format!(
                "join timed out after {:?}s — channel owner may not be running; the request stays: join_with_token with the same token waits on, withdraw_join takes it back",
                timeout.as_secs_f64()
            );
            Error::new(Kind::TimedOut, text)
        };
        let _turn = tokio::time::timeout(timeout, turn.lock()).await.map_err(|_| late())?;
        if let Some(channel) = self.came_in_by(&key, &name)? {
            return Ok(channel);
        }
        loop {
            let mut request = self.request(api, name.clone(), token, key).await?;
            self.ask(api, &mut request).await?;
            let end = tokio::time::timeout(timeout, self.answer(api, &request)).await.map_err(|_| late())??;
            match end {
                End::Welcome(welcome) => return self.welcomed(request, &welcome).await,
                End::Gone(error) => {
                    self.forget(&request).await?;
                    // What was asked long ago has ended; what was asked now was withdrawn by somebody.
                    if !request.is_old {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Takes back what [`Client::join_with_token`] asked for with this invite, and gives its use back: nobody lets this member in any more.
    /// `false` where nothing was asked for with it.
    ///
    /// # Errors
    /// [`Kind::Refused`] where a member has let this one in, or has begun to, where this member is in the channel by it already, and where
    /// another call still waits with it; the API server's.
    pub async fn withdraw_join(&self, name: &str, token: &str) -> Result<bool, Error> {
        let api = self.api("withdraw_join()")?;
        let (name, key) = asked(name, token)?;
        let turn = self.0.inner.turn_of(&key);
        let busy = |_| Error::new(Kind::Refused, format!("join_with_token still waits with this invite to {name}; end that call first"));
        let _turn = tokio::time::timeout(ENDING, turn.lock()).await.map_err(busy)?;
        if self.came_in_by(&key, &name)?.is_some() {
            return Err(Error::new(Kind::Refused, format!("this member came into {name} by this invite; leave() takes it out again")));
        }
        let Some(row) = self.kept(&key)? else { return Ok(false) };
        let mut request = Request { name, token: token.to_owned(), key, row, is_old: true };
        match self.ask(api, &mut request).await {
            // It never reached the server, and would not be taken now.
            Err(error) if error.kind() == Kind::Refused || error.kind() == Kind::NotFound => return Ok(true),
            other => other?,
        }
        self.take_back(api, &request).await?;
        Ok(true)
    }

    fn api(&self, call: &str) -> Result<&RelayApi, Error> {
        let missing = || Error::new(Kind::Refused, format!("{call} requires api_key and api_url{NEW_KEY}"));
        self.0.inner.api.as_ref().ok_or_else(missing)
    }

    fn kept(&self, key: &RequestKey) -> Result<Option<RequestRow>, Error> {
        let found = self.0.inner.store()?.requests()?.into_iter().find(|(id, invite, _)| (*id, *invite) == *key);
        Ok(found.map(|(_, _, row)| row))
    }

    /// The channel, where this member came in by that invite and is still there.
    fn came_in_by(&self, key: &RequestKey, name: &ChannelName) -> Result<Option<Channel>, Error> {
        if !self.kept(key)?.is_some_and(|row| row.is_in) {
            return Ok(None);
        }
        Ok(self.channel(name.as_str()).ok().filter(|channel| channel.standing() == Standing::Member))
    }

    /// The request that was made with this invite, or a new one, which is on the disk.
    async fn request(&self, api: &RelayApi, name: ChannelName, token: &str, key: RequestKey) -> Result<Request, Error> {
        let inner = &self.0.inner;
        let token = token.to_owned();
        if let Some(row) = self.kept(&key)?.filter(|row| !row.is_in) {
            let request = Request { name: name.clone(), token: token.clone(), key, row, is_old: true };
            if self.still_fits(&request.row) || !self.is_given_up(api, &request).await? {
                return Ok(request);
            }
        }
        let now = Now::look();
        let (package, rows) = inner.agent().key_package(now.unsigned_seconds(), KeyPackageKind::OneTime)?;
        let row = RequestRow { package: package.message, id: None, made_at: now.seconds(), is_in: false };
        let mut all: Vec<Change> = changes(rows).collect();
        all.push(Change::Ask(key.0, key.1, row.clone()));
        inner.store()?.commit(all).await?;
        crate::fault::point("asking");
        Ok(Request { name, token, key, row, is_old: false })
    }

    /// Whether the key package of a request still says who this member is.
    fn still_fits(&self, row: &RequestRow) -> bool {
        let (now, agent) = (Now::look().unsigned_seconds(), self.0.inner.agent());
        view_key_package(&row.package).is_ok_and(|view| view.proven == agent.proven() && now < view.not_after)
    }

    /// Whether a request that does not fit any more was taken back; one that was answered meanwhile is not.
    async fn is_given_up(&self, api: &RelayApi, request: &Request) -> Result<bool, Error> {
        if request.row.id.is_none() {
            return Ok(true);
        }
        match self.take_back(api, request).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Refused => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a request, unless the server has told its id already. The same key package again is the same request.
    async fn ask(&self, api: &RelayApi, request: &mut Request) -> Result<(), Error> {
        if request.row.id.is_some() {
            return Ok(());
        }
        let package = &request.row.package;
        let mut join = JoinRequest {
            channel: request.name.as_str().to_owned(),
            key_package: STANDARD.encode(package),
            identity: String::from_utf8_lossy(&self.0.inner.settings.identity).into_owned(),
            ..JoinRequest::default()
        };
        match InviteToken::parse(&request.token) {
            Ok(token) => {
                join.token_id = Some(token.id());
                join.proof = Some(token.proof());
                join.binding = Some(token.binding(package));
            }
            // Another server's, of a form that only it knows.
            Err(_) => join.token = Some(request.token.clone()),
        }
        match api.join(&join).await {
            Ok(ticket) => request.row.id = Some(ticket.request_id),
            Err(error) => {
                let error = Error::from(error);
                if matches!(error.kind(), Kind::Refused | Kind::NotFound) {
                    // There is no request, and there will be none by this key package.
                    self.forget(request).await?;
                }
                return Err(error);
            }
        }
        crate::fault::point("asked");
        Ok(self.0.inner.store()?.commit(vec![Change::Ask(request.key.0, request.key.1, request.row.clone())]).await?)
    }

    /// Waits for what the owner says.
    async fn answer(&self, api: &RelayApi, request: &Request) -> Result<End, Error> {
        let id = request.row.id.as_deref().unwrap_or_default();
        loop {
            let answer = match api.welcome(id, WAIT).await {
                Err(error) if error.code() == Some(RelayCode::NotFound) => return Ok(End::Gone(error.into())),
                answer => answer?,
            };
            match (answer.status, answer.welcome) {
                (JoinStatus::Completed, Some(welcome)) => {
                    let bad = |_| Error::new(Kind::Mls, "message serialization error: the Welcome is not base64");
                    return STANDARD.decode(welcome).map_err(bad).map(End::Welcome);
                }
                (JoinStatus::Refused, _) => {
                    self.forget(request).await?;
                    let reason = answer.reason.unwrap_or_else(|| "it gave no reason".to_owned());
                    let text = format!("the owner of {} refused to let this member in: {reason}", request.name);
                    return Err(Error::new(Kind::Refused, text));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Comes in by the Welcome; that it did is written with the group.
    async fn welcomed(&self, request: Request, welcome: &[u8]) -> Result<Channel, Error> {
        crate::fault::point("welcomed");
        let row = RequestRow { is_in: true, package: Vec::new(), ..request.row.clone() };
        let end = self.come_in(request.name.clone(), welcome, vec![Change::Ask(request.key.0, request.key.1, row)]).await;
        if let Err(error) = &end
            && error.kind() == Kind::Mls
        {
            // It will not be another one.
            self.forget(&request).await?;
        }
        crate::fault::point("joined");
        end
    }

    /// Takes a request back on the server and here.
    async fn take_back(&self, api: &RelayApi, request: &Request) -> Result<(), Error> {
        let id = request.row.id.as_deref().unwrap_or_default();
        match api.withdraw_join(id).await {
            Ok(()) => self.forget(request).await,
            Err(error) if error.code() == Some(RelayCode::Conflict) => {
                if api.welcome(id, Duration::ZERO).await?.status == JoinStatus::Refused {
                    return self.forget(request).await;
                }
                let text = format!(
                    "a member of {} has let this one in, or is just doing so; join_with_token with the same token brings it in, and leave() takes it out again",
                    request.name
                );
                Err(Error::new(Kind::Refused, text))
            }
            Err(RelayApiError::Api { status: 404 | 405, .. }) => {
                let text = "the API server does not know how to withdraw a request; it ends by itself when nobody answers it";
                Err(Error::new(Kind::Refused, text))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn forget(&self, request: &Request) -> Result<(), Error> {
        Ok(self.0.inner.store()?.commit(forgotten(&request.key, &request.row)).await?)
    }
}

/// The channel's name, and by which key the request with this invite is kept. The invite itself is not.
fn asked(name: &str, token: &str) -> Result<(ChannelName, RequestKey), Error> {
    let name = ChannelName::parse(name)?;
    let key = (name.id(), sha256(&[b"toq join request\0", token.as_bytes()].concat()));
    Ok((name, key))
}

/// A request is over, and its key package is of no more use.
fn forgotten((id, invite): &RequestKey, row: &RequestRow) -> Vec<Change> {
    let mut over = vec![Change::Unask(*id, *invite)];
    if let Ok(view) = view_key_package(&row.package) {
        over.extend(changes(Agent::forget_key_package(&view.reference)));
    }
    over
}

/// Forgets requests whose key packages have ended.
pub(crate) async fn forget_old(store: &MemberStore, now: Now) -> Result<(), Error> {
    let lifetime = i64::try_from(PACKAGE_LIFETIME).unwrap_or(i64::MAX);
    let is_old = |row: &RequestRow| row.made_at.saturating_add(lifetime) < now.seconds();
    let old = store.requests()?.into_iter().filter(|(_, _, row)| is_old(row));
    let over: Vec<Change> = old.flat_map(|(id, invite, row)| forgotten(&(id, invite), &row)).collect();
    if over.is_empty() { Ok(()) } else { Ok(store.commit(over).await?) }
}
