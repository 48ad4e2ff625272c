//! Writes what a connection's plan says, as fast as the member reads.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::Addr;
use prost::bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;
use toq_dataplane::wire::refused::Code;
use toq_store::StoreError;
use toq_store::relay::{Ends, Row};

use super::answer::Answer;
use super::plan::{Greeting, Met, Plan, Reading, Step};
use super::{Dialect, End, Ended, Lost, SentAway, Subscriber};
use crate::frame::Outbound;
use crate::home::{Counters, Home};

/// What may wait to be written, in bytes, beyond which rows stay in the log.
const ROOM: usize = 512 << 10;
/// What a frame takes up besides its bytes, about.
const OVERHEAD: usize = 128;
/// The most rows of one read.
const ROWS: usize = 128;
/// The most bytes of one read, beyond its first row.
const BYTES: usize = 256 << 10;
/// The most commits that a joiner without the extension is given: published members keep 64 frames that they have not looked at.
const REPLAYED: usize = 48;

/// What ends a pump.
enum Stop {
    /// The member does not read any more.
    Gone,
    /// The log cannot be read.
    Log(StoreError),
    /// What comes next for the member is not kept any more.
    Behind(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Log(error)
    }
}

/// Writes until the member is gone or the log cannot be read.
pub async fn run(
    plan: Rc<RefCell<Plan>>,
    home: Arc<Home>,
    outgoing: mpsc::Sender<Result<Outbound, Status>>,
    dialect: Dialect,
    subscriber: Addr<Subscriber>,
) {
    let work = plan.borrow().work.clone();
    let pump = Pump { plan, home, outgoing, dialect, subscriber, room: Arc::new(Semaphore::new(ROOM)) };
    loop {
        let step = pump.plan.borrow_mut().next();
        let done = match step {
            Step::Wait => {
                work.notified().await;
                Ok(())
            }
            Step::Write(frame) => pump.write(frame).await,
            Step::Read(reading) => pump.stretch(reading).await,
        };
        match done {
            Ok(()) => {}
            Err(Stop::Gone) => return pump.subscriber.do_send(Ended),
            Err(Stop::Behind(why)) => return pump.subscriber.do_send(SentAway(Status::aborted(why))),
            Err(Stop::Log(error)) => {
                tracing::error!(%error, "a log cannot be read; its subscriber is to connect again");
                return pump.subscriber.do_send(End { of: None });
            }
        }
    }
}

struct Pump {
    plan: Rc<RefCell<Plan>>,
    home: Arc<Home>,
    outgoing: mpsc::Sender<Result<Outbound, Status>>,
    dialect: Dialect,
    subscriber: Addr<Subscriber>,
    room: Arc<Semaphore>,
}

impl Pump {
    async fn write(&self, mut frame: Outbound) -> Result<(), Stop> {
        let size = u32::try_from((frame.bytes.len() + OVERHEAD).min(ROOM)).unwrap_or(u32::MAX);
        frame.room = Some(self.room.clone().acquire_many_owned(size).await.map_err(|_| Stop::Gone)?);
        self.outgoing.send(Ok(frame)).await.map_err(|_| Stop::Gone)
    }

    async fn deliver(&self, row: Row) -> Result<(), Stop> {
        let seq = (self.dialect == Dialect::Extended).then_some(row.seq);
        self.write(Outbound { bytes: Bytes::from(row.frame), seq, room: None }).await?;
        Counters::count(&self.home.counters.delivered);
        Ok(())
    }

