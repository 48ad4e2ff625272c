//! What was decided, until it is on the disk.

use tokio::sync::oneshot;
use toq_store::member::{Change, HappeningRow, InRow, Standing};

/// How a member stands, for those who read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stands {
    pub standing: Standing,
    /// The number of the last message that came before it stood so.
    pub last: u64,
    /// Which of two is the later one.
    pub tick: u64,
}

/// What becomes true when its changes are on disk.
#[derive(Default)]
pub(crate) struct Step {
    pub changes: Vec<Change>,
    pub arrived: Vec<(u64, InRow)>,
    pub happened: Vec<(u64, HappeningRow)>,
    pub(super) answers: Vec<Box<dyn FnOnce() + Send>>,
    pub(super) sealed: Vec<u64>,
    /// How the member stands from here on.
    pub stands: Option<Stands>,
    /// Where in the changes the channel's row is; it is written once.
    pub(super) stands_at: Option<usize>,
}

impl Step {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.answers.is_empty() && self.arrived.is_empty()
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        self.stands_at = None;
        std::mem::take(&mut self.changes)
    }

    pub(super) fn answer<T: Send + 'static>(&mut self, to: Option<oneshot::Sender<T>>, value: T) {
        if let Some(to) = to {
            self.answers.push(Box::new(move || drop(to.send(value))));
        }
    }
}
