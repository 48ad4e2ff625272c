//! What is refused, how it is told, and that it costs nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use toq_api::relay::{
    Credential, Errand, ErrandAnswer, InviteToken, JoinRequest, NewAccount, NewChannel, NewInvite, NewKey, RelayApiError, WelcomeSubmission,
};
use toq_protocol::time::Timestamp;
use toq_relay::office::{Opening, Operator, Rates, Settings};
use toq_store::relay::accounts::InviteSpec;

use super::world::{CHANNEL, World, bound_join, invite, join_with, refused};

/// Sends bytes and returns the answer as text.
async fn raw(world: &World, request: String) -> String {
    let address = world.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("text");
        answer
    });
    answer.await.expect("no panic")
}

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[actix_web::test]
async fn an_invite_that_does_not_work_is_refused_without_being_spent() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let other = "acme/team/other".to_owned();
    owner.register_channel(&NewChannel { name: other.clone(), unbound_joins: None }).await.expect("registered");
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");

    let wrong = JoinRequest { channel: other, ..join_with(&token) };
    assert_eq!(refused(owner.join(&wrong).await), code(404, "not_found"));
    let unknown = InviteToken::mint(&[1; 48]);
    assert_eq!(refused(owner.join(&join_with(unknown.text())).await), code(404, "not_found"));
    let parsed = InviteToken::parse(&token).expect("an invite");
    let guessed = JoinRequest { token_id: Some(parsed.id()), ..bound_join(&unknown) };
    assert_eq!(refused(owner.join(&guessed).await), code(404, "not_found"), "its name alone opens nothing");
    for bad in [
        JoinRequest { token: None, ..join_with(&token) },
        JoinRequest { proof: Some(parsed.proof()), ..join_with(&token) },
        JoinRequest { key_package: "not base64!".to_owned(), ..join_with(&token) },
        JoinRequest { key_package: String::new(), ..join_with(&token) },
        JoinRequest { channel: "two/parts".to_owned(), ..join_with(&token) },
        JoinRequest { identity: "x".repeat(2000), ..join_with(&token) },
        JoinRequest { binding: Some("short".to_owned()), ..join_with(&token) },
    ] {
        assert_eq!(refused(owner.join(&bad).await), code(400, "bad_request"));
    }
    assert_eq!(owner.invites(CHANNEL).await.expect("read").invites[0].uses, 0);

    owner.join(&join_with(&token)).await.expect("it is as good as new");
    let another = JoinRequest { key_package: "AAEABQ==".to_owned(), ..join_with(&token) };
    assert_eq!(refused(owner.join(&another).await), code(400, "bad_request"));
    world.stop().await;
}

#[actix_web::test]
async fn an_invite_that_has_ended_or_was_revoked_lets_nobody_in() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let ended = InviteToken::mint(&[5; 48]);
    let account = world.store.accounts().by_email("owner@example.org").expect("read").expect("it is there");
    let spec = InviteSpec {
        id: InviteToken::read_id(&ended.id()).expect("an id"),
        channel: CHANNEL.to_owned(),
        verifier: InviteToken::read_verifier(&ended.verifier()).expect("a verifier"),
        max_uses: 1,
        expires_at: Timestamp::from_nanos(2),
        most: 10,
    };
    world.store.accounts().of(account).invite(spec, Timestamp::from_nanos(1)).await.expect("stored");

    let error = owner.join(&join_with(ended.text())).await.expect_err("it has ended");
    assert!(error.to_string().contains("expired"), "{error}");
    assert_eq!(refused::<()>(Err(error)), code(400, "bad_request"));

    let created = owner.create_invite(&invite(1)).await.expect("made");
    owner.revoke_invite(&created.id.expect("it has an id")).await.expect("revoked");
    let token = created.token.expect("the server made it");
    assert_eq!(refused(owner.join(&join_with(&token)).await), code(404, "not_found"));
    world.stop().await;
}

