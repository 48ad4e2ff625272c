//! Shows received messages.

use serde_json::json;
use toq_api::HistoryResponse;

use super::desk::Desk;
use super::failure::Failure;
use super::message;

/// Shows the latest messages
#[derive(Debug, clap::Args)]
pub struct Messages {
    /// Only messages from addresses that contain this, or match it as a pattern
    #[arg(long)]
    from: Option<String>,
    /// How many messages at most
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Includes this agent's own messages
    #[arg(long)]
    outgoing: bool,
}

impl Messages {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let limit = self.limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        if let Some(from) = &self.from {
            query.push(("from", from));
        }
        if self.outgoing {
            query.push(("outgoing", "true"));
        }
        let history: HistoryResponse = desk.client()?.get(&["v1", "messages", "history"], &query).await?;
        if !history.unreadable.is_empty() {
            let places = history.unreadable.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            desk.output.note(&format!(
                "{} message(s) cannot be read and are not shown (in the log at {places}): the file or its disk is damaged. Keep a copy of \
                 .toq/state.redb, and look at the disk",
                history.unreadable.len()
            ));
        }
        desk.output.answer(
            || json!(history),
            || match history.messages.as_slice() {
                [] => "No messages".to_owned(),
                messages => messages.iter().map(message::words).collect::<Vec<_>>().join("\n"),
            },
        )
    }
}
