//! What is old is forgotten, and only that.

mod house;

use std::time::Duration;

use house::{House, NEWEST, later, run};
use toq_actors::workspace::{Consume, Patience};
use toq_store::Seq;

/// Agents keep messages for a day here.
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn messages_go_after_their_days_and_the_newest_stay() {
    run(async {
        let house = House::with_two_agents().await;
        for number in 0..NEWEST + 30 {
            house.alice.send(&house.bob.address, &number.to_string(), Patience::Accepted).await.expect("accepted");
        }
        house.bob.has_received(NEWEST + 30).await;
        later(HOUR * 22).await;
        let before = house.bob.inbox_len();

        later(HOUR * 4).await;

        assert_eq!(before, NEWEST + 30);
        assert_eq!(house.bob.inbox_len(), NEWEST);
        assert_eq!(house.bob.inbox_from(Seq(0)).first().map(String::as_str), Some("30"));
    });
}

#[test]
fn what_a_consumer_has_not_confirmed_stays_however_old_it_is() {
    run(async {
        let house = House::with_two_agents().await;
        let consume = |command| house.bob.workspace.address().send(command);
        consume(Consume::Begin("slow".to_owned(), Seq(0))).await.expect("lives").expect("committed");
        for number in 0..NEWEST + 30 {
            house.alice.send(&house.bob.address, &number.to_string(), Patience::Accepted).await.expect("accepted");
        }
        house.bob.has_received(NEWEST + 30).await;
        later(HOUR * 30).await;
        assert_eq!(house.bob.inbox_len(), NEWEST + 30);

        let tenth = house.bob.workspace.home.store.reader().messages_after(Seq(0), 10).expect("reads").last().expect("there").0;
        consume(Consume::ConfirmUpTo("slow".to_owned(), tenth)).await.expect("lives").expect("committed");
        later(HOUR * 2).await;

        assert_eq!(house.bob.inbox_len(), NEWEST + 20);
    });
}
