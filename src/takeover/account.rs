//! What came of a takeover, kept for later: as events, and in a file that `toq doctor` reads.
//!
//! What could not be read is told in the batch of what was read beside it, so that a takeover that was cut short still knows it
//! when it goes on. How much has arrived is counted in the log itself.

use std::path::Path;

use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::record::EventRow;
use toq_store::{Reader, Seq, StoreError};
use toq_vault::{read_private, write_private};

use super::{COMPLAINTS, Report, TakeoverFailure};

/// The file with the report, in the workspace directory.
const FILE: &str = "takeover.json";

/// The events' kinds.
const DONE: &str = "workspace.taken_over";
const LEFT_OUT: &str = "workspace.left_out";

/// How many rows are looked at once.
const PAGE: usize = 512;

/// A report in the making.
pub(super) struct Account {
    /// The report so far.
    pub(super) report: Report,
    /// How many of its complaints are events already.
    told: usize,
    now: Timestamp,
}

impl Account {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { report: Report::default(), told: 0, now }
    }

    /// Takes up what an earlier run has left in the log.
    pub(super) fn resume(&mut self, reader: &Reader) -> Result<(), StoreError> {
        let report = &mut self.report;
        (report.rules, report.requests, report.peers) = (reader.rules()?.len(), reader.approvals()?.len(), reader.peers()?.len());
        let mut place = Seq(0);
        loop {
            let page = reader.messages_after(place, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            place = *last;
            report.messages += page.len();
        }
        let events = reader.events_after(Seq(0), PAGE)?.into_iter().map(|(_, event)| event);
        report.left_out.extend(events.filter(|event| event.kind == LEFT_OUT).map(|event| event.subject).take(COMPLAINTS));
        self.told = report.left_out.len();
        Ok(())
    }

    /// The events of what could not be read and is not told yet.
    pub(super) fn complaints(&mut self) -> Vec<Change> {
        let untold = self.report.left_out.iter().skip(self.told);
        let events = untold.map(|complaint| self.happened(LEFT_OUT, complaint.clone(), None)).collect();
        self.told = self.report.left_out.len();
        events
    }

    /// The event of the end.
    pub(super) fn event(&self) -> Change {
        let left_out = self.report.left_out.len() + self.report.more_left_out;
        self.happened(DONE, "published".to_owned(), Some(format!("{}, left out: {left_out}", self.report.counts())))
    }

    /// Writes the report where it is found later.
    pub(super) fn keep(&self, dir: &Path) -> Result<(), TakeoverFailure> {
        let content = serde_json::to_vec_pretty(&self.report).expect("texts and numbers always serialise");
        Ok(write_private(&dir.join(FILE), &content)?)
    }

    fn happened(&self, kind: &str, subject: String, reason: Option<String>) -> Change {
        Change::Event(EventRow { kind: kind.to_owned(), subject, address: None, reason, timestamp: self.now.as_nanos() })
    }
}

impl Report {
    /// How much was taken over, in words.
    pub fn counts(&self) -> String {
        let Self { rules, requests, peers, messages, .. } = self;
        format!("rules: {rules}, pending approvals: {requests}, peers: {peers}, messages: {messages}")
    }
}

/// The report of a takeover that is done; nothing where there was none or its file is gone.
pub fn kept(dir: &Path) -> Option<Report> {
    read_private(&dir.join(FILE)).ok().flatten().and_then(|content| serde_json::from_slice(&content).ok())
}
