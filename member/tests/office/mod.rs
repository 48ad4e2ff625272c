//! The real relay on a thread, and members of it.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use toq_api::relay::{Credential, NewAccount, RelayApi, Target};
use toq_member::{Relay, Settings};
use toq_relay::home::{Limits, Retention};
use toq_relay::{Config, UpError, up};
use toq_store::StoreError;

/// A relay on a thread of its own.
pub struct Office {
    pub grpc: SocketAddr,
    pub api: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Office {
    pub fn open(data: PathBuf, port: u16, anonymous: bool) -> Self {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
                let config = Config {
                    data,
                    grpc: here(port),
                    api: here(0),
                    anonymous,
                    hs256: None,
                    tls: None,
                    limits: Limits::default(),
                    retention: Retention::default(),
                    office: toq_relay::office::Settings::default(),
                    keepalive: Duration::from_secs(25),
                    quota: 0,
                    cache: 8 << 20,
                };
                // A relay of this process lets go of its file a moment after it has stopped; that of another would have ended.
                let mut started = up(config.clone()).await;
                while let Err(UpError::Store(StoreError::AlreadyOpen(_))) = &started {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    started = up(config.clone()).await;
                }
                let relay = started.expect("it starts");
                ready.send((relay.grpc, relay.api)).expect("awaited");
                drop(stopped.await);
                relay.stop(Duration::from_secs(5)).await;
            });
        });
        let (grpc, api) = is_ready.recv().expect("it starts");
        Self { grpc, api, stop: Some(stop), thread: Some(thread) }
    }

    pub fn close(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it stops");
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.close();
    }
}

pub fn settings(grpc: SocketAddr, identity: &str, dir: &Path) -> Settings {
    Settings { data_dir: Some(dir.join(identity)), ..Settings::new(Relay::Endpoint(format!("http://{grpc}")), identity.as_bytes()) }
}

/// A key of a new account.
pub async fn key(office: &Office, email: &str) -> String {
    let api = RelayApi::new(&Target::at(format!("http://{}", office.api)), Credential::None).expect("an address");
    let account = NewAccount { email: email.to_owned(), name: None };
    api.create_account(&account).await.expect("open on this machine").api_key
}

pub fn with_key(office: &Office, key: &str, identity: &str, dir: &Path) -> Settings {
    let api_url = Some(format!("http://{}", office.api));
    Settings { api_key: Some(key.to_owned()), api_url, ..settings(office.grpc, identity, dir) }
}
