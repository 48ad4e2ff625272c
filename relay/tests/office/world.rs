//! A running API server, and those who call it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use tempfile::TempDir;
use toq_api::relay::{Credential, InviteToken, JoinRequest, NewAccount, NewChannel, NewInvite, RelayApi, RelayApiError, Target};
use toq_kit::Clock;
use toq_protocol::key::Identity;
use toq_relay::office::{Office, Running, Settings, bind_socket, start};
use toq_relay::revoked::Revoked;
use toq_relay::token::Mint;
use toq_store::Options;
use toq_store::relay::RelayStore;

pub const CHANNEL: &str = "acme/team/general";

/// Base64 of some bytes that stand for a key package.
pub const PACKAGE: &str = "AAEABWtleSBwYWNrYWdl";

pub struct World {
    pub dir: TempDir,
    pub address: SocketAddr,
    pub store: RelayStore,
    pub running: Running,
    /// What those who are connected are told.
    pub revoked: Revoked,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        Self::at(tempfile::tempdir().expect("a directory"), settings).await
    }

    /// The server of a directory that was stopped.
    pub async fn again(dir: TempDir) -> Self {
        Self::at(dir, Settings::default()).await
    }

    async fn at(dir: TempDir, settings: Settings) -> Self {
        let store = RelayStore::open(dir.path(), Options::default()).await.expect("free");
        let mint = Mint::EdDsa(Box::new(Identity::from_seed(&[7; 32])));
        let revoked = Revoked::load(store.accounts()).expect("read");
        let office = Office::new(store.clone(), mint, revoked.clone(), settings, Clock::system());
        let api = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = api.local_addr().expect("it is bound");
        let socket = bind_socket(dir.path()).expect("a short path");
        let running = start(office, api, None, Some(socket)).expect("started");
        Self { dir, address, store, running, revoked }
    }

    pub fn api(&self, credential: Credential) -> RelayApi {
        RelayApi::new(&Target::at(format!("http://{}", self.address)), credential).expect("a client")
    }

    pub fn operator(&self) -> RelayApi {
        RelayApi::new(&Target::socket(&self.socket()), Credential::None).expect("a client")
    }

    pub fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join(toq_relay::office::SOCKET)
    }

    /// A fresh account: its client, and its key.
    pub async fn account(&self, name: &str) -> (RelayApi, String) {
        let new = NewAccount { email: format!("{name}@example.org"), name: Some(name.to_owned()) };
        let created = self.api(Credential::None).create_account(&new).await.expect("opened");
        (self.api(Credential::Bearer(created.api_key.clone())), created.api_key)
    }

    /// A fresh account that has registered [`CHANNEL`].
    pub async fn owner(&self, unbound_joins: Option<bool>) -> RelayApi {
        let (owner, _) = self.account("owner").await;
        owner.register_channel(&NewChannel { name: CHANNEL.to_owned(), unbound_joins }).await.expect("registered");
        owner
    }

    pub async fn stop(self) -> TempDir {
        self.running.stop().await;
        self.store.close();
        self.dir
    }
}

pub fn invite(max_uses: u32) -> NewInvite {
    NewInvite { channel: CHANNEL.to_owned(), max_uses: Some(max_uses), ..NewInvite::default() }
}

/// A join as published members send it.
pub fn join_with(token: &str) -> JoinRequest {
    let package = PACKAGE.to_owned();
    JoinRequest {
        channel: CHANNEL.to_owned(),
        token: Some(token.to_owned()),
        key_package: package,
        identity: "bob".to_owned(),
        ..JoinRequest::default()
    }
}

/// A join as our members send it.
pub fn bound_join(token: &InviteToken) -> JoinRequest {
    JoinRequest {
        channel: CHANNEL.to_owned(),
        token_id: Some(token.id()),
        proof: Some(token.proof()),
        key_package: PACKAGE.to_owned(),
        identity: "bob".to_owned(),
        binding: Some(token.binding(b"\x00\x01\x00\x05key package")),
        ..JoinRequest::default()
    }
}

/// The status and the code of a failure.
pub fn refused<T>(answer: Result<T, RelayApiError>) -> (u16, String) {
    match answer {
        Err(RelayApiError::Api { status, body, .. }) => (status, body.code),
        Err(other) => panic!("no answer: {other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Whether a file under the directory has these bytes.
pub fn holds(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir).expect("a directory").any(|entry| {
        let bytes = std::fs::read(entry.expect("an entry").path()).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}
