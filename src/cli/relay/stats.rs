//! Says how much a running relay keeps and does.

use serde_json::json;
use toq_api::relay::{Credential, Errand, ErrandAnswer, RelayApi, RelayApiError, Target};
use toq_relay::office::SOCKET;

use super::Data;
use crate::cli::desk::Desk;
use crate::cli::failure::{Failure, chain};
use crate::cli::sanitize;

/// Shows how much the relay keeps, and what it has done since its start
#[derive(Debug, clap::Args)]
pub struct Stats {
    #[command(flatten)]
    data: Data,
}

impl Stats {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        self.done(desk).await.map_err(|failure| self.data.runnable(desk, failure))
    }

    async fn done(&self, desk: &Desk) -> Result<(), Failure> {
        if self.data.live(desk)?.is_none() {
            return Err(Failure::told("no relay runs on this directory").hint("Run `toq relay up` to start it"));
        }
        let failed = |error: RelayApiError| Failure::error(sanitize::text(&chain(&error)));
        let api = RelayApi::new(&Target::socket(&self.data.dir(desk)?.join(SOCKET)), Credential::None).map_err(failed)?;
        let ErrandAnswer::Stats(stats) = api.errand(&Errand::Stats).await.map_err(failed)? else {
            return Err(Failure::error("the relay answers another question").hint("It is of another version: stop it and start this one"));
        };
        desk.output.answer(
            || json!(stats),
            || stats.iter().map(|(name, count)| format!("{:<14}{count}", name.replace('_', " "))).collect::<Vec<_>>().join("\n"),
        )
    }
}
