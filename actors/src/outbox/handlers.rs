//! News → what the lane does about it.

use actix::{ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler};
use toq_kit::Drain;

use super::{Await, Express, Hasten, Linked, Nudge, Outbox, Retry, Settled};
use crate::connection::{Goodbye, LinkEvent, LinkNews};
use crate::describe::{Describe, Description};

type Ctx = Context<Outbox>;

impl Handler<Nudge> for Outbox {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Ctx) {
        self.is_lane_read = false;
        if self.is_nudged {
            return;
        }
        // A spawned future runs after the mailbox is empty, so a burst of nudges is one look at the lane.
        self.is_nudged = true;
        ctx.spawn(actix::fut::ready(()).map(|(), act: &mut Self, ctx| {
            act.is_nudged = false;
            act.work(ctx);
        }));
    }
}

impl Handler<Retry> for Outbox {
    type Result = ();

    fn handle(&mut self, _: Retry, ctx: &mut Ctx) {
        self.delivery.retry();
        self.work(ctx);
    }
}

impl Handler<Hasten> for Outbox {
    type Result = ();

    fn handle(&mut self, _: Hasten, ctx: &mut Ctx) {
        self.delivery.hasten();
        self.work(ctx);
    }
}

impl Handler<Await> for Outbox {
    type Result = ();

    fn handle(&mut self, wait: Await, _: &mut Ctx) {
        if wait.seq > self.highest {
            self.waiters.entry(wait.seq).or_default().push(wait.tell);
            return;
        }
        // It was read before anybody asked and may be settled, which its row tells.
        match self.home.store.reader().entry(wait.seq) {
            Ok(Some(entry)) if entry.state.state.is_final() => {
                drop(wait.tell.send(Settled { state: entry.state.state, reason: entry.state.reason }));
            }
            Ok(_) => self.waiters.entry(wait.seq).or_default().push(wait.tell),
            Err(error) => tracing::error!(seq = %wait.seq, %error, "a message cannot be read"),
        }
    }
}

impl Handler<Express> for Outbox {
    type Result = ();

    fn handle(&mut self, express: Express, ctx: &mut Ctx) {
        self.express.push_back(express);
        self.work(ctx);
    }
}

impl Handler<Linked> for Outbox {
    type Result = ();

    fn handle(&mut self, linked: Linked, _: &mut Ctx) {
        if linked.attempt == self.attempt {
            self.connection = Some(linked.connection);
        } else {
            linked.connection.do_send(Goodbye("another attempt took its place"));
        }
    }
}

impl Handler<LinkEvent> for Outbox {
    type Result = ();

    fn handle(&mut self, event: LinkEvent, ctx: &mut Ctx) {
        if event.attempt != self.attempt {
            return;
        }
        match event.news {
            LinkNews::Opened { peer, files, streams } => {
                (self.met, self.files, self.streams) = (Some(*peer), files, streams);
                self.is_open = true;
                self.delivery.connected();
                self.work(ctx);
            }
            LinkNews::Acked(ids) => self.acked(ids, ctx),
            LinkNews::Refused(id, reason, text) => self.refused(id, reason, &text, ctx),
            LinkNews::Wanted(id, offset) => self.wanted(id, offset, ctx),
            LinkNews::Slow(pause) => {
                self.delivery.slow(self.home.clock.monotonic() + pause);
                self.work(ctx);
            }
            LinkNews::Closed(why) => {
                // News of this dial ends here; the next one has its own number.
                self.attempt += 1;
                self.lost(&why, ctx);
            }
        }
    }
}

impl Handler<Drain> for Outbox {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Ctx) {
        self.lifeline.finish();
        ctx.stop();
    }
}

impl Handler<Describe> for Outbox {
    type Result = Description;

    fn handle(&mut self, _: Describe, _: &mut Ctx) -> Description {
        Description::leaf(
            "outbox",
            self.lane.0.clone(),
            vec![
                ("connected", self.is_open.to_string()),
                ("queued", self.queue.len().to_string()),
                ("in_flight", self.flying.len().to_string()),
                ("failures", self.delivery.failures().to_string()),
                ("last_error", self.last_error.clone().unwrap_or_default()),
            ],
        )
    }
}
