//! Consumers: what they were offered and what they confirmed.

use actix::{Context, Handler, ResponseFuture};
use toq_kit::fault;
use toq_store::Batch;
use toq_store::batch::Change;

use super::{Consume, Workspace, WorkspaceError};

impl Handler<Consume> for Workspace {
    type Result = ResponseFuture<Result<(), WorkspaceError>>;

    fn handle(&mut self, consume: Consume, _: &mut Context<Self>) -> Self::Result {
        let is_confirmation = matches!(consume, Consume::Confirm(..) | Consume::ConfirmUpTo(..));
        let at = self.home.wall();
        let changes = match consume {
            Consume::Begin(name, place) => vec![Change::AddConsumer(name, place)],
            Consume::Offer(name, messages) => {
                fault::crash_point("before-offer");
                vec![Change::Offer(name, messages)]
            }
            Consume::Confirm(name, messages) => vec![Change::Confirm(name, messages)],
            Consume::ConfirmUpTo(name, place) => vec![Change::ConfirmUpTo(name, place)],
            Consume::SetAside(name, messages, reason) => {
                let aside = |message| Change::SetAside { consumer: name.clone(), message, reason: reason.clone(), at };
                messages.into_iter().map(aside).collect()
            }
            Consume::Unreadable(consumer, messages) => {
                let noted = messages.iter().map(|message| Change::Unreadable { message: *message, at });
                let passed = consumer.map(|name| Change::Confirm(name, messages.clone()));
                noted.chain(passed).collect()
            }
            Consume::Forget(name) => vec![Change::ForgetSetAside(name.clone()), Change::RemoveConsumer(name)],
        };
        let journal = self.home.store.journal().clone();
        Box::pin(async move {
            if is_confirmation {
                fault::crash_point("before-confirm-commit");
            }
            journal.commit(Batch::new(changes)).await?;
            if is_confirmation {
                fault::crash_point("after-confirm-commit");
            }
            Ok(())
        })
    }
}