#[actix_web::test]
async fn every_failure_is_told_in_the_words_that_published_clients_know() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let nobody = world.api(Credential::None);
    let wrong = world.api(Credential::Bearer("sk_live_wrong".to_owned()));

    let error = nobody.keys().await.expect_err("without a key");
    assert_eq!(error.to_string(), "API error (401): missing authorization header");
    let error = wrong.token().await.err().expect("a wrong key");
    assert_eq!(error.to_string(), "API error (401): invalid or revoked api key");
    assert_eq!(refused(wrong.token().await), code(401, "unauthorized"));
    let same = NewAccount { email: "OWNER@example.org".to_owned(), name: None };
    assert_eq!(refused(nobody.create_account(&same).await), code(409, "conflict"));
    let bad = NewAccount { email: "nobody".to_owned(), name: None };
    assert_eq!(refused(nobody.create_account(&bad).await), code(400, "bad_request"));
    let bad = NewChannel { name: "bad-name".to_owned(), unbound_joins: None };
    assert_eq!(refused(owner.register_channel(&bad).await), code(400, "bad_request"));
    assert_eq!(refused(owner.revoke_key("no uuid").await), code(404, "not_found"));
    assert_eq!(refused(owner.pending("acme/team/nobodys", Duration::ZERO).await), code(404, "not_found"));
    assert_eq!(refused(owner.welcome("00000000-0000-4000-8000-000000000000", Duration::ZERO).await), code(404, "not_found"));
    let lost = WelcomeSubmission { request_id: "x".to_owned(), welcome: "AA==".to_owned() };
    assert_eq!(refused(owner.submit_welcome(&lost).await), code(404, "not_found"));
    for bad in [
        NewInvite { max_uses: Some(0), ..invite(1) },
        NewInvite { ttl_seconds: Some(0), ..invite(1) },
        NewInvite { ttl_seconds: Some(u64::MAX), ..invite(1) },
        NewInvite { token_id: Some("AAECAwQFBgcICQoLDA0ODw".to_owned()), ..invite(1) },
        NewInvite { token_id: Some("x".to_owned()), secret_hash: Some("y".to_owned()), ..invite(1) },
    ] {
        assert_eq!(refused(owner.create_invite(&bad).await), code(400, "bad_request"));
    }
    let nowhere = NewInvite { channel: "acme/team/nobodys".to_owned(), ..invite(1) };
    assert_eq!(refused(owner.create_invite(&nowhere).await), code(404, "not_found"));
    let error = owner.get::<()>(&["v1", "nothing"], &[]).await.expect_err("no such path");
    assert!(error.hint().is_some_and(|hint| hint.contains("openapi")), "{error}");
    world.stop().await;
}

#[actix_web::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let world = World::new().await;
    let (_, key) = world.account("owner").await;
    let head = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
    };

    // Nothing of the body is ever sent: an answer is proof that nobody waited for it.
    for (path, length) in [("/v1/channels", 16 * 1024 + 1), ("/v1/channels/join", 200_000), ("/v1/channels/welcome", 8 << 20)] {
        let answer = raw(&world, head(path, length)).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"code\":\"bad_request\""), "{answer}");
    }
    let chunked = format!(
        "POST /v1/channels HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n8000\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x8000)
    );
    assert!(raw(&world, chunked).await.starts_with("HTTP/1.1 413"));
    let stranger = "POST /v1/channels HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n".to_owned();
    assert!(raw(&world, stranger).await.starts_with("HTTP/1.1 401"), "a stranger's body is not even looked at");
    world.stop().await;
}

#[actix_web::test]
async fn a_web_page_is_answered_nothing() {
    let world = World::new().await;
    let account = r#"{"email": "page@example.org"}"#;
    for header in ["origin: http://evil.example", "origin: null", "sec-fetch-site: cross-site", "sec-fetch-site: same-origin"] {
        let length = account.len();
        let request = format!(
            "POST /v1/accounts HTTP/1.1\r\nhost: 127.0.0.1\r\n{header}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{account}"
        );
        let answer = raw(&world, request).await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.to_lowercase().contains("access-control"), "{answer}");
    }
    assert_eq!(world.store.accounts().by_email("page@example.org").expect("read"), None);
    world.stop().await;
}

