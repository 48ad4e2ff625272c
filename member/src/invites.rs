//! Letting in by a token: who owns a channel makes one and answers those who come with it, through the API server's mailbox. Those come
//! by [`joining`](crate::joining).
//!
//! The API server carries key packages and Welcomes and could put its own in their place. So a token is made here, the
//! server is told only what it needs to check one, and a key package is bound to the token it came with (threat C7): the
//! owner, who kept the token, admits no other.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::task::JoinSet;
use toq_api::relay::{
    Answering, InviteToken, MAX_ANSWERING, NewChannel, NewInvite, PendingJoin, Refusal, RelayApi, RelayCode, WelcomeSubmission,
};
use toq_channels::ChannelName;
use toq_store::member::{Change, HappeningRow, InviteRow, Standing};

use crate::chance::{Now, Pauses, random, sha256};
use crate::deed::{add, welcomed, with_core};
use crate::error::{Error, Kind, NEW_KEY};
use crate::inner::Inner;
use crate::seat::Seat;

/// How long the API server is asked to wait for somebody to come.
const WAIT: Duration = Duration::from_secs(25);

/// How long somebody waits who comes with another member's invite, until it is looked again whether somebody comes with one of ours.
const OTHERS: Duration = Duration::from_secs(1);

/// How long after its end an invite still lets somebody in who came with it before, in seconds: requests wait for the owner.
const GRACE: i64 = 3600;

/// Whether nobody can come with this invite any more, whatever the server says.
fn is_over(row: &InviteRow, now: i64) -> bool {
    row.expires_at.saturating_add(GRACE) < now
}

/// Takes one use of an invite for a key package, which stays taken when it is asked for again. `false` where all are taken: the server counts
/// them as well, and is not believed.
fn take_use(row: &mut InviteRow, package: &[u8]) -> bool {
    let (mark, used) = (sha256(package), row.used.as_chunks::<32>().0);
    if used.contains(&mark) {
        return true;
    }
    let is_free = row.max_uses.is_none_or(|most| used.len() < usize::try_from(most).unwrap_or(usize::MAX));
    if is_free {
        row.used.extend_from_slice(&mark);
    }
    is_free
}

/// Gives a use back: nobody was let in.
fn give_back(row: &mut InviteRow, package: &[u8]) {
    let mark = sha256(package);
    row.used = row.used.as_chunks::<32>().0.iter().filter(|used| **used != mark).flatten().copied().collect();
}

/// Makes an invite.
pub(crate) async fn invite(inner: &Arc<Inner>, seat: &Arc<Seat>, max_uses: u32, ttl: Duration) -> Result<String, Error> {
    let api = inner.api.as_ref().ok_or_else(|| Error::new(Kind::Refused, format!("invite() requires api_key and api_url{NEW_KEY}")))?;
    seat.core().may_act()?;
    register(inner, api, &seat.name).await?;
    let token = InviteToken::mint(&random());
    let id = InviteToken::read_id(&token.id()).ok_or_else(|| Error::new(Kind::Runtime, "an invite has no id"))?;
    let expires_at = Now::look().seconds().saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
    // Before the server knows it, so that nobody can come with a token that is not known here.
    let row = InviteRow { token: token.text().to_owned(), expires_at, max_uses: Some(max_uses), used: Vec::new() };
    let store = inner.store()?;
    let mut changes = vec![Change::Invite(seat.id, id, row)];
    let now = Now::look().seconds();
    let over = store.invites(&seat.id)?.into_iter().filter(|(_, row)| is_over(row, now));
    changes.extend(over.map(|(id, _)| Change::Uninvite(seat.id, id)));
    store.commit(changes).await?;
    let invite = NewInvite {
        channel: seat.name.as_str().to_owned(),
        max_uses: Some(max_uses),
        ttl_seconds: Some(ttl.as_secs()),
        token_id: Some(token.id()),
        secret_hash: Some(token.verifier()),
    };
    api.create_invite(&invite).await?;
    with_core(inner, seat, |core, _| Ok(core.answer_joins())).await?;
    inner.created.notify_waiters();
    Ok(token.text().to_owned())
}

