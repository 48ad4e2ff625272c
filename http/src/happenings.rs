//! Following what happened: the events of the log, a page at a time.
//!
//! Nothing is read ahead of the reader but one page, and a long log in which nothing is wanted lets the others on this thread
//! have their turn: whoever may read events may not stop the workspace by it.

use std::collections::VecDeque;

use tokio::sync::watch;
use toq_api::EventView;
use toq_store::{Reader, Seq};

use crate::view;

/// How many events are read at once.
const PAGE: usize = 64;

/// Follows what happened.
pub(crate) struct Happenings {
    reader: Reader,
    wanted: Option<String>,
    cursor: Seq,
    tail: watch::Receiver<Seq>,
    ready: VecDeque<(Seq, EventView)>,
}

impl Happenings {
    /// Follows events from after a place; of one kind, where `wanted` names it.
    pub(crate) fn new(reader: Reader, wanted: Option<String>, after: Seq) -> Self {
        let mut tail = reader.watch();
        tail.mark_changed();
        Self { reader, wanted, cursor: after, tail, ready: VecDeque::new() }
    }

    /// The next event and its place; `None` where the log cannot be read any more.
    pub(crate) async fn next(&mut self) -> Option<(Seq, EventView)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.tail.changed().await.ok()?;
            self.read()?;
            if self.ready.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn read(&mut self) -> Option<()> {
        let rows = self.reader.events_after(self.cursor, PAGE);
        let rows = rows.inspect_err(|error| tracing::error!(%error, "a stream of events ended")).ok()?;
        if rows.len() == PAGE {
            self.tail.mark_changed();
        }
        for (seq, row) in rows {
            self.cursor = seq;
            let is_wanted = |shown: &EventView| self.wanted.as_deref().is_none_or(|kind| shown.kind.as_str() == kind);
            self.ready.extend(view::happened(&row).filter(is_wanted).map(|shown| (seq, shown)));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use toq_store::batch::Change;
    use toq_store::record::EventRow;
    use toq_store::{Batch, Store};

    use super::*;

    async fn with_events(count: u64) -> Store {
        let store = Store::in_memory().expect("memory");
        let event = |number: u64| EventRow {
            kind: "message.delivered".into(),
            subject: number.to_string(),
            address: None,
            reason: None,
            timestamp: 0,
        };
        let events = (1..=count).map(|number| Change::Event(event(number))).collect();
        store.journal().commit(Batch::new(events)).await.expect("committed");
        store
    }

    #[tokio::test]
    async fn one_page_is_read_ahead_and_every_event_comes_in_order() {
        let store = with_events(1_000).await;
        let mut happenings = Happenings::new(store.reader().clone(), None, Seq(0));

        for number in 1..=1_000 {
            let (seq, event) = happenings.next().await.expect("there");
            assert_eq!((seq, event.id), (Seq(number), number.to_string()));
            assert!(happenings.ready.len() < PAGE, "{}", happenings.ready.len());
        }
    }

    #[tokio::test]
    async fn a_long_log_without_anything_wanted_is_read_in_turns() {
        let store = with_events(1_000).await;
        let mut happenings = Happenings::new(store.reader().clone(), Some("message.expired".to_owned()), Seq(0));

        let polled = pin!(happenings.next()).poll(&mut Context::from_waker(Waker::noop()));

        assert!(matches!(polled, Poll::Pending));
        assert_eq!(happenings.cursor, Seq(PAGE as u64));
    }
}
