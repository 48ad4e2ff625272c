//! The mailbox between who joins and who owns.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use tokio::time::{Instant, timeout_at};
use toq_api::relay::{
    Answering, Completed, InviteToken, JoinRequest, JoinStatus, Joined, MAX_ANSWERING, MAX_KEY_PACKAGE, MAX_TEXT, MAX_WAIT, MAX_WELCOME,
    Pending, PendingJoin, PendingQuery, Refusal, RelayCode, RelayErrorBody, WaitQuery, WelcomeStatus, WelcomeSubmission,
};
use toq_protocol::time::Timestamp;
use toq_store::relay::accounts::{Answer, Answered, Id, Join, JoinEnd, JoinSpec, Keeping, Standing, Withdrawn};
use uuid::Uuid;

use super::Office;
use super::bells::Bell;
use super::body::{Body, WITH_PACKAGE, WITH_WELCOME};
use super::channels::name;
use super::error::ApiError;
use super::guard::Caller;
use super::query::Query;
use super::secrets::{from_base64, sha256, to_base64};

/// How many requests one answer lists, and how many bytes of key packages.
const PAGE: (usize, usize) = (100, 1 << 20);

/// Asks to be let in.
#[utoipa::path(post, path = "/v1/channels/join", request_body = JoinRequest,
    responses((status = 200, body = Joined), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn join(
    office: web::Data<Office>,
    caller: Caller,
    body: Body<JoinRequest, WITH_PACKAGE>,
) -> Result<HttpResponse, ApiError> {
    let account = caller.tenant.account();
    let often = |wait| ApiError::too_often("too many joins with an invite that does not exist", wait);
    office.pace(|paces, now| paces.guesses.may(&caller.source, now).and_then(|()| paces.guesses_of.may(&account, now))).map_err(often)?;
    let spec = spec(&office, body.0)?;
    let bell = Bell::Channel(spec.channel.clone());
    match caller.tenant.join(spec, office.now()).await? {
        JoinEnd::Accepted(id) => {
            office.bells.ring(&bell);
            Ok(HttpResponse::Ok().json(Joined { request_id: Uuid::from_bytes(id).to_string() }))
        }
        JoinEnd::Unknown => {
            let counted = office.pace(|paces, now| {
                let of_source = paces.guesses.take(caller.source, now);
                paces.guesses_of.take(account, now).and(of_source)
            });
            counted.map_err(often)?;
            Err(ApiError::not_found("there is no such invite to this channel")
                .hint("compare the channel's name, or ask for another invite"))
        }
        JoinEnd::Expired => Err(ApiError::bad_request("the invite has expired").hint("ask for another one")),
        JoinEnd::UsedUp => Err(ApiError::bad_request("the invite has been used as often as it may").hint("ask for another one")),
        JoinEnd::Unbound => Err(ApiError::bad_request("this channel takes only joins that are bound to the invite")
            .hint("join with a member that sends a binding, or ask the owner to take others")),
        JoinEnd::Full => Err(ApiError::too_often("too many requests to join this channel wait for an answer", Duration::from_secs(30))),
    }
}

fn spec(office: &Office, join: JoinRequest) -> Result<JoinSpec, ApiError> {
    let channel = name(&join.channel)?;
    let unknown = || ApiError::bad_request("the invite is none").hint("it is \"skt_inv_\" and 64 characters");
    let (invite, verifier) = match (&join.token, &join.token_id, &join.proof) {
        (Some(token), None, None) => {
            let token = InviteToken::parse(token).map_err(|_| ApiError::not_found("there is no such invite to this channel"))?;
            (InviteToken::read_id(&token.id()), InviteToken::verifier_of(&token.proof()))
        }
        (None, Some(id), Some(proof)) => (InviteToken::read_id(id), InviteToken::verifier_of(proof)),
        _ => return Err(ApiError::bad_request("either token, or token_id and proof, says by which invite")),
    };
    let (invite, verifier) = invite.zip(verifier).ok_or_else(unknown)?;
    let package = from_base64(&join.key_package, MAX_KEY_PACKAGE)
        .ok_or_else(|| ApiError::bad_request(format!("key_package is 1 to {MAX_KEY_PACKAGE} bytes in base64 with padding")))?;
    if join.identity.len() > MAX_TEXT {
        return Err(ApiError::bad_request(format!("the identity is longer than {MAX_TEXT} bytes")));
    }
    if join.binding.as_ref().is_some_and(|binding| from_base64(binding, 32).is_none_or(|bytes| bytes.len() != 32)) {
        return Err(ApiError::bad_request("the binding is 32 bytes in base64 with padding"));
    }
    Ok(JoinSpec {
        id: *Uuid::new_v4().as_bytes(),
        channel,
        invite,
        verifier,
        identity: join.identity,
        package_hash: sha256(&package),
        package,
        binding: join.binding,
        expires_at: office.now().plus(office.settings.request_lifetime),
        most: office.settings.most_requests,
    })
}

/// Lists who wants to be let in.
#[utoipa::path(get, path = "/v1/channels/pending", params(PendingQuery),
    responses((status = 200, body = Pending), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn pending(office: web::Data<Office>, caller: Caller, query: Query<PendingQuery>) -> Result<HttpResponse, ApiError> {
    let channel = name(&query.0.channel)?;
    if caller.tenant.channel(&channel)?.is_none() {
        return Err(ApiError::not_found("the account has registered no channel of this name"));
    }
    let look = || {
        let joins = caller.tenant.pending(&channel, query.0.skip, PAGE.0, PAGE.1, office.now())?;
        Ok((!joins.is_empty()).then_some(joins))
    };
    // Behind others there is nothing to wait for: whoever looked at those begins again.
    let patience = if query.0.skip > 0 { 0 } else { query.0.wait };
    let joins = wait(&office, &caller, Bell::Channel(channel.clone()), patience, look).await?.unwrap_or_default();
    Ok(HttpResponse::Ok().json(Pending { requests: joins.into_iter().map(view).collect() }))
}

fn view(join: Join) -> PendingJoin {
    PendingJoin {
        id: Uuid::from_bytes(join.id).to_string(),
        identity: join.row.identity,
        key_package: to_base64(&join.package),
        created_at: Timestamp::from_nanos(join.row.created_at).to_string(),
        invite_id: Some(InviteToken::id_text(&join.row.invite)),
        account: Some(Uuid::from_bytes(join.row.joiner).to_string()),
        binding: join.row.binding,
    }
}

/// Takes a request back: nobody lets in who asked, and the use of the invite is given back.
#[utoipa::path(delete, path = "/v1/channels/join/{request_id}", params(("request_id" = String, Path, description = "The request's id")),
    responses((status = 204, description = "There is no such request any more"), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn withdraw(office: web::Data<Office>, caller: Caller, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    // What is no id is nobody's request either.
    let Ok(id) = request_id(&id) else { return Ok(HttpResponse::NoContent().finish()) };
    match caller.tenant.withdraw(id, office.now()).await? {
        Withdrawn::Done => office.bells.ring(&Bell::Request(id)),
        Withdrawn::Unknown => {}
        Withdrawn::TakenUp => {
            return Err(ApiError::new(RelayCode::Conflict, "a member has begun to answer the request, or has answered it")
                .hint("fetch the answer; who is in the channel can leave it"));
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Begins to answer requests: from here on they cannot be withdrawn, and they wait for as long as fresh ones. Those that are not in the answer
/// have ended, were withdrawn or have an answer.
#[utoipa::path(post, path = "/v1/channels/answering", request_body = Answering,
    responses((status = 200, body = Answering), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn take_up(office: web::Data<Office>, caller: Caller, body: Body<Answering>) -> Result<HttpResponse, ApiError> {
    if body.0.request_ids.len() > MAX_ANSWERING {
        return Err(ApiError::bad_request(format!("{} requests at once; at most {MAX_ANSWERING}", body.0.request_ids.len())));
    }
    let ids = body.0.request_ids.iter().filter_map(|id| request_id(id).ok()).collect();
    let now = office.now();
    let waiting = caller.tenant.take_up(ids, now, now.plus(office.settings.request_lifetime)).await?;
    let request_ids = waiting.into_iter().map(|id| Uuid::from_bytes(id).to_string()).collect();
    Ok(HttpResponse::Ok().json(Answering { request_ids }))
}

/// Lets somebody in.
#[utoipa::path(post, path = "/v1/channels/welcome", request_body = WelcomeSubmission,
    responses((status = 200, body = Completed), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn submit(
    office: web::Data<Office>,
    caller: Caller,
    mut body: Body<WelcomeSubmission, WITH_WELCOME>,
) -> Result<HttpResponse, ApiError> {
    let text = std::mem::take(&mut body.0.welcome);
    let welcome = from_base64(&text, MAX_WELCOME)
        .ok_or_else(|| ApiError::bad_request(format!("welcome is 1 to {MAX_WELCOME} bytes in base64 with padding")))?;
    // It is larger than what it says, and the disk may take its time.
    drop(text);
    answer(&office, &caller, &body.0.request_id, Answer::Welcome(welcome)).await?;
    Ok(HttpResponse::Ok().json(Completed { status: JoinStatus::Completed }))
}

/// Lets somebody not in.
#[utoipa::path(post, path = "/v1/channels/refuse", request_body = Refusal,
    responses((status = 200, body = Completed), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn refuse(office: web::Data<Office>, caller: Caller, body: Body<Refusal>) -> Result<HttpResponse, ApiError> {
    if body.0.reason.len() > MAX_TEXT {
        return Err(ApiError::bad_request(format!("the reason is longer than {MAX_TEXT} bytes")));
    }
    answer(&office, &caller, &body.0.request_id, Answer::Refused(body.0.reason)).await?;
    Ok(HttpResponse::Ok().json(Completed { status: JoinStatus::Refused }))
}

async fn answer(office: &Office, caller: &Caller, id: &str, answer: Answer) -> Result<(), ApiError> {
    let id = request_id(id)?;
    let now = office.now();
    let keeping = Keeping { until: now.plus(office.settings.welcome_lifetime), most: office.settings.most_answer_bytes };
    match caller.tenant.answer(id, answer, now, keeping).await? {
        Answered::Stored => {
            office.bells.ring(&Bell::Request(id));
            Ok(())
        }
        Answered::Unknown => Err(no_request()),
        Answered::Full => Err(ApiError::too_often("as many answers of this account wait to be fetched as may", Duration::from_secs(30))),
        Answered::Otherwise => {
            Err(ApiError::new(RelayCode::Conflict, "the request has been answered otherwise").hint("there is nothing left to do"))
        }
    }
}

/// Tells what became of a request.
#[utoipa::path(get, path = "/v1/channels/welcome/{request_id}", params(("request_id" = String, Path, description = "The request's id"), WaitQuery),
    responses((status = 200, body = WelcomeStatus), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn welcome(
    office: web::Data<Office>,
    caller: Caller,
    id: web::Path<String>,
    query: Query<WaitQuery>,
) -> Result<HttpResponse, ApiError> {
    let id = request_id(&id)?;
    let look = || match caller.tenant.standing(id, office.now())? {
        None => Err(no_request()),
        Some(Standing::Pending) => Ok(None),
        Some(Standing::Answered(answer)) => Ok(Some(answer)),
    };
    let answer = wait(&office, &caller, Bell::Request(id), query.0.wait, look).await?;
    let (status, welcome, reason) = match answer {
        None => (JoinStatus::Pending, None, None),
        Some(Answer::Welcome(welcome)) => (JoinStatus::Completed, Some(to_base64(&welcome)), None),
        Some(Answer::Refused(reason)) => (JoinStatus::Refused, None, Some(reason)),
    };
    Ok(HttpResponse::Ok().json(WelcomeStatus { status, welcome, reason }))
}

fn request_id(text: &str) -> Result<Id, ApiError> {
    Ok(*Uuid::parse_str(text).map_err(|_| no_request())?.as_bytes())
}

fn no_request() -> ApiError {
    ApiError::not_found("there is no such request, or it has ended").hint("ask again with another invite")
}

/// Looks until there is something, or the time is over: `None` then.
#[allow(clippy::disallowed_methods, reason = "a timeout of this connection, not a time that anything is decided by")]
async fn wait<T>(
    office: &Office,
    caller: &Caller,
    bell: Bell,
    seconds: u64,
    look: impl Fn() -> Result<Option<T>, ApiError>,
) -> Result<Option<T>, ApiError> {
    let place = if seconds == 0 { None } else { office.bells.place(bell, caller.tenant.account()) };
    let Some(place) = place else { return look() };
    let deadline = Instant::now() + Duration::from_secs(seconds.min(MAX_WAIT));
    loop {
        let mut ring = std::pin::pin!(place.rings());
        // Whatever happens between the look and the wait is heard.
        ring.as_mut().enable();
        let found = look()?;
        if found.is_some() || office.bells.is_closed() || timeout_at(deadline, ring).await.is_err() {
            return Ok(found);
        }
        if !office.is_still_known(caller) {
            return Err(ApiError::unauthorized("invalid or revoked api key"));
        }
    }
}