/// Tells the API server of a channel.
async fn register(inner: &Inner, api: &RelayApi, name: &ChannelName) -> Result<(), Error> {
    let channel = NewChannel { name: name.as_str().to_owned(), unbound_joins: Some(inner.settings.unbound_joins) };
    api.register_channel(&channel).await.map(drop).map_err(Error::from)
}

/// Answers those who want to join channels that were made here, for as long as the client is open.
pub(crate) async fn answer(inner: Arc<Inner>) {
    let Some(api) = inner.api.clone() else { return };
    let mut closing = inner.closing.subscribe();
    let mut asked: JoinSet<[u8; 32]> = JoinSet::new();
    let mut open: HashSet<[u8; 32]> = HashSet::new();
    loop {
        let created = inner.created.notified();
        tokio::pin!(created);
        created.as_mut().enable();
        let seats: Vec<_> = inner.seats().values().filter(|seat| is_ours(seat)).cloned().collect();
        for seat in seats {
            if open.insert(seat.id) {
                asked.spawn(ask(inner.clone(), api.clone(), seat.id));
            }
        }
        tokio::select! {
            () = created => {}
            Some(ended) = asked.join_next() => {
                match ended {
                    Ok(id) => drop(open.remove(&id)),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => return,
                }
            }
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

/// Whether those who want to join this channel are answered here.
pub(crate) fn is_ours(seat: &Seat) -> bool {
    let core = seat.core();
    core.row.answers_joins && core.row.standing == Standing::Member
}

/// Asks who wants to join one channel, again and again.
async fn ask(inner: Arc<Inner>, api: RelayApi, id: [u8; 32]) -> [u8; 32] {
    let mut pauses = Pauses::new();
    let mut is_registered = false;
    loop {
        let Some(seat) = inner.seats().get(&id).cloned() else { return id };
        if !is_ours(&seat) {
            return id;
        }
        if !is_registered {
            is_registered = register(&inner, &api, &seat.name).await.is_ok();
        }
        match api.pending(seat.name.as_str(), WAIT).await {
            Ok(pending) if pending.requests.is_empty() => pauses.reset(),
            Ok(pending) => match admit_all(&inner, &api, &seat, pending.requests).await {
                Ok(true) => {
                    pauses.reset();
                    continue;
                }
                // They are there until their member answers, and the server does not wait while somebody is.
                Ok(false) => {
                    pauses.reset();
                    tokio::time::sleep(OTHERS).await;
                    continue;
                }
                Err(error) => tracing::info!(channel = %seat.name, %error, "a request to join could not be answered; it is tried again"),
            },
            Err(error) => tracing::debug!(channel = %seat.name, %error, "requests to join cannot be asked for"),
        }
        // A server that does not wait is not asked without a pause.
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Lets in whoever may come in, page by page: those who come with invites of members that are away stand before others. `false` where nobody
/// was answered.
async fn admit_all(inner: &Arc<Inner>, api: &RelayApi, seat: &Arc<Seat>, first: Vec<PendingJoin>) -> Result<bool, Error> {
    let (mut page, mut seen) = (first, HashSet::new());
    while !page.is_empty() {
        let known = seen.len();
        seen.extend(page.iter().map(|request| request.id.clone()));
        if seen.len() == known {
            // A published server has one page only.
            break;
        }
        if admit(inner, api, seat, page).await? {
            return Ok(true);
        }
        page = api.pending_behind(seat.name.as_str(), seen.len()).await?.requests;
    }
    Ok(false)
}

/// Lets in whoever may come in, with one change where that is possible. `false` where nobody was answered: they come with invites of other
/// members.
async fn admit(inner: &Arc<Inner>, api: &RelayApi, seat: &Arc<Seat>, requests: Vec<PendingJoin>) -> Result<bool, Error> {
    let may_come_in = |request: &&PendingJoin| matches!(check(inner, seat, request), Ok(Ok(Some(_))));
    let ids = requests.iter().filter(may_come_in).map(|request| request.id.clone()).collect();
    let waiting = take_up(api, ids).await?;
    let mut good = Vec::new();
    let mut has_answered = false;
    for request in requests {
        // What cannot be read now may be read later: the request waits.
        match check(inner, seat, &request)? {
            Ok(Some(_)) if waiting.as_ref().is_some_and(|waiting| !waiting.contains(&request.id)) => {
                tracing::info!(channel = %seat.name, "a request to join was withdrawn");
            }
            Ok(Some((package, invite))) => {
                // Taken before anybody is let in, so that no end of this process lets in one more.
                if let Some((id, row)) = invite {
                    inner.store()?.commit(vec![Change::Invite(seat.id, id, row)]).await?;
                }
                good.push((request, package));
            }
            Ok(None) => {}
            Err(reason) => {
                refuse(inner, api, seat, &request, reason).await?;
                has_answered = true;
            }
        }
    }
    has_answered |= !good.is_empty();
    if good.len() > 1 {
        let packages = good.iter().map(|(_, package)| package.clone()).collect();
        if let Ok(welcome) = add(inner, seat, packages).await {
            for (request, _) in &good {
                welcome_in(api, request, &welcome).await?;
            }
            welcomed(inner, seat, &welcome).await?;
            return Ok(true);
        }
    }
    for (request, package) in good {
        match add(inner, seat, vec![package.clone()]).await {
            Ok(welcome) => {
                crate::fault::point("welcoming");
                welcome_in(api, &request, &welcome).await?;
                welcomed(inner, seat, &welcome).await?;
            }
            // What is wrong with the key package is wrong with it for ever.
            Err(error) if error.kind() == Kind::Mls || error.kind() == Kind::Refused => {
                if let Some((id, mut row)) = invite_of(inner, seat, &request)? {
                    give_back(&mut row, &package);
                    inner.store()?.commit(vec![Change::Invite(seat.id, id, row)]).await?;
                }
                refuse(inner, api, seat, &request, error.to_string()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(has_answered)
}

/// Says that these requests are about to be answered, so that nobody withdraws one between our look at it and the change that lets it in;
/// returns those that still wait. `None` where the server does not know of this: it knows no withdrawals either.
async fn take_up(api: &RelayApi, mut ids: Vec<String>) -> Result<Option<Vec<String>>, Error> {
    // Later ones have their turn when these are answered.
    ids.truncate(MAX_ANSWERING);
    if ids.is_empty() {
        return Ok(Some(ids));
    }
    match api.take_up(&Answering { request_ids: ids }).await {
        Ok(waiting) => Ok(Some(waiting.request_ids)),
        Err(error) if error.code() == Some(RelayCode::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An invite by which somebody comes, as it is kept.
pub(crate) type Invite = ([u8; 16], InviteRow);

/// A key package that may come in, and by which invite.
pub(crate) type Guest = (Vec<u8>, Option<Invite>);

/// The invite that a request names, where it was made here.
fn invite_of(inner: &Inner, seat: &Seat, request: &PendingJoin) -> Result<Option<Invite>, Error> {
    let Some(id) = request.invite_id.as_deref().and_then(InviteToken::read_id) else { return Ok(None) };
    Ok(inner.store()?.invite(&seat.id, &id)?.map(|row| (id, row)))
}

/// The key package of a request, where it may come in, and the invite with one use taken; nothing where another member has to answer, who made
/// the invite and alone can tell whether the key package is of who holds it; why it may not, for who asks.
///
/// # Errors
/// Where the invite cannot be read now, which says nothing about the request.
pub(crate) fn check(inner: &Inner, seat: &Seat, request: &PendingJoin) -> Result<Result<Option<Guest>, String>, Error> {
    let invite = invite_of(inner, seat, request)?;
    Ok(judge(inner, seat, request, invite))
}

fn judge(inner: &Inner, seat: &Seat, request: &PendingJoin, mut invite: Option<Invite>) -> Result<Option<Guest>, String> {
    let package = STANDARD.decode(&request.key_package).map_err(|_| "the key package is not base64".to_owned())?;
    if invite.as_ref().is_some_and(|(_, row)| is_over(row, Now::look().seconds())) {
        return Err("the invite has ended; ask for another one".to_owned());
    }
    let token = invite.as_ref().and_then(|(_, row)| InviteToken::parse(&row.token).ok());
    let admits_unbound = inner.settings.unbound_joins && !seat.core().row.proven;
    match (token, &request.binding) {
        (Some(token), Some(binding)) if token.binds(&package, binding) => {}
        (Some(_), Some(_)) => return Err("the key package was not sent by who holds the invite".to_owned()),
        (_, None) if admits_unbound => {}
        (None, Some(_)) if admits_unbound => {}
        (_, None) => return Err("this channel admits only members that bind their key package to the invite".to_owned()),
        (None, Some(_)) => return Ok(None),
    }
    if invite.as_mut().is_some_and(|(_, row)| !take_use(row, &package)) {
        return Err("the invite was used as often as it may be; ask for another one".to_owned());
    }
    Ok(Some((package, invite)))
}

/// Whether the server's answer to a Welcome means that nobody waits for it: its request is unknown, or was answered.
fn is_too_late(status: Option<u16>) -> bool {
    matches!(status, Some(404 | 409))
}

async fn welcome_in(api: &RelayApi, request: &PendingJoin, welcome: &[u8]) -> Result<(), Error> {
    let submission = WelcomeSubmission { request_id: request.id.clone(), welcome: STANDARD.encode(welcome) };
    match api.submit_welcome(&submission).await {
        Ok(_) => Ok(()),
        // The request expired or was answered meanwhile: nobody waits for it any more. Whatever else the server says, the Welcome is kept:
        // its commit is in the log, and without it a member would stand there that nobody is.
        Err(error) if is_too_late(error.status()) => {
            tracing::info!(%error, "a Welcome came too late");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn refuse(inner: &Arc<Inner>, api: &RelayApi, seat: &Arc<Seat>, request: &PendingJoin, reason: String) -> Result<(), Error> {
    tracing::warn!(channel = %seat.name, reason, "a request to join is refused");
    let now = Now::look();
    let row = HappeningRow {
        kind: "join_refused".to_owned(),
        subject: request.identity.clone().into_bytes(),
        by: Vec::new(),
        epoch: seat.core().epoch(),
        detail: reason.clone(),
        at: now.nanos,
    };
    crate::deed::note(inner, seat, row).await?;
    let refusal = Refusal { request_id: request.id.clone(), reason };
    match api.refuse(&refusal).await {
        Err(error) if error.is_passing() => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_welcome_is_thrown_away_only_where_nobody_waits_for_it() {
        assert!(is_too_late(Some(404)) && is_too_late(Some(409)));
        for status in [None, Some(400), Some(401), Some(403), Some(413), Some(429), Some(500)] {
            assert!(!is_too_late(status), "{status:?}: the commit is in the log, and its Welcome is wanted");
        }
    }

    #[test]
    fn an_invite_lets_nobody_in_for_longer_than_requests_wait_after_its_end() {
        let row = InviteRow { token: String::new(), expires_at: 1000, max_uses: None, used: Vec::new() };

        assert!(!is_over(&row, 1000 + GRACE));
        assert!(is_over(&row, 1001 + GRACE));
    }

    #[test]
    fn an_invite_lets_in_as_many_as_it_says_whatever_the_server_counts() {
        let mut row = InviteRow { token: String::new(), expires_at: 1000, max_uses: Some(2), used: Vec::new() };

        assert!(take_use(&mut row, b"bob") && take_use(&mut row, b"carol"));
        assert!(!take_use(&mut row, b"mallory"));
        assert!(take_use(&mut row, b"bob"), "who asks again is who was let in");
        give_back(&mut row, b"carol");
        assert!(take_use(&mut row, b"dave") && !take_use(&mut row, b"carol"));
    }
}
