//! A DNS server on loopback with one zone, the root, and whatever manners a test wants.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_server::proto::dnssec::rdata::DNSKEY;
use hickory_server::proto::dnssec::{DnssecSigner, SigningKey as _};
use hickory_server::proto::op::{Header, HeaderCounts, ResponseCode};
use hickory_server::proto::rr::rdata::{SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType};
use hickory_server::{Server, dnssec::NxProofKind};

/// How the server treats who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// It answers from its zone.
    Good,
    /// It answers that it failed.
    Failing,
    /// It says nothing at all.
    Silent,
}

/// A DNS server that runs until this is dropped.
pub struct NameServer {
    pub address: SocketAddr,
    host: Arc<Host>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Host {
    catalog: Mutex<Arc<Catalog>>,
    manners: Mutex<Manners>,
    asked: AtomicU64,
}

/// The TXT record of a name, its text cut into character strings of at most 255 bytes.
pub fn txt(name: &str, text: &str) -> (String, RData) {
    let strings: Vec<&[u8]> = text.as_bytes().chunks(255).collect();
    (name.to_owned(), RData::TXT(TXT::from_bytes(strings)))
}

/// The address record of a name.
pub fn host(name: &str, ip: &str) -> (String, RData) {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(ip) => RData::A(ip.into()),
        IpAddr::V6(ip) => RData::AAAA(ip.into()),
    };
    (name.to_owned(), data)
}

impl NameServer {
    /// Starts a server whose zone has these records.
    pub fn start(records: &[(String, RData)]) -> Self {
        Self::with(zone(records, None))
    }

    /// Starts a server whose zone is signed; returns the key of the root too, as a zone file has it.
    pub fn signed(records: &[(String, RData)]) -> (Self, String) {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        let anchor = format!(". 3600 IN DNSKEY {dnskey}\n");
        let signer = DnssecSigner::new(dnskey, Box::new(key), Name::root(), Duration::from_secs(3600));
        (Self::with(zone(records, Some(signer))), anchor)
    }

    fn with(catalog: Catalog) -> Self {
        let host = Arc::new(Host { catalog: Mutex::new(Arc::new(catalog)), manners: Mutex::new(Manners::Good), asked: AtomicU64::new(0) });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let handler = Handler(host.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (tcp, udp) = sockets().await;
                tell.send(tcp.local_addr().unwrap()).unwrap();
                let mut server = Server::new(handler);
                server.register_socket(udp);
                server.register_listener(tcp, Duration::from_secs(5), 64);
                let _dropped = stopped.await;
            });
        });
        Self { address: told.recv().unwrap(), host, stop: Some(stop), thread: Some(thread) }
    }

    /// Replaces the zone.
    pub fn now_says(&self, records: &[(String, RData)]) {
        *self.host.catalog.lock().unwrap() = Arc::new(zone(records, None));
    }

    pub fn behave(&self, manners: Manners) {
        *self.host.manners.lock().unwrap() = manners;
    }

    /// How many questions came in.
    pub fn asked(&self) -> u64 {
        self.host.asked.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Sockets of both kinds at one port that the system chooses.
async fn sockets() -> (tokio::net::TcpListener, tokio::net::UdpSocket) {
    loop {
        let tcp = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(udp) = tokio::net::UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (tcp, udp);
        }
    }
}

fn zone(records: &[(String, RData)], signer: Option<DnssecSigner>) -> Catalog {
    let root = Name::root();
    let mut zone =
        InMemoryZoneHandler::<TokioRuntimeProvider>::empty(root.clone(), ZoneType::Primary, AxfrPolicy::Deny, Some(NxProofKind::Nsec));
    let soa = SOA::new(Name::from_str("ns.test.").unwrap(), Name::from_str("hostmaster.test.").unwrap(), 1, 3600, 600, 86_400, 60);
    zone.upsert_mut(Record::from_rdata(root.clone(), 60, RData::SOA(soa)), 0);
    for (name, data) in records {
        // Without a lifetime, so that every question comes here and a test may change its mind.
        zone.upsert_mut(Record::from_rdata(Name::from_str(name).unwrap(), 0, data.clone()), 0);
    }
    if let Some(signer) = signer {
        zone.add_zone_signing_key_mut(signer).unwrap();
        zone.secure_zone_mut().unwrap();
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::new(&root), vec![Arc::new(zone)]);
    catalog
}

struct Handler(Arc<Host>);

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let manners = *self.0.manners.lock().unwrap();
        let catalog = self.0.catalog.lock().unwrap().clone();
        let nothing = ResponseInfo::from(Header { metadata: request.metadata, counts: HeaderCounts::default() });
        match manners {
            Manners::Good => catalog.handle_request::<R, T>(request, response).await,
            Manners::Silent => nothing,
            Manners::Failing => {
                let failure = MessageResponseBuilder::new(&request.queries, None).error_msg(&request.metadata, ResponseCode::ServFail);
                response.send_response(failure).await.unwrap_or(nothing)
            }
        }
    }
}
