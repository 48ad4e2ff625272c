//! Accounts of a relay.

use serde_json::json;
use toq_api::relay::{Errand, ErrandAnswer, Plan};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::sanitize;
use super::Data;
use super::errand::{strange, table};

/// Opens and lists accounts
#[derive(Debug, clap::Args)]
pub struct Account {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Opens an account and shows its first key, this once
    Create {
        /// Its owner's e-mail address
        email: String,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// How much it may use: free, dev, team, pro or enterprise (no limit)
        #[arg(long, default_value = "free", value_parser = plan)]
        plan: Plan,
        #[command(flatten)]
        data: Data,
    },
    /// Lists the accounts
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Gives an account another plan
    Plan {
        /// The account's id or e-mail address
        account: String,
        /// How much it may use: free, dev, team, pro or enterprise (no limit)
        #[arg(value_parser = plan)]
        plan: Plan,
        #[command(flatten)]
        data: Data,
    },
}

fn plan(text: &str) -> Result<Plan, String> {
    Plan::parse(text).ok_or_else(|| "a plan is free, dev, team, pro or enterprise".to_owned())
}

impl Account {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.action {
            Action::Create { email, name, plan, data } => {
                let answer = data.run(desk, Errand::CreateAccount { email, name, plan }).await?;
                let ErrandAnswer::Account { account, api_key } = answer else { return Err(strange()) };
                desk.output.note(&format!("Account {}. Its first key is shown once:", account.id));
                desk.output.answer(|| json!({ "account": account, "api_key": api_key }), || api_key.clone())
            }
            Action::List { data } => {
                let ErrandAnswer::Accounts(accounts) = data.run(desk, Errand::Accounts).await? else { return Err(strange()) };
                let rows = || {
                    let row = |account: &toq_api::relay::Account| {
                        let plan = account.plan_tier.as_str().to_owned();
                        vec![account.id.clone(), plan, sanitize::name(&account.email), sanitize::name(&account.name)]
                    };
                    table(&["ID", "PLAN", "EMAIL", "NAME"], accounts.iter().map(row).collect())
                };
                desk.output
                    .answer(|| json!({ "accounts": accounts }), || if accounts.is_empty() { "No accounts".to_owned() } else { rows() })
            }
            Action::Plan { account, plan, data } => {
                data.run(desk, Errand::SetPlan { account: account.clone(), plan }).await?;
                let words = || {
                    format!("{} has the plan {} now; tokens have it when they are next exchanged", sanitize::name(&account), plan.as_str())
                };
                desk.output.answer(|| json!({ "account": account, "plan": plan }), words)
            }
        }
    }
}
