//! A request to join outlives whoever waits for it: it is taken up again, or taken back, and lets nobody in who is not there.

mod office;
mod world;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use office::{Office, key, settings, with_key};
use toq_api::relay::{Credential, RelayApi, Target};
use toq_member::{Admission, Channel, Client, Kind, Settings, Standing};
use toq_protocol::key::Identity;
use world::{LONG, NAME, open, refused, texts, until};

/// Too short for anybody to answer who is not there.
const SHORT: Duration = Duration::from_millis(300);

/// A relay, the key of an account of it, and the directories of members.
struct Scene {
    dir: tempfile::TempDir,
    office: Office,
    secret: String,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let office = Office::open(dir.path().join("relay"), 0, false);
        let secret = key(&office, "agents@example.com").await;
        Self { dir, office, secret }
    }

    fn settings(&self, identity: &str) -> Settings {
        with_key(&self.office, &self.secret, identity, self.dir.path())
    }

    async fn member(&self, identity: &str) -> Client {
        open(self.settings(identity)).await
    }

    /// Alice's channel, an invite to it for one, and nobody to answer.
    async fn invite(&self) -> String {
        let alice = self.member("alice").await;
        let channel = alice.create_channel(NAME, Admission::Any).await.expect("made");
        let token = channel.invite(1, Duration::from_secs(600)).await.expect("made");
        alice.close().await;
        token
    }

    async fn alice(&self) -> (Client, Channel) {
        let alice = self.member("alice").await;
        let channel = alice.channel(NAME).expect("kept");
        (alice, channel)
    }

    fn api(&self) -> RelayApi {
        let target = Target::at(format!("http://{}", self.office.api));
        RelayApi::new(&target, Credential::Bearer(self.secret.clone())).expect("an address")
    }

    /// How many requests wait, and how often the invite was used.
    async fn counts(&self) -> (usize, u32) {
        let api = self.api();
        let waiting = api.pending(NAME, Duration::ZERO).await.expect("read").requests.len();
        (waiting, api.invites(NAME).await.expect("read").invites[0].uses)
    }
}

