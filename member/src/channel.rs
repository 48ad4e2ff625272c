//! What a program does with a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use toq_channels::group::{Admission, Group, Member};
use toq_store::member::{Change, Standing, WriteSlot};

use crate::chance::Now;
use crate::client::Client;
use crate::core::{Core, Step, Wish};
use crate::deed::{add, wish, with_core};
use crate::error::{Error, Kind};
use crate::received::{Happening, Message, happening, message};
use crate::seat::Seat;
use crate::shelf::{Stretch, Taken};

/// How many messages are read from the disk at once.
const PAGE: usize = 128;

/// How many bytes a caller is given at once; one message may be longer.
const DRAINED: usize = 16 << 20;

/// The label of the audit key.
const AUDIT: &str = "skytale audit key";

/// A channel of a member.
#[derive(Clone)]
pub struct Channel {
    client: Client,
    seat: Arc<Seat>,
    told: Arc<AtomicU64>,
}

/// What becomes of the messages that were handed out before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// They are done with.
    IsDone,
    /// Somebody else says when they are.
    Stays,
}

/// Which member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one at this leaf, whoever that is by now.
    Leaf(u32),
    /// The one that had this leaf with this signature key, as [`Channel::members`] says; nobody who came to the leaf after it.
    Member {
        /// The leaf.
        leaf: u32,
        /// [`Member::signature_key`].
        key: Vec<u8>,
    },
    /// Those of this identity.
    Identity(Vec<u8>),
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Channel").field(&self.seat.name.as_str()).finish()
    }
}

impl Channel {
    pub(crate) fn new(client: Client, seat: Arc<Seat>) -> Self {
        Self { client, seat, told: Arc::default() }
    }

