//! The pen of the log: takes whatever waits, writes it at once, tells everybody.
//!
//! One batch is being written while the next one gathers, so a hundred busy members cost one flush. Nobody is told of a place before
//! the log says that it is on disk. What waits is bounded by the windows of the connections, not by the mailbox.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use tokio::sync::OwnedSemaphorePermit;
use toq_kit::{Lifeline, fault};
use toq_store::StoreError;
use toq_store::relay::{Append, Appended};

use crate::home::Home;
use crate::topic::{Author, Topic};

/// The most publications in one batch.
const MOST: usize = 1024;
/// The most bytes in one batch, beyond its first publication.
const MOST_BYTES: usize = 8 << 20;

/// The only scribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScribeKey;

/// Something to be written.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Write {
    /// What.
    pub append: Append,
    /// Who is told.
    pub topic: Addr<Topic>,
    /// Whom the topic tells.
    pub author: Author,
    /// Its share of what all connections may have on its way; free once it is written.
    pub room: OwnedSemaphorePermit,
}

/// Something was written, or was not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Written {
    /// Whom to tell.
    pub author: Author,
    /// What became of it; the error is the disk's.
    pub end: Result<Appended, StoreError>,
}

/// See the module.
#[derive(Debug)]
pub struct Scribe {
    home: Arc<Home>,
    waiting: std::collections::VecDeque<Write>,
    is_writing: bool,
    #[expect(dead_code, reason = "tells the parent when it is dropped")]
    lifeline: Lifeline<ScribeKey>,
}

impl Scribe {
    /// Makes one with nothing to write.
    #[must_use]
    pub fn new(home: Arc<Home>, lifeline: Lifeline<ScribeKey>) -> Self {
        Self { home, waiting: std::collections::VecDeque::new(), is_writing: false, lifeline }
    }

    fn write(&mut self, ctx: &mut Context<Self>) {
        let (mut appends, mut tellings, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.waiting.front()
            && appends.len() < MOST
            && (appends.is_empty() || bytes + next.append.frame.len() <= MOST_BYTES)
            && let Some(Write { append, topic, author, room }) = self.waiting.pop_front()
        {
            bytes += append.frame.len();
            appends.push(append);
            tellings.push((topic, author, room));
        }
        if appends.is_empty() {
            return;
        }
        self.is_writing = true;
        let home = self.home.clone();
        let writing = async move { home.log.append(appends, home.clock.monotonic()).await };
        let telling = writing.into_actor(self).map(|ends, act: &mut Self, ctx: &mut Context<Self>| {
            fault::crash_point("relay_after_append");
            act.is_writing = false;
            act.write(ctx);
            match ends {
                Ok(ends) => {
                    for ((topic, author, _room), end) in tellings.into_iter().zip(ends) {
                        topic.do_send(Written { author, end: Ok(end) });
                    }
                }
                Err(error) => {
                    for (topic, author, _room) in tellings {
                        topic.do_send(Written { author, end: Err(error.clone()) });
                    }
                }
            }
        });
        ctx.spawn(telling);
    }
}

impl Actor for Scribe {
    type Context = Context<Self>;
}

impl Handler<Write> for Scribe {
    type Result = ();

    fn handle(&mut self, write: Write, ctx: &mut Self::Context) {
        self.waiting.push_back(write);
        if !self.is_writing {
            // What else is in the mailbox now joins the first batch.
            self.is_writing = true;
            ctx.spawn(std::future::ready(()).into_actor(self).map(|(), act: &mut Self, ctx: &mut Context<Self>| {
                act.is_writing = false;
                act.write(ctx);
            }));
        }
    }
}
