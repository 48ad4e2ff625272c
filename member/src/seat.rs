//! One open channel: its core, and the messages that wait to be read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use toq_channels::ChannelName;
use toq_channels::group::{Agent, Group};
use toq_store::member::{ChannelRow, HappeningRow, InRow, MemberStore};

use crate::core::{Core, HAPPENINGS, Step};
use crate::error::{Error, Kind};
use crate::home::Kept;
use crate::settings::Settings;

/// How many messages are kept at hand; the others are read from the disk when their turn comes.
const PAGE: usize = 512;

/// An open channel.
pub(crate) struct Seat {
    pub name: ChannelName,
    pub id: [u8; 32],
    core: Mutex<Core>,
    shelf: Mutex<Shelf>,
    pub arrived: Notify,
    pub happened: Notify,
    /// How many messages and commits have not reached the relay.
    pub unsent: watch::Sender<usize>,
}

/// The messages at hand.
#[derive(Default)]
struct Shelf {
    page: VecDeque<(u64, InRow)>,
    /// The last number that was put into the page.
    read_to: u64,
    /// The last number that is on the disk.
    newest: u64,
    /// What was handed out last, and is done with when the next is asked for.
    at: Option<u64>,
    happenings: VecDeque<(u64, HappeningRow)>,
}

/// What a reader gets.
pub(crate) enum Taken {
    /// Messages, and the number up to which earlier ones are done with.
    Messages(Vec<(u64, InRow)>, Option<u64>),
    /// The page is empty; there is more on the disk after this number.
    ReadAfter(u64),
    /// There is nothing; the number is as above.
    Nothing(Option<u64>),
}

impl Seat {
    /// Reads a channel as the store has it.
    pub(crate) fn load(settings: &Settings, agent: &Agent, store: &MemberStore, row: ChannelRow) -> Result<Self, Error> {
        let core = load(settings, agent, store, row)?;
        let newest = core.row.next_in - 1;
        let mut shelf = Shelf { newest, ..Shelf::default() };
        let first = core.row.next_happening.saturating_sub(HAPPENINGS);
        shelf.happenings.extend(store.happenings(&core.id, first.saturating_sub(1), usize::MAX)?);
        Ok(Self {
            name: core.name.clone(),
            id: core.id,
            unsent: watch::Sender::new(core.unsent()),
            core: Mutex::new(core),
            shelf: Mutex::new(shelf),
            arrived: Notify::new(),
            happened: Notify::new(),
        })
    }

    /// The core, for as long as one decision takes.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The core, where its state is what the disk has.
    pub(crate) fn sound_core(&self) -> Result<MutexGuard<'_, Core>, Error> {
        let core = self.core();
        if core.fuse.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Storage, format!("the last change of {} could not be written; try again in a moment", self.name)));
        }
        Ok(core)
    }

    /// Puts the disk's state in place of one that could not be written.
    pub(crate) fn reload(&self, settings: &Settings, agent: &Agent, store: &MemberStore, is_extended: Option<bool>) -> Result<(), Error> {
        let mut core = self.core();
        let found = store.channels()?.into_iter().find(|(id, _)| *id == self.id);
        let Some((_, row)) = found else { return Err(Error::no_channel(self.name.as_str())) };
        let mut fresh = load(settings, agent, store, row)?;
        if let Some(is_extended) = is_extended {
            fresh.connected(is_extended);
            fresh.resubscribe = true;
        }
        *core = fresh;
        Ok(())
    }

    /// The changes of a step are on disk: what it promised becomes true.
    pub(crate) fn settle(&self, mut step: Step) {
        if !step.arrived.is_empty() || !step.happened.is_empty() {
            let mut shelf = self.shelf();
            for (n, row) in step.arrived.drain(..) {
                shelf.newest = n;
                if shelf.read_to + 1 == n && shelf.page.len() < PAGE {
                    shelf.read_to = n;
                    shelf.page.push_back((n, row));
                }
            }
            for happened in step.happened.drain(..) {
                shelf.happenings.push_back(happened);
                if shelf.happenings.len() > usize::try_from(HAPPENINGS).unwrap_or(1000) {
                    shelf.happenings.pop_front();
                }
            }
            drop(shelf);
            self.arrived.notify_waiters();
            self.happened.notify_waiters();
        }
        let mut core = self.core();
        core.settle(&mut step);
        self.unsent.send_replace(core.unsent());
    }

    /// Whether there is a message that was not handed out.
    pub(crate) fn has_more(&self) -> bool {
        let shelf = self.shelf();
        !shelf.page.is_empty() || shelf.newest > shelf.read_to
    }

    /// The next messages, at most `most`. What was handed out before is done with, unless these are `more` of the same.
    pub(crate) fn take(&self, most: usize, more: bool) -> Taken {
        let mut shelf = self.shelf();
        if shelf.page.is_empty() && shelf.newest > shelf.read_to {
            return Taken::ReadAfter(shelf.read_to);
        }
        let done = if more { None } else { shelf.at.take() };
        let most = most.min(shelf.page.len());
        let rows: Vec<_> = shelf.page.drain(..most).collect();
        match rows.last() {
            Some((n, _)) => {
                shelf.at = Some(*n);
                Taken::Messages(rows, done)
            }
            None => Taken::Nothing(done),
        }
    }

    /// Puts messages from the disk into the page, which was empty after `after`.
    pub(crate) fn fill(&self, after: u64, rows: Vec<(u64, InRow)>) {
        let mut shelf = self.shelf();
        if shelf.read_to != after || !shelf.page.is_empty() {
            return;
        }
        // Rows that are not there any more were read before the last restart.
        shelf.read_to = rows.last().map_or(shelf.newest, |(n, _)| *n);
        shelf.page.extend(rows);
    }

    /// Nothing more will be done with what was handed out up to this number.
    pub(crate) fn is_done(&self, n: u64) {
        let mut shelf = self.shelf();
        if shelf.at == Some(n) {
            shelf.at = None;
        }
    }

    /// Happenings after a number.
    pub(crate) fn happenings(&self, after: u64) -> Vec<(u64, HappeningRow)> {
        self.shelf().happenings.iter().filter(|(n, _)| *n > after).cloned().collect()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(settings: &Settings, agent: &Agent, store: &MemberStore, row: ChannelRow) -> Result<Core, Error> {
    let name = ChannelName::parse(&row.name)?;
    let group = Group::load(agent, &name, &Kept(store))?;
    let outbox = store.outbox(&name.id(), 0, usize::MAX)?;
    let mut core = Core::new(name, row, group, outbox);
    core.padding = settings.padding;
    core.rotate_after = settings.rotate_after;
    core.fuse = Arc::new(AtomicBool::new(false));
    Ok(core)
}
