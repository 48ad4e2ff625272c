//! What was decided, for the record: appended in the batch of the decision where there is one.
//!
//! The owner decides through the API, with a credential that nothing has which a message drives. What is changed in
//! files behind our back is noticed at the next start: the state of settings, handlers and key is compared with what was last
//! recorded.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseFuture, WrapFuture as _};
use toq_config::HandlerConfig;
use toq_protocol::audit::digest;
use toq_protocol::key::PeerKey;
use toq_store::Batch;
use toq_store::audit::AuditRow;
use toq_store::batch::Change;

use super::{Workspace, WorkspaceError};

/// Who decides through the API and the commands.
pub(super) const OWNER: &str = "owner";

/// Who finds at a start how things are.
const DAEMON: &str = "daemon";

/// Record a decision of the owner that is not one about rules or keys; answers when it is on disk.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<(), WorkspaceError>")]
pub struct Record {
    /// What was done, in one word.
    pub what: &'static str,
    /// To whom or what.
    pub subject: String,
    /// How, without any secret.
    pub detail: Option<String>,
}

impl Workspace {
    pub(super) fn recorded(&self, who: &str, what: &str, subject: &dyn std::fmt::Display) -> AuditRow {
        AuditRow::new(self.home.wall(), who, what, subject)
    }

    /// The record of a key of ours that replaced another.
    pub(super) fn recorded_key(&self, old: &PeerKey, new: &PeerKey) -> Change {
        Change::AuditState("key", *new.as_bytes(), AuditRow::key_rotated(self.home.wall(), old, new))
    }

    /// The record of the handlers as they are now, where they are not as they were.
    pub(super) fn recorded_handlers(&self, before: Option<&[Arc<HandlerConfig>]>, now: &[Arc<HandlerConfig>]) -> Change {
        let state = format!("{now:?}");
        let (who, what) = if before.is_some() { (OWNER, "handlers.changed") } else { (DAEMON, "handlers.loaded") };
        let names = |list: Vec<&str>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let subject = match before {
            None => names(now.iter().map(|handler| handler.name.as_str()).collect()),
            Some(before) => {
                let is_new = |handler: &&Arc<HandlerConfig>| !before.contains(handler);
                let is_gone = |old: &&Arc<HandlerConfig>| !now.iter().any(|new| new.name == old.name);
                let changed = now.iter().filter(is_new).map(|handler| handler.name.as_str());
                names(changed.chain(before.iter().filter(is_gone).map(|handler| handler.name.as_str())).collect())
            }
        };
        let listed = names(now.iter().map(|handler| handler.name.as_str()).collect());
        Change::AuditState("handlers", digest(state.as_bytes()), self.recorded(who, what, &subject).detailed(format!("now: {listed}")))
    }

    /// Records with what the workspace begins, where that is not as it was.
    pub(super) fn record_beginning(&self, ctx: &mut Context<Self>) {
        let (home, key) = (&self.home, self.home.local().identity.public());
        let settings = digest(format!("{:?}", home.config).as_bytes());
        let mode = format!("connection_mode = {}", home.config.connection_mode.as_str());
        let changes = vec![
            Change::AuditState("key", *key.as_bytes(), self.recorded(DAEMON, "key.loaded", &key)),
            Change::AuditState("config", settings, self.recorded(DAEMON, "config.loaded", &home.config.agent_name).detailed(mode)),
        ];
        let journal = home.store.journal().clone();
        let committing = async move { journal.commit(Batch::new(changes)).await };
        ctx.spawn(committing.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::error!(%error, "with what the workspace begins could not be recorded");
            }
        }));
    }
}

impl Handler<Record> for Workspace {
    type Result = ResponseFuture<Result<(), WorkspaceError>>;

    fn handle(&mut self, record: Record, _: &mut Context<Self>) -> Self::Result {
        let row = AuditRow { detail: record.detail, ..self.recorded(OWNER, record.what, &record.subject) };
        let journal = self.home.store.journal().clone();
        Box::pin(async move { Ok(journal.commit(Batch::new(vec![Change::Audit(row)])).await.map(drop)?) })
    }
}
