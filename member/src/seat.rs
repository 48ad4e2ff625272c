//! One open channel: its core, and the messages that wait to be read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use toq_channels::ChannelName;
use toq_channels::group::{Agent, Group};
use toq_store::member::{ChannelRow, HappeningRow, InRow, MemberStore};

use crate::core::{Core, HAPPENINGS, Step, weight};
use crate::error::{Error, Kind};
use crate::home::Kept;
use crate::settings::Settings;
use crate::shelf::{Shelf, Stretch, Taken};

/// An open channel.
pub(crate) struct Seat {
    pub name: ChannelName,
    pub id: [u8; 32],
    /// The number of the last thing that happened before this seat was opened.
    pub happened_before: u64,
    core: Mutex<Core>,
    shelf: Mutex<Shelf>,
    pub arrived: Notify,
    pub happened: Notify,
    /// How many messages and commits have not reached the relay.
    pub unsent: watch::Sender<usize>,
    /// Whether nothing more leaves from here, unless this member is added again.
    is_out: watch::Sender<bool>,
}

impl Seat {
    /// Reads a channel as the store has it.
    pub(crate) fn load(settings: &Settings, agent: &Agent, store: &MemberStore, row: ChannelRow) -> Result<Self, Error> {
        let mut core = load(settings, agent, store, row)?;
        let first = core.row.next_happening.saturating_sub(HAPPENINGS);
        let happenings = store.happenings(&core.id, first.saturating_sub(1), usize::MAX)?;
        // Everything before the first message that was not read.
        let unread = store.inbox(&core.id, 0, 1, 0)?;
        let read = unread.first().map_or(core.row.octets_in, |(_, row)| row.octets.saturating_sub(weight(&row.payload, &row.sender)));
        core.has_read(read);
        let mut shelf = Shelf::new(core.row.next_in.saturating_sub(1), read, happenings);
        shelf.stands(core.stands());
        Ok(Self {
            name: core.name.clone(),
            id: core.id,
            happened_before: core.row.next_happening.saturating_sub(1),
            unsent: watch::Sender::new(core.unsent()),
            is_out: watch::Sender::new(core.is_out()),
            shelf: Mutex::new(shelf),
            core: Mutex::new(core),
            arrived: Notify::new(),
            happened: Notify::new(),
        })
    }

    /// Whether more messages wait to be read than there is room for.
    pub(crate) fn is_overfull(&self) -> bool {
        let read = self.octets_read();
        let mut core = self.core();
        core.has_read(read);
        core.is_overfull()
    }

    /// What was handed out of the messages, as their rows count it.
    pub(crate) fn octets_read(&self) -> u64 {
        self.shelf().octets_read()
    }

