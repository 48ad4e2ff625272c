//! How fast peers may send: what a batch costs, and the note about one that is muted.

use std::collections::HashSet;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_config::LimitsConfig;
use toq_protocol::rate::{Arrival, Limits, Rate, Toll};
use toq_store::Batch;
use toq_store::batch::Change;
use toq_store::record::EventRow;

use super::{Deliver, Workspace};
use crate::thread::ThreadKey;

pub(super) const fn limits(config: &LimitsConfig) -> Limits {
    Limits {
        peer: Rate { messages: config.messages_per_second_per_peer, bytes: config.bytes_per_second_per_peer },
        source: Rate { messages: config.messages_per_second_per_source, bytes: config.bytes_per_second_per_source },
        all: Rate { messages: config.messages_per_second, bytes: config.bytes_per_second },
        threads_per_hour: config.new_threads_per_hour_per_peer,
        mute: config.mute,
    }
}

impl Workspace {
    /// Counts a batch.
    pub(super) fn toll(&mut self, deliver: &Deliver, ctx: &mut Context<Self>) -> Toll {
        let bytes: usize = deliver.envelopes.iter().map(|envelope| envelope.body.as_ref().map_or(0, |body| body.as_str().len())).sum();
        let arrival = Arrival {
            key: deliver.peer,
            address: &deliver.address,
            source: deliver.source,
            messages: deliver.envelopes.len() as u64,
            bytes: bytes as u64,
            threads: self.threads_begun(deliver),
        };
        let toll = self.tolls.take(&arrival, self.home.clock.monotonic());
        if let Toll::Mute(pause) = toll {
            self.note_muted(deliver, pause.as_secs(), ctx);
        }
        toll
    }

    /// How many conversations begin with a batch, or are taken up again after a rest.
    fn threads_begun(&self, deliver: &Deliver) -> u64 {
        let ids: HashSet<&String> = deliver.envelopes.iter().filter_map(|envelope| envelope.thread_id.as_ref()).collect();
        ids.into_iter().filter(|id| self.threads.find(&ThreadKey { id: (*id).clone() }).is_none()).count() as u64
    }

    fn note_muted(&self, deliver: &Deliver, seconds: u64, ctx: &mut Context<Self>) {
        tracing::warn!(peer = %deliver.peer.short(), seconds, "a peer keeps sending too fast and is not heard for a while");
        let event = EventRow {
            kind: "peer.muted".to_owned(),
            subject: deliver.peer.to_string(),
            address: Some(deliver.address.wire()),
            reason: Some(format!("it kept sending too fast; it is not heard for {seconds} s")),
            timestamp: self.home.wall().as_nanos(),
        };
        let journal = self.home.store.journal().clone();
        let committing = async move { journal.commit(Batch::new(vec![Change::Event(event)])).await };
        ctx.spawn(committing.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::error!(%error, "that a peer is muted could not be noted");
            }
        }));
    }
}
