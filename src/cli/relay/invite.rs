//! Invites to a relay's channels.

use serde_json::json;
use toq_api::relay::{Errand, ErrandAnswer};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::sanitize;
use super::Data;
use super::errand::{strange, table};

/// Makes, lists and revokes invites to channels
#[derive(Debug, clap::Args)]
pub struct Invite {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes an invite and shows it, this once. It admits to channels whose members take joins that are not bound to an invite of their own
    /// (`unbound_joins`); for all others a member makes the invite, which the relay cannot read
    Create {
        /// org/namespace/service, as it was registered
        channel: String,
        /// How often it can be used [default: 1]
        #[arg(long)]
        max_uses: Option<u32>,
        /// How long it can be used, in seconds [default: 3600]
        #[arg(long)]
        ttl: Option<u64>,
        #[command(flatten)]
        data: Data,
    },
    /// Lists the invites to a channel that have not ended
    List {
        /// org/namespace/service
        channel: String,
        #[command(flatten)]
        data: Data,
    },
    /// Revokes an invite
    Revoke {
        /// org/namespace/service
        channel: String,
        /// The invite's id
        // An id may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Invite {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.action {
            Action::Create { channel, max_uses, ttl, data } => {
                let answer = data.run(desk, Errand::CreateInvite { channel, max_uses, ttl_seconds: ttl }).await?;
                let ErrandAnswer::Invite(invite) = answer else { return Err(strange()) };
                let token = invite.token.clone().ok_or_else(strange)?;
                let for_whom = "It admits only where the members take joins that are not bound to an invite of their own (unbound_joins).";
                desk.output.note(&format!("This invite is shown once. It ends at {}. {for_whom}", invite.expires_at));
                desk.output.answer(|| json!(invite), || token.clone())
            }
            Action::List { channel, data } => {
                let ErrandAnswer::Invites(invites) = data.run(desk, Errand::Invites { channel }).await? else { return Err(strange()) };
                let rows = || {
                    let row = |invite: &toq_api::relay::InviteView| {
                        vec![invite.id.clone(), format!("{}/{}", invite.uses, invite.max_uses), invite.expires_at.clone()]
                    };
                    table(&["ID", "USES", "ENDS"], invites.iter().map(row).collect())
                };
                desk.output.answer(|| json!({ "invites": invites }), || if invites.is_empty() { "No invites".to_owned() } else { rows() })
            }
            Action::Revoke { channel, id, data } => {
                data.run(desk, Errand::RevokeInvite { channel, id: id.clone() }).await?;
                desk.output.answer(|| json!({ "revoked": id }), || format!("Revoked {}", sanitize::name(&id)))
            }
        }
    }
}