#[actix_web::test]
async fn accounts_are_opened_for_whom_the_operator_allows() {
    let account = r#"{"email": "ann@example.org"}"#;
    let proxied = format!(
        "POST /v1/accounts HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{account}",
        account.len()
    );
    for (accounts, direct_status, proxied_status) in
        [(Opening::Open, 200, "409"), (Opening::Local, 200, "403"), (Opening::Closed, 403, "403")]
    {
        let world = World::with(Settings { accounts, ..Settings::default() }).await;
        let new = NewAccount { email: "ann@example.org".to_owned(), name: None };

        let direct = match world.api(Credential::None).create_account(&new).await {
            Ok(_) => 200,
            Err(error) => error.status().expect("an answer"),
        };
        let through = raw(&world, proxied.clone()).await;

        assert_eq!(direct, direct_status, "{accounts:?}");
        assert!(through.starts_with(&format!("HTTP/1.1 {proxied_status}")), "{accounts:?}: {through}");
        world.stop().await;
    }
}

#[actix_web::test]
async fn who_guesses_invites_is_stopped_even_with_a_good_one() {
    let slow = toq_relay::office::Rate::per_minute(1, 3);
    let world = World::with(Settings { rates: Rates { guesses: slow, ..Rates::default() }, ..Settings::default() }).await;
    let owner = world.owner(None).await;
    let token = owner.create_invite(&invite(1)).await.expect("made").token.expect("the server made it");
    for n in 0..3 {
        let guess = InviteToken::mint(&[n; 48]);
        assert_eq!(refused(owner.join(&join_with(guess.text())).await), code(404, "not_found"));
    }

    let length = serde_json::to_string(&join_with(&token)).expect("json");
    let (_, key) = world.account("another").await;
    let request = format!(
        "POST /v1/channels/join HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{length}",
        length.len()
    );
    let answer = raw(&world, request).await;

    assert!(answer.starts_with("HTTP/1.1 429") && answer.to_lowercase().contains("retry-after: "), "{answer}");
    assert_eq!(owner.invites(CHANNEL).await.expect("read").invites[0].uses, 0);
    world.stop().await;
}

#[actix_web::test]
async fn wrong_keys_are_counted_and_good_ones_work_nevertheless() {
    let slow = toq_relay::office::Rate::per_minute(1, 2);
    let world = World::with(Settings { rates: Rates { strangers: slow, ..Rates::default() }, ..Settings::default() }).await;
    let (owner, _) = world.account("owner").await;
    let wrong = "GET /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk_live_guess\r\nconnection: close\r\n\r\n";
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(raw(&world, wrong.to_owned()).await[9..12].to_owned());
    }

    assert_eq!(answers, ["401", "401", "429"]);
    assert!(owner.keys().await.is_ok());
    world.stop().await;
}

#[actix_web::test]
async fn a_revoked_key_and_its_tokens_are_refused_at_once_and_others_work() {
    let world = World::new().await;
    let (owner, _) = world.account("owner").await;
    owner.register_channel(&NewChannel { name: CHANNEL.to_owned(), unbound_joins: None }).await.expect("registered");
    let key = owner.create_key(&NewKey { name: Some("laptop".to_owned()) }).await.expect("made");
    assert_eq!((key.name.as_str(), &key.key[..12]), ("laptop", key.key_prefix.as_str()));
    let by_key = world.api(Credential::Bearer(key.key.clone()));
    let by_token = world.api(Credential::Bearer(by_key.token().await.expect("exchanged").token));
    assert_eq!(by_token.account().await.expect("it is good").email, "owner@example.org");

    // Who waits with that key when it is revoked is not answered either.
    let (waiting, revoked) =
        futures_util::future::join(by_token.pending(CHANNEL, Duration::from_secs(30)), owner.revoke_key(&key.id)).await;

    revoked.expect("revoked");
    assert_eq!(refused(waiting), code(401, "unauthorized"));
    assert_eq!(refused(by_key.account().await), code(401, "unauthorized"));
    assert_eq!(refused(by_token.account().await), code(401, "unauthorized"));
    assert_eq!(refused(owner.revoke_key(&key.id).await), code(404, "not_found"));
    assert_eq!(owner.keys().await.expect("read").keys.len(), 1);
    world.stop().await;
}

