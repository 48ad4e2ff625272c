//! What handlers remember of a peer is forgotten: they are shown nothing that was said with it before. The log keeps the messages.

use actix::{Context, Handler, Message, ResponseFuture};
use toq_protocol::key::PeerKey;
use toq_store::Batch;
use toq_store::batch::Change;

use super::{Workspace, WorkspaceError};

/// Have handlers forget what they know of the agent with this key; answers when that is on disk. The next run is the first that
/// knows nothing.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), WorkspaceError>")]
pub struct ForgetConversations(pub PeerKey);

impl Handler<ForgetConversations> for Workspace {
    type Result = ResponseFuture<Result<(), WorkspaceError>>;

    fn handle(&mut self, forget: ForgetConversations, _: &mut Context<Self>) -> Self::Result {
        let (journal, place) = (self.home.store.journal().clone(), self.home.store.reader().last());
        let record = self.recorded(super::audit::OWNER, "conversations.forgotten", &forget.0);
        let changes = vec![Change::Unremember(forget.0, place), Change::Audit(record)];
        Box::pin(async move { Ok(journal.commit(Batch::new(changes)).await.map(drop)?) })
    }
}
