//! A relay that has few descriptors and many strangers.

mod relays;

use std::net::{SocketAddr, TcpStream};

use relays::{PATIENCE, Relay, block_on, publish};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use toq_dataplane::Event;

async fn serves(relay: &Relay, number: u64) {
    let (link, mut incoming) = relay.link().await;
    assert!(publish(&link, number).await);
    let answer = incoming.next().await;
    assert!(matches!(answer, Some(Event::Accepted { .. })), "{answer:?}");
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
    let relay = Relay::start_in(dir.path(), "ulimit -n 128 && exec \"$0\" \"$@\"");

    let crowd: Vec<_> = (0..1000).map(|_| TcpStream::connect(relay.grpc).expect("it listens")).collect();
    let callers: Vec<_> = (0..100).map(|_| TcpStream::connect(relay.api).expect("it listens")).collect();
    block_on(serves(&relay, 1));
    drop(callers);

    assert!(health(relay.api).starts_with("HTTP/1.1 200"));
    drop(crowd);
    block_on(serves(&relay, 2));
}
