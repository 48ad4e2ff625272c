//! Strangers who come with ever new keys leave a bounded trace.

mod house;

use std::time::Duration;

use house::{House, later, run};
use toq_actors::workspace::Patience;
use toq_protocol::address::Address;

#[test]
fn strangers_who_push_each_other_out_are_told_of_together() {
    run(async {
        let house = House::with_bob_asking(2).await;
        for number in 0..6_u8 {
            let claims = Address::parse(&format!("toq://127.0.0.1:{}/stranger", 9_200 + u16::from(number))).expect("an address");
            let stranger = house.impostor(&format!("stranger-{number}"), &claims, 100 + number).await;
            stranger.send(&house.bob.address, "let me in", Patience::Accepted).await.expect("accepted");
            later(Duration::from_millis(100)).await;
        }
        // Nobody comes any more.
        house.wire.cut(true);
        later(Duration::from_secs(90)).await;

        let told = |kind: &str| -> Vec<String> {
            house.bob.events().into_iter().filter(|(found, ..)| found == kind).map(|(_, _, reason)| reason).collect()
        };
        // Some have tried again before the wire was cut, and asked anew.
        let asked = told("approval.requested").len();
        assert!(asked >= 6, "each of them is told of: {asked}");
        assert_eq!(told("approval.resolved"), [format!("crowded out, the latest of {}", asked - 2)]);
    });
}