    /// Its name, `org/namespace/service`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.seat.name.as_str()
    }

    /// The number of changes of the group so far.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.seat.core().epoch()
    }

    /// Whom the channel takes in.
    #[must_use]
    pub fn admission(&self) -> Admission {
        if self.seat.core().row.proven { Admission::Proven } else { Admission::Any }
    }

    /// How this member stands in it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.seat.core().row.standing
    }

    /// Says something to all members. It is kept when this returns, and sent as soon as the relay is there.
    ///
    /// # Errors
    /// [`Kind::TooLarge`] above 262,144 bytes; [`Kind::Refused`] where this member is out; [`Kind::Quota`] where 100,000 messages or 256 MiB
    /// wait already;
    /// [`Kind::Storage`].
    pub async fn send(&self, payload: &[u8]) -> Result<(), Error> {
        self.say(payload, None).await
    }

    /// Says something, and waits until the relay has it; returns its place in the log, 0 where the relay names none.
    ///
    /// # Errors
    /// As [`Channel::send`]; [`Kind::TimedOut`] where the relay does not have it in time. It is sent later all the same.
    pub async fn send_and_wait(&self, payload: &[u8], timeout: Duration) -> Result<u64, Error> {
        let (waiter, place) = oneshot::channel();
        self.say(payload, Some(waiter)).await?;
        match tokio::time::timeout(timeout, place).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => Err(Error::closed()),
            Err(_) => {
                let text = format!("the relay has not confirmed the message within {timeout:?}; it is kept and sent as soon as possible");
                Err(Error::new(Kind::TimedOut, text))
            }
        }
    }

    /// Waits until the relay has everything that was said here; `false` where it has not in time, or will not get it as this member stands.
    pub async fn flush(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.seat.flushed()).await.unwrap_or(false)
    }

    /// The next message; `None` where none came in time. `None` as `timeout` waits for ever.
    ///
    /// A message is done with when the next one is asked for; until then it comes again after a crash.
    ///
    /// # Errors
    /// [`Kind::Runtime`] where the client was closed, [`Kind::Storage`]. [`Kind::Refused`], as [`Channel::send`] has it, where this member is
    /// out, has left, or is too far behind, and everything that came before was handed out.
    pub async fn next(&self, timeout: Option<Duration>) -> Result<Option<Message>, Error> {
        let wait = self.wait_for_next(1, Before::IsDone);
        let messages = match timeout {
            None => wait.await?,
            // What is here is given even where there is no time to wait.
            Some(timeout) => tokio::time::timeout(timeout, wait).await.unwrap_or_else(|_| Ok(Vec::new()))?,
        };
        Ok(messages.into_iter().next())
    }

    /// Waits until there is a message, which is not taken, or until none can come any more; `false` where none came in time, or the
    /// client was closed.
    pub async fn arrived(&self, timeout: Duration) -> bool {
        let found = tokio::time::timeout(timeout, async {
            loop {
                let arrived = self.seat.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                match self.seat.waiting() {
                    (0, _) if *self.client.0.inner.closing.borrow() => return false,
                    // Whoever asks for messages is told why none will come.
                    (0, _) if self.seat.is_over() => return true,
                    (0, _) => arrived.await,
                    // Who asks for the messages is told why they cannot be read.
                    (_, Some(stretch)) if self.read(stretch).is_err() => return true,
                    (_, Some(_)) => {}
                    (_, None) => return true,
                }
            }
        });
        found.await.unwrap_or(false)
    }

    /// How many messages are here that were not handed out. Exact once [`Channel::arrived`] has said that there are some.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.seat.waiting().0
    }

    /// All messages that are here, at most `most` and about 16 MiB; waits up to `timeout` for the first. They are done with when the next are asked for.
    ///
    /// # Errors
    /// As [`Channel::next`].
    pub async fn drain(&self, timeout: Duration, most: usize) -> Result<Vec<Message>, Error> {
        let first = tokio::time::timeout(timeout, self.wait_for_next(most, Before::IsDone)).await;
        Ok(self.and_more(first.unwrap_or_else(|_| Ok(Vec::new()))?, most))
    }

    /// As [`Channel::drain`], waiting for the first for as long as it takes, but nothing is done with before [`Channel::settle`] or
    /// [`Channel::settle_soon`] says so: for who keeps account of what it has handed on. Whoever stops waiting takes no message with him.
    ///
    /// # Errors
    /// As [`Channel::next`].
    pub async fn take(&self, most: usize) -> Result<Vec<Message>, Error> {
        let first = self.wait_for_next(most, Before::Stays).await?;
        let messages = self.and_more(first, most);
        if let Some(last) = messages.last() {
            self.seat.is_done(last.n);
        }
        Ok(messages)
    }

    /// Adds to some messages those behind them that are here.
    fn and_more(&self, mut messages: Vec<Message>, most: usize) -> Vec<Message> {
        while !messages.is_empty() && messages.len() < most {
            let bytes: usize = messages.iter().map(|message| message.payload.len() + message.sender.len()).sum();
            match self.seat.take(most - messages.len(), DRAINED.saturating_sub(bytes), true) {
                Taken::Messages(rows, _) => messages.extend(rows.into_iter().map(message)),
                // Whoever asks next meets the same error; what was taken already must not be lost by it.
                Taken::Read(stretch) if self.read(stretch).is_err() => break,
                Taken::Read(_) => {}
                Taken::Nothing(_) | Taken::Over(_) => break,
            }
        }
        messages
    }

    /// A message is done with, and so are those before it: they do not come again.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn settle(&self, n: u64) -> Result<(), Error> {
        self.seat.is_done(n);
        Ok(self.client.0.inner.store()?.commit(vec![Change::Consume(self.seat.id, n)]).await?)
    }

    /// The same, without waiting until it is on the disk: if it is lost, the messages come twice.
    ///
    /// # Errors
    /// [`Kind::Runtime`] where the client was closed.
    pub async fn settle_soon(&self, n: u64) -> Result<(), Error> {
        let slot = self.client.0.inner.store()?.slot().await?;
        self.seat.is_done(n);
        self.consume(slot, Some(n));
        Ok(())
    }

    /// The number of the last thing that happened here before the client was opened; 0 for none.
    #[must_use]
    pub fn happened_before(&self) -> u64 {
        self.seat.happened_before
    }

    /// What happened since this was last asked here; waits up to `timeout` for something.
    pub async fn events(&self, timeout: Duration) -> Vec<Happening> {
        let found = tokio::time::timeout(timeout, async {
            loop {
                let happened = self.seat.happened.notified();
                tokio::pin!(happened);
                happened.as_mut().enable();
                let found = self.seat.happenings(self.told.load(Ordering::SeqCst));
                if !found.is_empty() || *self.client.0.inner.closing.borrow() {
                    return found;
                }
                happened.await;
            }
        });
        let found = found.await.unwrap_or_default();
        if let Some((n, _)) = found.last() {
            self.told.fetch_max(*n, Ordering::SeqCst);
        }
        found.into_iter().map(happening).collect()
    }

    /// The members, in the order of their leaves.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.seat.core().group.as_ref().map(|group| group.members().to_vec()).unwrap_or_default()
    }

    /// Adds whoever made this key package; returns the Welcome for it, once the change is made. Who was a member with the
    /// same keys and lost its state comes back in its own place.
    ///
    /// The Welcome is kept until the newcomer was heard of. Where this call timed out, or its process ended, a call with the same key
    /// package gives the Welcome of the change that was made meanwhile.
    ///
    /// # Errors
    /// [`Kind::Mls`] for a key package that is damaged, expired or was used here before; [`Kind::Refused`] without the right, and where
    /// its maker is pinned to another key; [`Kind::Transport`] where the relay does not settle it in time.
    pub async fn add_member(&self, key_package: &[u8]) -> Result<Vec<u8>, Error> {
        self.add_members(vec![key_package.to_vec()]).await
    }

    /// Adds several members with one change. The Welcome is for all of them.
    ///
    /// # Errors
    /// As [`Channel::add_member`]; nobody is added then.
    pub async fn add_members(&self, key_packages: Vec<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let welcome = add(&self.client.0.inner, &self.seat, key_packages).await?;
        self.seat.core().hand_over(&welcome);
        Ok(welcome)
    }

    /// Removes members. What is said after this returns is not for them.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is no such member, [`Kind::Refused`] without the right and for oneself, who [leaves](Channel::leave),
    /// [`Kind::Transport`] where the relay does not settle it in time.
    pub async fn remove_member(&self, who: &Who) -> Result<(), Error> {
        let members = self.members();
        let is_meant = |member: &&Member| match who {
            Who::Leaf(leaf) => member.index == *leaf,
            Who::Member { leaf, key } => member.index == *leaf && member.signature_key == *key,
            Who::Identity(identity) => member.identity == *identity,
        };
        let leaves: Vec<_> = members
            .iter()
            .filter(is_meant)
            .filter(|member| !member.me)
            .map(|member| (member.index, member.signature_key.clone()))
            .collect();
        if leaves.is_empty() && members.iter().any(|member| member.me && is_meant(&member)) {
            return Err(Error::new(Kind::Refused, format!("a member does not remove itself from {}; leave() takes it out", self.name())));
        }
        if leaves.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("{} has no such member; look at its members", self.name())));
        }
        self.wish(Wish::Remove(leaves)).await.map(drop)
    }

    /// Takes new keys, so that a stolen copy of the state is of no more use.
    ///
    /// # Errors
    /// [`Kind::Transport`] where the relay does not settle it in time, [`Kind::Refused`] where this member is out.
    pub async fn rotate_key(&self) -> Result<(), Error> {
        self.wish(Wish::Rotate).await.map(drop)
    }

    /// Leaves the channel. Another member makes it effective; from now on this one sends nothing.
    ///
    /// # Errors
    /// [`Kind::Refused`] where this member must not leave: it is the last owner and there are others. [`Kind::Transport`] where the relay
    /// does not have it in time.
    pub async fn leave(&self) -> Result<(), Error> {
        self.wish(Wish::Leave).await.map(drop)
    }

    /// A secret of 32 bytes that all members of this epoch have.
    ///
    /// # Errors
    /// [`Kind::Refused`] where this member is out.
    pub fn export_audit_key(&self) -> Result<[u8; 32], Error> {
        let core = self.seat.core();
        let group =
            core.group.as_ref().ok_or_else(|| Error::new(Kind::Refused, format!("this member is not in {} any more", self.name())))?;
        let secret = group.exporter(AUDIT, b"", 32)?;
        secret.as_slice().try_into().map_err(|_| Error::new(Kind::Mls, "the secret has another length"))
    }

    /// What two members compare to know that they are in the same epoch of the same group (RFC 9420, section 8.7).
    ///
    /// # Errors
    /// [`Kind::Refused`] where this member is out.
    pub fn authenticator(&self) -> Result<Vec<u8>, Error> {
        let core = self.seat.core();
        let group: Option<&Group> = core.group.as_ref();
        let group = group.ok_or_else(|| Error::new(Kind::Refused, format!("this member is not in {} any more", self.name())))?;
        Ok(group.authenticator()?)
    }

    /// Makes an invite: a token by which somebody joins through the API server, `max_uses` times within `ttl`.
    ///
    /// # Errors
    /// [`Kind::Refused`] where there is no API server; the API server's.
    pub async fn invite(&self, max_uses: u32, ttl: Duration) -> Result<String, Error> {
        crate::invites::invite(&self.client.0.inner, &self.seat, max_uses, ttl).await
    }

    async fn say(&self, payload: &[u8], waiter: Option<oneshot::Sender<Result<u64, Error>>>) -> Result<(), Error> {
        self.with_core(|core, now| core.say(payload, waiter, now).map(|(_, step)| step)).await
    }

    async fn with_core(&self, decide: impl FnOnce(&mut Core, Now) -> Result<Step, Error>) -> Result<(), Error> {
        with_core(&self.client.0.inner, &self.seat, decide).await
    }

    async fn wish(&self, wanted: Wish) -> Result<Option<Vec<u8>>, Error> {
        wish(&self.client.0.inner, &self.seat, wanted).await
    }

    /// Whoever stops waiting takes no message with him: between taking and returning nothing is waited for.
    async fn wait_for_next(&self, most: usize, before: Before) -> Result<Vec<Message>, Error> {
        loop {
            let arrived = self.seat.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let store = self.client.0.inner.store()?;
            let slot = if before == Before::IsDone { Some(store.slot().await?) } else { None };
            let consume = |done| {
                if let Some(slot) = slot {
                    self.consume(slot, done);
                }
            };
            match self.seat.take(most, DRAINED, false) {
                Taken::Messages(rows, done) => {
                    consume(done);
                    return Ok(rows.into_iter().map(message).collect());
                }
                Taken::Read(stretch) => {
                    drop(consume);
                    self.read(stretch)?;
                    continue;
                }
                Taken::Over(done) => {
                    consume(done);
                    let error = self.seat.core().may_act().err();
                    if let Some(error) = error {
                        return Err(error);
                    }
                }
                Taken::Nothing(done) => consume(done),
            }
            arrived.await;
        }
    }

    fn read(&self, stretch: Stretch) -> Result<(), Error> {
        let rows = self.client.0.inner.store()?.inbox(&self.seat.id, stretch.after, PAGE, DRAINED)?;
        self.seat.fill(stretch, rows);
        Ok(())
    }

    /// Forgets what was read. Nobody waits for that: if it is lost, a message comes twice.
    fn consume(&self, slot: WriteSlot, done: Option<u64>) {
        if let Some(n) = done {
            drop(slot.commit(vec![Change::Consume(self.seat.id, n)], Arc::default()));
        }
    }
}

#[cfg(test)]
mod trials;