    /// The core, for as long as one decision takes. One that a decision broke may be ahead of what is written, and is read anew.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| {
            let core = poisoned.into_inner();
            core.fuse.store(true, Ordering::SeqCst);
            self.core.clear_poison();
            core
        })
    }

    /// The core, where its state is what the disk has.
    pub(crate) fn sound_core(&self) -> Result<MutexGuard<'_, Core>, Error> {
        let core = self.core();
        if core.gives_way {
            return Err(Error::new(Kind::Storage, format!("{} is just being made or joined again; try again in a moment", self.name)));
        }
        if core.fuse.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Storage, format!("the last change of {} could not be written; try again in a moment", self.name)));
        }
        Ok(core)
    }

    /// Puts the disk's state in place of one that could not be written, if this one could not; tells whether it did. A core that gives
    /// way to another group is left to whoever writes that.
    pub(crate) fn mend(&self, settings: &Settings, agent: &Agent, store: &MemberStore, is_extended: Option<bool>) -> Result<bool, Error> {
        let mut core = self.core();
        if core.gives_way || !core.fuse.load(Ordering::SeqCst) {
            return Ok(false);
        }
        let mut fresh = self.read(settings, agent, store)?;
        if let Some(is_extended) = is_extended {
            fresh.connected(is_extended);
            fresh.resubscribe = true;
        }
        self.put(&mut core, fresh, true);
        Ok(true)
    }

    /// The group that the core gave way to is on the disk, or certainly is not: the core is what the disk has.
    pub(crate) fn succeed(&self, settings: &Settings, agent: &Agent, store: &MemberStore) -> Result<(), Error> {
        let mut core = self.core();
        // Whatever is decided from here on is decided by the next core, or not at all.
        core.fuse.store(true, Ordering::SeqCst);
        core.gives_way = false;
        let fresh = self.read(settings, agent, store)?;
        self.put(&mut core, fresh, false);
        Ok(())
    }

    fn read(&self, settings: &Settings, agent: &Agent, store: &MemberStore) -> Result<Core, Error> {
        let found = store.channels()?.into_iter().find(|(id, _)| *id == self.id);
        let Some((_, row)) = found else { return Err(Error::no_channel(self.name.as_str())) };
        load(settings, agent, store, row)
    }

    fn put(&self, core: &mut Core, mut fresh: Core, is_same_group: bool) {
        // What was decided before and is not written yet never will be.
        core.fuse.store(true, Ordering::SeqCst);
        fresh.inherit(core, is_same_group);
        fresh.has_read(self.octets_read());
        self.shelf().stands(fresh.stands());
        *core = fresh;
        self.is_out.send_replace(core.is_out());
        self.unsent.send_replace(core.unsent());
    }

    /// The changes of a step are on disk: what it promised becomes true. `of` is the fuse of the core that made it.
    pub(crate) fn settle(&self, mut step: Step, of: &Arc<AtomicBool>) {
        let has_news = !step.arrived.is_empty() || !step.happened.is_empty();
        let is_over = {
            let mut shelf = self.shelf();
            shelf.arrived(step.arrived.drain(..));
            shelf.happened(step.happened.drain(..));
            if let Some(stands) = step.stands {
                shelf.stands(stands);
            }
            shelf.is_over()
        };
        if has_news || is_over {
            self.arrived.notify_waiters();
            self.happened.notify_waiters();
        }
        let mut core = self.core();
        core.settle(&mut step, of);
        self.is_out.send_replace(core.is_out());
        self.unsent.send_replace(core.unsent());
    }

    /// Waits until the relay has everything that was said here; `false` where it will not get it as this member stands.
    pub(crate) async fn flushed(&self) -> bool {
        let (mut unsent, mut is_out) = (self.unsent.subscribe(), self.is_out.subscribe());
        tokio::select! {
            biased;
            flushed = unsent.wait_for(|unsent| *unsent == 0) => flushed.is_ok(),
            _ = is_out.wait_for(|is_out| *is_out) => false,
        }
    }

    /// How many messages were not handed out; see [`Shelf::waiting`].
    pub(crate) fn waiting(&self) -> (usize, Option<Stretch>) {
        self.shelf().waiting()
    }

    /// Whether nothing more will come; see [`Shelf::is_over`].
    pub(crate) fn is_over(&self) -> bool {
        self.shelf().is_over()
    }

    /// The next messages; see [`Shelf::take`].
    pub(crate) fn take(&self, most: usize, bytes: usize, more: bool) -> Taken {
        self.shelf().take(most, bytes, more)
    }

    /// Puts messages from the disk into the page; see [`Shelf::fill`].
    pub(crate) fn fill(&self, stretch: Stretch, rows: Vec<(u64, InRow)>) {
        self.shelf().fill(stretch, rows);
    }

    /// Nothing more will be done with what was handed out up to this number.
    pub(crate) fn is_done(&self, n: u64) {
        self.shelf().is_done(n);
    }

    /// Happenings after a number.
    pub(crate) fn happenings(&self, after: u64) -> Vec<(u64, HappeningRow)> {
        self.shelf().happenings(after)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(settings: &Settings, agent: &Agent, store: &MemberStore, row: ChannelRow) -> Result<Core, Error> {
    let name = ChannelName::parse(&row.name)?;
    let group = Group::load(agent, &name, &Kept(store))?;
    let welcomes = store.welcomes(&name.id())?;
    let mut core = Core::new(name, row, group, welcomes);
    let id = core.id;
    store.each_outgoing(&id, |n, row| core.recall(n, row))?;
    core.padding = settings.padding;
    core.pins = Arc::new(settings.pins.clone());
    core.limits.unread = settings.max_unread;
    core.rotate_after = settings.rotate_after;
    core.fuse = Arc::new(AtomicBool::new(false));
    Ok(core)
}
