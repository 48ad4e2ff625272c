//! What a connection does with what it is told, but for what its member publishes.

use actix::{ActorContext as _, AsyncContext as _, Handler, ResponseFuture};
use tonic::{Code, Status};
use toq_kit::Drain;
use toq_store::relay::Appended;

use super::answer::Answer;
use super::messages::{Crowded, End, Ended, Joined, Lost, Nudge, Recheck, SentAway, Stored, Undone, Unreadable};
use super::{Dialect, Hand, LOST, STOPPING, Subscriber, plan};
use crate::home::Counters;
use crate::plane::max_frame;
use crate::topic::Order;

impl Handler<Ended> for Subscriber {
    type Result = ();

    fn handle(&mut self, _: Ended, ctx: &mut Self::Context) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Crowded> for Subscriber {
    type Result = ();

    fn handle(&mut self, crowded: Crowded, ctx: &mut Self::Context) {
        Counters::count(&self.home.counters.refused);
        let Crowded { channel, what, why } = crowded;
        let answer = Answer::crowded(why);
        if self.is_over(&answer, ctx) {
            return;
        }
        let mut plan = self.plan.borrow_mut();
        match what {
            Undone::Wish(wish) => plan.refused(&channel, wish, answer),
            Undone::Publication { tag, own } => plan.stored(&channel, tag, answer, own),
        }
    }
}

impl Handler<Lost> for Subscriber {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        Counters::count(&self.home.counters.refused);
        let Lost { channel, wish, tag, answer, own } = lost;
        let is_over = self.plan.borrow().stands(&channel, wish);
        if is_over {
            self.plan.borrow_mut().unwant(&channel);
        }
        self.plan.borrow_mut().answer(tag, answer, own);
        if is_over {
            // A topic that somebody listens to never sleeps.
            self.tell(channel, Order::Leave(*self.lifeline.key()));
        }
    }
}

impl Handler<SentAway> for Subscriber {
    type Result = ();

    fn handle(&mut self, SentAway(word): SentAway, ctx: &mut Self::Context) {
        self.end(word, ctx);
    }
}

impl Handler<Unreadable> for Subscriber {
    type Result = ();

    fn handle(&mut self, Unreadable(status): Unreadable, ctx: &mut Self::Context) {
        Counters::count(&self.home.counters.refused);
        let limits = &self.home.limits;
        let word = match status.code() {
            Code::OutOfRange => Status::out_of_range(format!(
                "the frame is larger than the {} bytes that this relay reads at once, and a message may have {}; send less at once",
                max_frame(limits),
                limits.max_message
            )),
            _ => status,
        };
        self.end(word, ctx);
    }
}

impl Handler<End> for Subscriber {
    type Result = ();

    fn handle(&mut self, end: End, ctx: &mut Self::Context) {
        if end.of.is_none_or(|channel| self.plan.borrow().concerns(&channel)) {
            self.end(Status::unavailable(LOST), ctx);
        }
    }
}

impl Handler<Recheck> for Subscriber {
    type Result = ();

    fn handle(&mut self, recheck: Recheck, ctx: &mut Self::Context) {
        if self.is_revoked() {
            return self.end_as_revoked(ctx);
        }
        let Some(channel) = recheck.channel.filter(|channel| self.plan.borrow().wants(channel)) else { return };
        if self.admit(&channel).is_ok() {
            return;
        }
        if self.dialect == Dialect::Extended {
            // Its wish was answered long ago. Who connects again asks again, and is told.
            let why = format!("the account may no longer take part in {channel}; connect again for the other channels");
            return self.end(Status::aborted(why), ctx);
        }
        self.plan.borrow_mut().unwant(&channel);
        self.tell(channel, Order::Leave(*self.lifeline.key()));
    }
}

impl Handler<Joined> for Subscriber {
    type Result = ();

    fn handle(&mut self, joined: Joined, _: &mut Self::Context) {
        self.plan.borrow_mut().joined(joined.wish, joined.last);
    }
}

impl Handler<Nudge> for Subscriber {
    type Result = ();

    fn handle(&mut self, nudge: Nudge, _: &mut Self::Context) {
        self.plan.borrow_mut().nudged(&nudge.channel, nudge.last);
    }
}

impl Handler<Stored> for Subscriber {
    type Result = ();

    fn handle(&mut self, stored: Stored, ctx: &mut Self::Context) {
        let answer = match stored.end {
            Ok(Appended::At(seq) | Appended::Known(seq)) => Answer::Accepted(seq),
            Ok(Appended::EpochTaken(seq)) => Answer::epoch_taken(seq),
            Ok(Appended::NoMessages) => Answer::no_messages(&self.account, self.home.clock.wall_nanos()),
            Ok(Appended::NoChannels) => Answer::no_channels(&self.account),
            Ok(Appended::ChannelFull) => Answer::channel_full(self.home.retention.bytes_per_channel),
            Err(error) => Answer::unavailable(&error),
        };
        if matches!(answer, Answer::Refused { .. }) {
            Counters::count(&self.home.counters.refused);
            tracing::debug!(channel = %stored.channel, ?answer, "a publication was refused");
        }
        if self.is_over(&answer, ctx) {
            return;
        }
        self.plan.borrow_mut().stored(&stored.channel, stored.tag, answer, stored.own);
    }
}

impl Handler<Drain> for Subscriber {
    type Result = ResponseFuture<()>;

    /// What was published before is answered before the end, if that is possible within the time.
    fn handle(&mut self, order: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (plan, address) = (self.plan.clone(), ctx.address());
        if let Some(Hand(reading)) = self.hands.first() {
            reading.abort();
        }
        let last_word = self.outgoing.clone();
        Box::pin(async move {
            let quiet = plan::quiet(&plan);
            if tokio::time::timeout(order.grace, quiet).await.is_err() {
                tracing::debug!("a connection is closed with publications that were not answered");
            }
            let word = Status::unavailable(STOPPING);
            let _late = tokio::time::timeout(order.grace, last_word.send(Err(word))).await;
            address.do_send(Ended);
        })
    }
}