fn identities(channel: &Channel) -> Vec<String> {
    channel.members().iter().map(|member| String::from_utf8(member.identity.clone()).expect("text")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stopped_waiting_is_let_in_by_the_same_request_and_uses_the_invite_once() {
    let scene = Scene::new().await;
    let token = scene.invite().await;
    let bob = scene.member("bob").await;

    let (kind, late) = refused(bob.join_with_token(NAME, &token, SHORT).await);
    assert!(kind == Kind::TimedOut && late.starts_with("join timed out after 0.3s — channel owner may not be running"), "{late}");
    assert!(late.contains("same token") && late.contains("withdraw_join"), "{late}");
    assert_eq!(refused(bob.join_with_token(NAME, &token, SHORT).await).0, Kind::TimedOut);
    assert_eq!(scene.counts().await, (1, 1));
    bob.close().await;
    drop(bob);
    let (_alice, channel) = scene.alice().await;
    until("bob is let in while he is away", || identities(&channel) == ["alice", "bob"]).await;

    let bob = scene.member("bob").await;
    let joined = bob.join_with_token(NAME, &token, LONG).await.expect("the Welcome that came meanwhile");
    channel.send(b"welcome").await.expect("sent");
    assert_eq!(texts(&joined, 1).await, ["welcome"]);
    let again = bob.join_with_token(NAME, &token, LONG).await.expect("he is in");
    assert_eq!((again.epoch(), channel.epoch(), identities(&channel).len()), (1, 1, 2));
}

/// Not a test by itself: bob, who joins until he is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "it is told by its parent what to do")]
async fn joiner() {
    let word = |name: &str| std::env::var(name).ok();
    let (Some(dir), Some(grpc), Some(token)) = (word("CHILD_DIR"), word("CHILD_GRPC"), word("CHILD_TOKEN")) else { return };
    let mut how = settings(grpc.parse().expect("an address"), "bob", Path::new(""));
    how.data_dir = Some(PathBuf::from(dir).join("bob"));
    (how.api_key, how.api_url) = (word("CHILD_KEY"), word("CHILD_API"));
    open(how).await.join_with_token(NAME, &token, LONG).await.expect("joined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_killed_while_it_joined_comes_in_by_the_same_request() {
    for point in ["asking:1", "asked:1", "welcomed:1", "joined:1"] {
        let scene = Scene::new().await;
        let token = scene.invite().await;
        let (_alice, channel) = scene.alice().await;
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child.args(["joiner", "--exact"]).env("CHILD_DIR", scene.dir.path()).env("CHILD_GRPC", scene.office.grpc.to_string());
        child.env("CHILD_KEY", &scene.secret).env("CHILD_API", format!("http://{}", scene.office.api));
        child.env("CHILD_TOKEN", &token).env("TOQ_MEMBER_CRASH", point);
        let end = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic").expect("it starts");
        assert!(!end.status.success(), "{point} was not reached");

        let bob = scene.member("bob").await;
        let joined = bob.join_with_token(NAME, &token, LONG).await.expect(point);
        channel.send(point.as_bytes()).await.expect("sent");

        assert_eq!(texts(&joined, 1).await, [point]);
        assert_eq!((identities(&channel), channel.epoch()), (vec!["alice".to_owned(), "bob".to_owned()], 1), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_withdraws_is_not_let_in_and_the_invite_is_free_for_another() {
    let scene = Scene::new().await;
    let token = scene.invite().await;
    let (bob, carol) = (scene.member("bob").await, scene.member("carol").await);
    assert!(!bob.withdraw_join(NAME, &token).await.expect("nothing was asked"));
    assert_eq!(refused(bob.join_with_token(NAME, &token, SHORT).await).0, Kind::TimedOut);
    assert_eq!(refused(carol.join_with_token(NAME, &token, SHORT).await).0, Kind::Refused);

    assert!(bob.withdraw_join(NAME, &token).await.expect("withdrawn"));
    assert!(!bob.withdraw_join(NAME, &token).await.expect("nothing is left"));
    assert_eq!(scene.counts().await, (0, 0));
    let (_alice, channel) = scene.alice().await;
    let joined = carol.join_with_token(NAME, &token, LONG).await.expect("the use was given back");

    assert_eq!((identities(&channel), joined.epoch()), (vec!["alice".to_owned(), "carol".to_owned()], 1));
    let (kind, text) = refused(carol.withdraw_join(NAME, &token).await);
    assert!(kind == Kind::Refused && text.contains("leave()"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_waited_for_is_not_withdrawn_and_is_once_the_call_was_ended() {
    let scene = Scene::new().await;
    let token = scene.invite().await;
    let bob = scene.member("bob").await;
    let joining = world::spawn({
        let (bob, token) = (bob.clone(), token.clone());
        async move { bob.join_with_token(NAME, &token, LONG).await }
    });
    while scene.counts().await.0 == 0 {
        tokio::task::yield_now().await;
    }

    let (kind, text) = refused(bob.withdraw_join(NAME, &token).await);
    assert!(kind == Kind::Refused && text.contains("end that call first"), "{text}");
    joining.abort();
    assert!(bob.withdraw_join(NAME, &token).await.expect("withdrawn"));
    assert_eq!(scene.counts().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_proven_since_it_asked_comes_in_proven_and_uses_the_invite_once() {
    let scene = Scene::new().await;
    let token = scene.invite().await;
    let bob = scene.member("bob").await;
    assert_eq!(refused(bob.join_with_token(NAME, &token, SHORT).await).0, Kind::TimedOut);
    let key = Identity::from_seed(&[1; 32]);
    bob.prove(key.public(), key.sign(&bob.statement())).await.expect("proven");
    let (_alice, channel) = {
        // She is there only when the new request is: the old one would be good enough for her.
        assert_eq!(refused(bob.join_with_token(NAME, &token, SHORT).await).0, Kind::TimedOut);
        assert_eq!(scene.counts().await, (1, 1));
        scene.alice().await
    };

    bob.join_with_token(NAME, &token, LONG).await.expect("joined");

    assert_eq!(channel.members()[1].proven, Some(key.public()));
    assert_eq!((identities(&channel), channel.epoch()), (vec!["alice".to_owned(), "bob".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_meanwhile_cannot_withdraw_and_is_told_how_to_come_in_and_leave() {
    let scene = Scene::new().await;
    let token = scene.invite().await;
    let bob = scene.member("bob").await;
    assert_eq!(refused(bob.join_with_token(NAME, &token, SHORT).await).0, Kind::TimedOut);
    let (_alice, channel) = scene.alice().await;
    until("bob is let in", || identities(&channel).len() == 2).await;

    let (kind, text) = refused(bob.withdraw_join(NAME, &token).await);
    assert!(kind == Kind::Refused && text.contains("join_with_token with the same token") && text.contains("leave()"), "{text}");
    let joined = bob.join_with_token(NAME, &token, LONG).await.expect("joined");
    joined.leave().await.expect("asked");
    until("nobody is there whom nobody is", || identities(&channel) == ["alice"]).await;
    assert_eq!(joined.standing(), Standing::Left);
}

/// Hands bytes on to an API server and back, and holds back the first answer that has a key package in it until it is let go.
struct Holding {
    address: SocketAddr,
    held: mpsc::Receiver<()>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Holding {
    fn before(api: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, gate) = (listener.local_addr().expect("bound"), Arc::new((Mutex::new(false), Condvar::new())));
        let (tell, held) = mpsc::sync_channel(1);
        let shared = gate.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(api) else { return };
                let (mut up, mut down) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (mut server, mut client, tell, gate) = (server, client, tell.clone(), shared.clone());
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut up, &mut server));
                    drop(server.shutdown(std::net::Shutdown::Write));
                });
                std::thread::spawn(move || {
                    let mut bytes = [0; 64 * 1024];
                    while let Ok(count @ 1..) = down.read(&mut bytes) {
                        if bytes[..count].windows(11).any(|part| part == b"key_package") {
                            tell.try_send(()).ok();
                            let (open, bell) = &*gate;
                            drop(bell.wait_while(open.lock().expect("whole"), |open| !*open).expect("whole"));
                        }
                        if client.write_all(&bytes[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, held, gate }
    }

    fn let_go(&self) {
        *self.gate.0.lock().expect("whole") = true;
        self.gate.1.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_withdraws_between_the_owners_look_and_its_change_is_not_added() {
    let scene = Scene::new().await;
    let token = scene.invite().await;
    let holding = Holding::before(scene.office.api);
    let (bob, carol) = (scene.member("bob").await, scene.member("carol").await);
    assert_eq!(refused(bob.join_with_token(NAME, &token, SHORT).await).0, Kind::TimedOut);
    let alice = open(Settings { api_url: Some(format!("http://{}", holding.address)), ..scene.settings("alice") }).await;
    let channel = alice.channel(NAME).expect("kept");
    tokio::task::block_in_place(|| holding.held.recv_timeout(LONG)).expect("alice looks");

    assert!(bob.withdraw_join(NAME, &token).await.expect("withdrawn"));
    holding.let_go();
    let joined = carol.join_with_token(NAME, &token, LONG).await.expect("joined");

    assert_eq!((identities(&channel), joined.epoch()), (vec!["alice".to_owned(), "carol".to_owned()], 1));
}