#[actix_web::test]
async fn a_token_makes_nothing_that_outlives_it() {
    let world = World::new().await;
    let (owner, _) = world.account("owner").await;
    let by_token = world.api(Credential::Bearer(owner.token().await.expect("exchanged").token));
    let key = owner.keys().await.expect("read").keys.remove(0).id;

    assert_eq!(refused(by_token.token().await), code(403, "forbidden"));
    assert_eq!(refused(by_token.create_key(&NewKey { name: None }).await), code(403, "forbidden"));
    assert_eq!(refused(by_token.revoke_key(&key).await), code(403, "forbidden"));
    assert_eq!(refused(by_token.keys().await), code(403, "forbidden"));
    assert!(by_token.account().await.is_ok(), "and is good for everything else");
    world.stop().await;
}

#[actix_web::test]
async fn a_revocation_that_nobody_waits_for_any_more_still_ends_what_is_open() {
    let world = World::new().await;
    let (owner, _) = world.account("owner").await;
    let key = owner.keys().await.expect("read").keys.remove(0).id;
    let office = world.running.office().clone();
    let mut changes = world.revoked.changes();

    // Its caller goes away while it is written.
    let operator = Operator::of(&office);
    let mut revoking = Box::pin(operator.run(Errand::RevokeKey { id: key.clone() }));
    let is_pending = std::future::poll_fn(|context| std::task::Poll::Ready(revoking.as_mut().poll(context).is_pending())).await;
    assert!(is_pending, "it waits for the disk");
    drop(revoking);

    tokio::time::timeout(Duration::from_secs(30), changes.changed()).await.expect("it is told").expect("it lives");
    assert!(world.revoked.holds(Some(&key)));
    let again = operator.run(Errand::RevokeKey { id: key }).await;
    assert!(again.is_err() && owner.keys().await.is_err(), "the task was not taken back");
    drop(office);
    world.stop().await;
}

#[actix_web::test]
async fn nobody_is_called_like_the_operator() {
    let world = World::with(Settings { accounts: Opening::Open, ..Settings::default() }).await;
    for email in ["operator@localhost", "Operator@LOCALHOST", " operator@localhost "] {
        let new = NewAccount { email: email.to_owned(), name: Some("operator".to_owned()) };
        assert_eq!(refused(world.api(Credential::None).create_account(&new).await), code(409, "conflict"), "{email}");
    }

    let made = world.operator().errand(&Errand::CreateKey { account: None, name: None }).await.expect("made");

    let ErrandAnswer::Key(key) = made else { panic!("no key") };
    let own = world.api(Credential::Bearer(key.key));
    assert_eq!(own.account().await.expect("it is good").email, "operator@localhost");
    world.stop().await;
}

#[actix_web::test]
async fn a_crowd_of_connections_leaves_places_and_its_own_are_closed() {
    let world = World::with(Settings { most_connections: 40, ..Settings::default() }).await;
    let address = world.address;

    // One after the other, each with an answer or closed: forty that are kept would be all there are.
    let (kept, closed) = actix_web::web::block(move || {
        let ask = |mut stream: TcpStream| {
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: relay\r\n\r\n").ok()?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).ok().filter(|()| answer == *b"HTTP/1.1 200").map(|()| stream)
        };
        let crowd: Vec<_> = (0..80).map(|_| ask(TcpStream::connect(address).expect("it listens"))).collect();
        let (kept, closed): (Vec<_>, Vec<_>) = crowd.into_iter().partition(Option::is_some);
        (kept, closed.len())
    })
    .await
    .expect("it ran");

    assert_eq!((kept.len(), closed), (31, 49), "three quarters for this machine");
    drop(kept);
    while world.api(Credential::None).create_account(&NewAccount { email: "a@example.org".to_owned(), name: None }).await.is_err() {
        // The places are given back when the server has seen that the connections have ended.
    }
    world.stop().await;
}

#[actix_web::test]
async fn a_server_that_stops_lets_nobody_wait() {
    let world = World::new().await;
    let owner = world.owner(None).await;
    let World { running, store, .. } = world;
    let waiting = owner.pending(CHANNEL, Duration::from_secs(30));

    let (answer, ()) = futures_util::future::join(waiting, running.stop()).await;

    // Whether it came before the listener was closed or not, it ended; a minute's limit would be a timeout.
    assert!(matches!(answer, Ok(_) | Err(RelayApiError::Connection(_))), "{answer:?}");
    store.close();
}
