//! Deliveries that come twice, late, and in another order, for tests; the relay behind it is honest.
//!
//! `TOQ_MEMBER_WEATHER=duplicate:reorder:late:most:seed`: percentages of the deliveries that come twice, that change places with the
//! next one, and that are late; by how many milliseconds at most; and any text from which the dice begin.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Sleep;
use toq_dataplane::link::{Event, Incoming};

use crate::chance::sha256;

/// A connection in bad weather.
pub(crate) struct Weather {
    incoming: Box<Incoming>,
    duplicate: u64,
    reorder: u64,
    late: u64,
    most: u64,
    dice: u64,
    held: VecDeque<Event>,
    until: Option<Pin<Box<Sleep>>>,
}

impl Weather {
    /// The weather that the environment asks for; the connection as it is where it asks for none.
    pub(crate) fn over(incoming: Box<Incoming>) -> Result<Self, Box<Incoming>> {
        let Some(text) = crate::fault::setting("TOQ_MEMBER_WEATHER") else { return Err(incoming) };
        let mut parts = text.splitn(5, ':');
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
        let (duplicate, reorder, late, most) = (number(), number(), number(), number());
        let seed = sha256(text.as_bytes());
        let dice = seed.first_chunk().copied().map_or(0, u64::from_be_bytes);
        Ok(Self { incoming, duplicate, reorder, late, most, dice, held: VecDeque::new(), until: None })
    }

    /// The next event. Whoever stops waiting loses none.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        if self.held.is_empty() {
            let event = self.incoming.next().await?;
            let is_delivery = matches!(event, Event::Delivered { .. });
            if is_delivery && self.roll(100) < self.duplicate {
                self.held.push_back(event.clone());
            }
            self.held.push_back(event);
            if is_delivery
                && self.roll(100) < self.reorder
                && let Some(Some(next)) = self.incoming.next().now_or_never()
            {
                let is_delivery = matches!(next, Event::Delivered { .. });
                if is_delivery { self.held.push_front(next) } else { self.held.push_back(next) }
            }
            if self.roll(100) < self.late {
                let pause = Duration::from_millis(self.roll(self.most.max(1)));
                self.until = Some(Box::pin(tokio::time::sleep(pause)));
            }
        }
        if let Some(until) = &mut self.until {
            until.await;
            self.until = None;
        }
        self.held.pop_front()
    }

    /// splitmix64.
    fn roll(&mut self, below: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}
