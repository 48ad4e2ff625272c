//! A relay that has few descriptors and many strangers.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, Link, Options, Tag};

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Relay {
    pid: i32,
    grpc: SocketAddr,
    api: SocketAddr,
}

impl Relay {
    /// Starts one with so many descriptors.
    fn start(data: &std::path::Path, files: u32) -> Self {
        let script =
            format!("ulimit -n {files} && exec \"$0\" --json relay up --anonymous --grpc 127.0.0.1:0 --api 127.0.0.1:0 --data \"$1\"");
        let output = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_toq")]).arg(data).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("json");
        let address = |name: &str| answer[name].as_str().expect("an address").parse().expect("an address");
        let pid = answer["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a pid");
        Self { pid, grpc: address("grpc"), api: address("api") }
    }

    async fn serves(&self, number: u8) {
        let (link, mut incoming) = Link::open(Options::new(format!("http://{}", self.grpc))).await.expect("it lets us in");
        let channel = ChannelName::parse("acme/team/general").expect("a name");
        link.publish(&channel, Carriage::Message, vec![number].into(), Tag([number; 16]), None).await.expect("it is sent");
        let answer = incoming.next().await;
        assert!(matches!(answer, Some(Event::Accepted { .. })), "{answer:?}");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        let _gone = Pid::from_raw(self.pid).map(|pid| kill_process(pid, Signal::KILL));
    }
}

fn health(api: SocketAddr) -> String {
    use std::io::{Read as _, Write as _};

    let mut socket = TcpStream::connect(api).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.write_all(b"GET /health HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_thousand_connections_leave_a_relay_of_few_descriptors_to_its_members() {
    let wide = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, wide).expect("allowed");
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start(dir.path(), 128);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    let crowd: Vec<_> = (0..1000).map(|_| TcpStream::connect(relay.grpc).expect("it listens")).collect();
    let callers: Vec<_> = (0..100).map(|_| TcpStream::connect(relay.api).expect("it listens")).collect();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, relay.serves(1)).await.expect("in time") });
    drop(callers);

    assert!(health(relay.api).starts_with("HTTP/1.1 200"));
    drop(crowd);
    runtime.block_on(async { tokio::time::timeout(PATIENCE, relay.serves(2)).await.expect("in time") });
}