    /// Reads a stretch of a log and writes it.
    async fn stretch(&self, reading: Reading) -> Result<(), Stop> {
        let Reading { channel, wish, after, through, greeting } = &reading;
        let stretch = self.home.log.read(channel.as_str(), *after, *through, ROWS, BYTES).await?;
        if let Some(lost) = refusal(*after, stretch.ends, greeting.as_ref().is_some_and(|greeting| greeting.is_resumed)) {
            match self.dialect {
                Dialect::Extended => return self.lose(reading, stretch.ends, lost),
                // It cannot be told and would not know what to do.
                Dialect::Published => self.plan.borrow_mut().skip(channel, *wish, stretch.ends.first.saturating_sub(1)),
            }
        }
        if let Some(greeting) = greeting {
            match self.dialect {
                Dialect::Extended if greeting.tag.is_some() => {
                    self.write(Plan::greeting(greeting.tag, Answer::Accepted(*through))).await?;
                }
                Dialect::Extended => {}
                Dialect::Published => self.replay(&reading).await?,
            }
        }
        for row in stretch.rows {
            let met = self.plan.borrow_mut().meet(channel, *wish, &row);
            match met {
                Met::Unwanted => return Ok(()),
                Met::Foreign => self.deliver(row).await?,
                Met::Own(None) => {}
                Met::Own(tag) => self.write(Plan::greeting(tag, Answer::Accepted(row.seq))).await?,
            }
        }
        let caught_up = self.plan.borrow_mut().finish(channel, *wish);
        match caught_up {
            Some(frame) => self.write(frame).await,
            None => Ok(()),
        }
    }

    /// Gives a joiner that cannot ask for them the commits that were made since it was welcomed, and some that were made before,
    /// which it passes over. Which of them count is not judged here: a forged one must not hide the others.
    async fn replay(&self, reading: &Reading) -> Result<(), Stop> {
        let Reading { channel, wish, after, .. } = reading;
        let back = i64::try_from(self.home.retention.replay.as_nanos()).unwrap_or(i64::MAX);
        let since = self.home.clock.wall_nanos().saturating_sub(back);
        let places = self.home.log.commits(channel.as_str(), REPLAYED).await?;
        let mut places = places.into_iter().filter(|place| place <= after).peekable();
        let before_first = places.peek().map(|first| first - 1);
        self.plan.borrow_mut().replays(channel, *wish, before_first);
        // One at a time: together they may be as large as all that a relay has room for.
        for place in places {
            let stretch = self.home.log.read(channel.as_str(), place - 1, *after, 1, BYTES).await?;
            let Some(row) = stretch.rows.into_iter().next().filter(|row| row.seq == place && row.at >= since) else { continue };
            if !self.plan.borrow().stands(channel, *wish) {
                return Ok(());
            }
            self.deliver(row).await?;
        }
        self.plan.borrow_mut().replays(channel, *wish, None);
        Ok(())
    }

    /// Lets a member be told that it cannot go on from its place. The topic has to hear of it too, which the connection tells.
    fn lose(&self, reading: Reading, ends: Ends, answer: Answer) -> Result<(), Stop> {
        let Reading { channel, wish, greeting, .. } = reading;
        if let Some(Greeting { tag, own, .. }) = greeting {
            self.subscriber.do_send(Lost { channel, wish, tag, answer, own });
            return Ok(());
        }
        // Whoever has unsubscribed meanwhile has lost nothing.
        if !self.plan.borrow().stands(&channel, wish) {
            return Ok(());
        }
        Counters::count(&self.home.counters.refused);
        // Its wish was answered long ago, and an answer to nothing would not be understood. Who connects again asks, and is told.
        let oldest = ends.first;
        let why = format!("what comes next in {channel} is no longer kept, the oldest is {oldest}; connect again and ask for the channel");
        Err(Stop::Behind(why))
    }
}

/// Why nobody can go on from a place.
fn refusal(after: u64, ends: Ends, is_resumed: bool) -> Option<Answer> {
    if is_resumed && after > ends.last {
        let detail = format!("the log ends at {}, before {after}: this relay has lost messages or is another one than you knew", ends.last);
        return Some(Answer::refused(Code::BadRequest, detail, ends.last));
    }
    let is_gone = after.saturating_add(1) < ends.first;
    is_gone.then(|| {
        let detail = format!("what came after {after} is no longer kept; the oldest is {}. Join the channel again", ends.first);
        Answer::refused(Code::Behind, detail, ends.first)
    })
}
