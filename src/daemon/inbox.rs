//! The messages for one program of the owner, one after the other, with a durable place.
//!
//! A message is handed out while its sender is heard. One whose sender is not any more is set aside, and one that nobody can read
//! is noted, so that neither holds up those behind it.

use std::collections::VecDeque;

use tokio::sync::watch;
use toq_actors::workspace::Consume;
use toq_actors::{Hearing, WorkspaceRef};
use toq_kit::ask;
use toq_store::record::{Direction, MessageRow};
use toq_store::{Seq, StoreError};

/// How many rows are read at once.
const PAGE: usize = 64;

/// Why a message was not handed out or its end not kept, and never for the message's own sake.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The workspace does not answer.
    #[error("the workspace does not answer")]
    Gone,
    /// The consumer was removed.
    #[error("its place in the log was removed")]
    Forgotten,
    /// A commit failed.
    #[error("nothing can be stored: {0}")]
    Unstored(String),
    /// The log cannot be read.
    #[error(transparent)]
    Unread(#[from] StoreError),
}

/// The messages for one program. After an error it is opened again: what is not confirmed comes again.
pub struct Inbox {
    workspace: WorkspaceRef,
    consumer: &'static str,
    cursor: Seq,
    tail: watch::Receiver<Seq>,
    page: VecDeque<(Seq, MessageRow)>,
}

impl Inbox {
    /// Goes on from the consumer's place, or begins at the end of the log.
    ///
    /// # Errors
    /// [`InboxError`]; another try may succeed.
    pub async fn open(workspace: &WorkspaceRef, consumer: &'static str) -> Result<Self, InboxError> {
        let reader = workspace.home.store.reader();
        let inbox = Self { workspace: workspace.clone(), consumer, cursor: Seq(0), tail: reader.watch(), page: VecDeque::new() };
        inbox.consume(Consume::Begin(consumer.to_owned(), reader.last())).await?;
        let place = reader.consumer(consumer)?.ok_or(InboxError::Forgotten)?;
        Ok(Self { cursor: Seq(place.low_water), ..inbox })
    }

    /// The next message that is not confirmed; `None` when there will be no more.
    ///
    /// # Errors
    /// [`InboxError`]; the message comes again when this is opened again.
    pub async fn next(&mut self) -> Result<Option<(Seq, MessageRow)>, InboxError> {
        loop {
            while let Some((seq, row)) = self.page.pop_front() {
                if row.direction() == Direction::In && self.is_open(seq)? && self.hears(seq, &row).await? {
                    return Ok(Some((seq, row)));
                }
            }
            let newest = *self.tail.borrow_and_update();
            if self.cursor >= newest {
                if self.tail.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            self.page = self.workspace.home.store.reader().messages_after(self.cursor, PAGE)?.into();
            // Where there is no message up to the end as it was, only events lie between.
            self.cursor = self.page.back().map_or(newest, |(seq, _)| *seq);
        }
    }

    /// Whether a message may be handed out now; one that may not is put where it holds up nobody.
    ///
    /// # Errors
    /// [`InboxError`] where that cannot be stored.
    pub async fn hears(&self, seq: Seq, row: &MessageRow) -> Result<bool, InboxError> {
        let hearing = Hearing::of(&self.workspace.home.policy.borrow(), row);
        match hearing {
            Hearing::Heard => return Ok(true),
            Hearing::Silenced(why) => self.set_aside(seq, why).await?,
            Hearing::Unreadable => {
                tracing::error!(place = %seq, "a row of the log cannot be read; it stays where it is");
                self.consume(Consume::Unreadable(Some(self.consumer.to_owned()), vec![seq])).await?;
            }
        }
        Ok(false)
    }

    /// Counts that a message is handed out, before it is. Returns how often it was.
    ///
    /// # Errors
    /// [`InboxError`] where that cannot be stored.
    pub async fn offer(&self, seq: Seq) -> Result<u32, InboxError> {
        self.consume(Consume::Offer(self.consumer.to_owned(), vec![seq])).await?;
        Ok(self.workspace.home.store.reader().offers(self.consumer, seq)?)
    }

    /// The program has the message.
    ///
    /// # Errors
    /// [`InboxError`] where that cannot be stored.
    pub async fn confirm(&self, seq: Seq) -> Result<(), InboxError> {
        self.consume(Consume::Confirm(self.consumer.to_owned(), vec![seq])).await
    }

    /// The program does not get the message, for this reason; its owner is told.
    ///
    /// # Errors
    /// [`InboxError`] where that cannot be stored.
    pub async fn set_aside(&self, seq: Seq, why: &str) -> Result<(), InboxError> {
        self.consume(Consume::SetAside(self.consumer.to_owned(), vec![seq], why.to_owned())).await
    }

    fn is_open(&self, seq: Seq) -> Result<bool, InboxError> {
        let place = self.workspace.home.store.reader().consumer(self.consumer)?.ok_or(InboxError::Forgotten)?;
        Ok(place.is_open(seq.0))
    }

    async fn consume(&self, command: Consume) -> Result<(), InboxError> {
        let done = ask(&self.workspace.address(), command).await.map_err(|_| InboxError::Gone)?;
        done.map_err(|error| InboxError::Unstored(error.to_string()))
    }
}
