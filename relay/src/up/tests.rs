//! A relay of which a part has ended says so.

use super::*;

fn config(data: &std::path::Path) -> Config {
    let free = "127.0.0.1:0".parse().expect("an address");
    Config {
        data: data.to_owned(),
        grpc: free,
        api: free,
        anonymous: true,
        hs256: None,
        tls: None,
        limits: Limits::default(),
        retention: Retention::default(),
        office: Settings::default(),
        keepalive: Duration::from_secs(25),
        quota: 0,
        cache: 8 << 20,
    }
}

#[test]
fn the_end_of_any_part_is_told_and_the_relay_can_be_stopped_then() {
    type Ending = fn(&Relay);
    let parts: [(&str, Ending); 3] = [
        ("members connect", |relay| relay.accepting.abort()),
        ("the data plane", |relay| relay.server.abort()),
        ("revoked", |relay| relay.revocations.abort()),
    ];
    for (part, end) in parts {
        actix::System::new().block_on(async {
            let dir = tempfile::tempdir().expect("a directory");
            let relay = up(config(&dir.path().join("relay"))).await.expect("it starts");
            let quiet = tokio::time::timeout(Duration::ZERO, relay.ended()).await;
            assert!(quiet.is_err(), "nothing has ended");

            end(&relay);

            let ended = tokio::time::timeout(Duration::from_secs(30), relay.ended()).await.expect("it is told");
            assert!(ended.contains(part), "{ended}");
            relay.stop(Duration::from_secs(5)).await;
        });
    }
}
