//! The registry of a relay's channels.

use serde_json::json;
use toq_api::relay::{Errand, ErrandAnswer};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::sanitize;
use super::Data;
use super::errand::{strange, table};

/// Registers, lists and forgets channels, and says who may use them
#[derive(Debug, clap::Args)]
pub struct Channel {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Registers a channel
    Create {
        /// org/namespace/service
        name: String,
        /// Whose: an account's id or e-mail address [default: the operator's own account]
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Lists the registered channels
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Lists the other accounts that were let into a channel
    Admitted {
        /// org/namespace/service
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Lets an account take part in a channel no more; its connections to it end at once
    ShutOut {
        /// org/namespace/service
        name: String,
        /// The account's id or e-mail address
        account: String,
        #[command(flatten)]
        data: Data,
    },
    /// Takes a channel out of the registry, with its invites and requests; its log stays, and whose publication began that may register it
    Forget {
        /// org/namespace/service
        name: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Channel {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.action {
            Action::Create { name, account, data } => {
                let answer = data.run(desk, Errand::RegisterChannel { name, account }).await?;
                let ErrandAnswer::Channels(mut channels) = answer else { return Err(strange()) };
                let channel = channels.pop().ok_or_else(strange)?;
                desk.output.answer(|| json!(channel), || format!("Registered {}", sanitize::name(&channel.channel.name)))
            }
            Action::List { data } => {
                let ErrandAnswer::Channels(channels) = data.run(desk, Errand::Channels).await? else { return Err(strange()) };
                let rows = || {
                    let row = |of: &toq_api::relay::ChannelOf| {
                        let joins = if of.channel.unbound_joins { "any" } else { "bound" };
                        vec![of.account.clone(), joins.to_owned(), sanitize::name(&of.channel.name)]
                    };
                    table(&["ACCOUNT", "JOINS", "NAME"], channels.iter().map(row).collect())
                };
                desk.output
                    .answer(|| json!({ "channels": channels }), || if channels.is_empty() { "No channels".to_owned() } else { rows() })
            }
            Action::Admitted { name, data } => {
                let ErrandAnswer::Admitted(accounts) = data.run(desk, Errand::Admitted { name }).await? else { return Err(strange()) };
                let rows = || table(&["ACCOUNT", "SINCE"], accounts.iter().map(|of| vec![of.account.clone(), of.since.clone()]).collect());
                desk.output
                    .answer(|| json!({ "accounts": accounts }), || if accounts.is_empty() { "No accounts".to_owned() } else { rows() })
            }
            Action::ShutOut { name, account, data } => {
                data.run(desk, Errand::ShutOut { name: name.clone(), account: account.clone() }).await?;
                let text = || format!("{} takes part in {} no more", sanitize::name(&account), sanitize::name(&name));
                desk.output.answer(|| json!({ "channel": name, "shut_out": account }), text)
            }
            Action::Forget { name, data } => {
                data.run(desk, Errand::ForgetChannel { name: name.clone() }).await?;
                desk.output.answer(|| json!({ "forgotten": name }), || format!("Forgot {}", sanitize::name(&name)))
            }
        }
    }
}
