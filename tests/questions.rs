//! A thousand strangers ask at once.

mod world;

use std::collections::HashSet;

use tokio::io::AsyncWriteExt as _;
use toq_protocol::envelope::Kind;
use toq_protocol::frame::encode;
use world::World;
use world::stranger::{Stranger, closed, connect, published_request};

/// As many questions as may wait.
const MANY: u32 = 1_000;

#[test]
fn a_thousand_strangers_each_wait_once_across_a_restart_and_one_is_approved() {
    let world = World::new();
    let bob = world.agent("bob", &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut keys = HashSet::new();
    for number in 0..MANY {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_be_bytes());
        let stranger = Stranger::from_seed(&seed);
        keys.insert(stranger.identity.public().to_string());
        runtime.block_on(async {
            let mut io = connect(&bob).await;
            stranger.greet(&mut io, 1).await;
            let request = stranger.envelope(Kind::NegotiateRequest, &bob.address(), 0, published_request());
            io.write_all(&encode(&request.sign(&stranger.identity)).expect("small")).await.expect("writes");
            io.flush().await.expect("writes");
            let said = String::from_utf8_lossy(&closed(&mut io).await).into_owned();
            assert!(said.contains("approval.request"), "{said}");
        });
    }
    let waiting = || -> Vec<String> {
        let answer = bob.get("/v1/approvals").json();
        answer["approvals"].as_array().expect("a list").iter().map(|row| row["public_key"].as_str().expect("a key").to_owned()).collect()
    };
    assert_eq!(waiting().len(), keys.len());
    assert_eq!(waiting().into_iter().collect::<HashSet<_>>(), keys);

    assert!(bob.toq(&["down"]).status.success());
    assert!(world.up(&bob.place).status.success());
    let chosen = waiting().swap_remove(500);
    assert!(bob.toq(&["approve", &chosen]).status.success());

    assert_eq!(waiting().len(), keys.len() - 1);
    assert!(!waiting().contains(&chosen));
}
