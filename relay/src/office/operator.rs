//! What the operator of this machine may do.
//!
//! The same code runs behind the socket of a running relay and, where none runs, in the command itself over the opened store.

use std::collections::BTreeMap;
use std::path::Path;

use toq_api::relay::{Account, ChannelOf, Errand, ErrandAnswer, KeyOf, NewAccount, NewInvite, RelayCode};
use toq_kit::Clock;
use toq_store::relay::accounts::{AccountId, AccountRow, ChannelSpec, Claimed, Opened, Tenant};
use toq_store::relay::{FILE, RelayStore};
use toq_store::{Options, StoreError};
use uuid::Uuid;

use super::error::ApiError;
use super::{Office, Settings, accounts, channels, invites, keys};
use crate::keep::{self, MEND};
use crate::revoked::Revoked;

/// What the account of keys that are made for nobody in particular is called. Nobody else may be called so, and nothing is granted for it.
pub(super) const OPERATORS: &str = "operator@localhost";

/// How many rows are read at once.
const PAGE: usize = 1000;

/// How many channels the operator may register for one account.
const MOST_CHANNELS: usize = 10_000;

/// Why an errand was not done.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct OperatorError {
    /// What went wrong and why.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<ApiError> for OperatorError {
    fn from(error: ApiError) -> Self {
        let body = error.for_operator().into_body();
        Self { text: body.error, hint: body.hint }
    }
}

/// What a directory without a relay means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It is the wrong one.
    Never,
    /// A relay begins in it, where it is empty or not there yet: the first key may be made before the first start.
    Fresh,
}

impl Start {
    /// What it means to who wants this done.
    #[must_use]
    pub const fn of(errand: &Errand) -> Self {
        match errand {
            Errand::CreateKey { account: None, .. } | Errand::CreateAccount { .. } => Self::Fresh,
            _ => Self::Never,
        }
    }
}

/// Whether nothing is in a directory that could be anybody's.
#[must_use]
pub fn is_bare(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Opens the database of a relay that does not run, for errands.
///
/// # Errors
/// [`OperatorError`] where a relay runs there, or the directory or the file cannot be used.
pub async fn at_rest(dir: &Path, start: Start) -> Result<Office, OperatorError> {
    let unusable = |error: &dyn std::fmt::Display| OperatorError { text: format!("cannot use {}: {error}", dir.display()), hint: None };
    let failed = |error: StoreError| OperatorError { hint: error.is_damage().then(|| MEND.to_owned()), ..unusable(&error) };
    // A mistyped directory is not to become a relay's.
    let may_begin = start == Start::Fresh && is_bare(dir);
    if !may_begin && !dir.join(FILE).is_file() {
        return Err(OperatorError {
            text: format!("there is no relay in {}: it has no {FILE}", dir.display()),
            hint: Some("name the relay's data directory with --data, or start a relay in this one with `toq relay up`".to_owned()),
        });
    }
    keep::prepare(dir).map_err(|error| unusable(&error))?;
    let store = RelayStore::open(dir, Options::default()).await.map_err(|error| match error {
        StoreError::AlreadyOpen(_) => OperatorError {
            text: format!("a relay runs in {} and does not answer at its socket", dir.display()),
            hint: Some("wait until it has started, or stop it and try again".to_owned()),
        },
        other => failed(other),
    })?;
    let revoked = Revoked::load(store.accounts()).map_err(failed)?;
    let mint = keep::mint(dir).map_err(|error| unusable(&error))?;
    Ok(Office::new(store, mint, revoked, Settings::default(), Clock::system()))
}

/// Runs errands.
#[derive(Clone, Copy, Debug)]
pub struct Operator<'a> {
    office: &'a Office,
}

impl<'a> Operator<'a> {
    /// Of this office.
    #[must_use]
    pub const fn of(office: &'a Office) -> Self {
        Self { office }
    }

    /// Does something.
    ///
    /// # Errors
    /// [`OperatorError`] says why not.
    pub async fn run(&self, errand: Errand) -> Result<ErrandAnswer, OperatorError> {
        Ok(self.perform(errand).await?)
    }

    pub(super) async fn perform(&self, errand: Errand) -> Result<ErrandAnswer, ApiError> {
        let office = self.office;
        Ok(match errand {
            Errand::CreateKey { account, name } => {
                let tenant = self.tenant_or_own(account.as_deref()).await?;
                ErrandAnswer::Key(keys::make(office, &tenant, name.unwrap_or_else(|| "default".to_owned())).await?)
            }
            Errand::Keys { account } => ErrandAnswer::Keys(self.keys(account.as_deref())?),
            Errand::RevokeKey { id } => {
                let key = Uuid::parse_str(&id).ok().map(|id| *id.as_bytes());
                let holder = key.map(|key| office.accounts.holder(key)).transpose()?.flatten();
                let holder = holder.ok_or_else(|| {
                    ApiError::not_found("there is no key of this id that works").hint("list them with `toq relay key list`")
                })?;
                keys::revoke_of(office, &office.accounts.of(holder), &id).await?;
                ErrandAnswer::Done
            }
            Errand::CreateAccount { email, name, plan } => {
                let (account, api_key) = accounts::open(office, NewAccount { email, name }, plan).await?;
                ErrandAnswer::Account { account, api_key }
            }
            Errand::Stats => ErrandAnswer::Stats(self.stats()?),
            Errand::Accounts => ErrandAnswer::Accounts(self.accounts()?),
            Errand::SetPlan { account, plan } => {
                office.accounts.set_plan(self.tenant(&account)?.account(), accounts::to_tier(plan)).await?;
                ErrandAnswer::Done
            }
            Errand::RegisterChannel { name, account } => ErrandAnswer::Channels(vec![self.register(&name, account.as_deref()).await?]),
            Errand::Channels => ErrandAnswer::Channels(self.channels()?),
            Errand::ForgetChannel { name } => {
                let name = channels::name(&name)?;
                if !office.accounts.forget_channel(name.clone()).await? {
                    return Err(no_channel());
                }
                office.revoked.add_channel(name);
                ErrandAnswer::Done
            }
            Errand::Admitted { name } => ErrandAnswer::Admitted(channels::admitted_to(&self.owner(&name)?, &channels::name(&name)?)?),
            Errand::ShutOut { name, account } => {
                let other = self.tenant(&account)?.account();
                channels::shut_out_of(office, &self.owner(&name)?, channels::name(&name)?, other).await?;
                ErrandAnswer::Done
            }
            Errand::CreateInvite { channel, max_uses, ttl_seconds } => {
                let tenant = self.owner(&channel)?;
                let new = NewInvite { channel, max_uses, ttl_seconds, token_id: None, secret_hash: None };
                ErrandAnswer::Invite(invites::make(office, &tenant, new).await?)
            }
            Errand::Invites { channel } => ErrandAnswer::Invites(invites::of(office, &self.owner(&channel)?, &channel)?.invites),
            Errand::RevokeInvite { channel, id } => {
                let list = format!("list them with `toq relay invite list {channel}`");
                invites::revoke_of(&self.owner(&channel)?, &id).await.map_err(|error| error.hint(list))?;
                ErrandAnswer::Done
            }
        })
    }

    /// An account, or the operator's own: it has no limit, and is opened without a key when it is first needed.
    async fn tenant_or_own(&self, account: Option<&str>) -> Result<Tenant, ApiError> {
        if let Some(account) = account {
            return self.tenant(account);
        }
        if let Some(own) = self.office.accounts.operators()? {
            return Ok(self.office.accounts.of(own));
        }
        let new = accounts::operators(self.office);
        match self.office.accounts.open_operators(new, self.office.now()).await? {
            Opened::Opened => {}
            Opened::Taken | Opened::Full => {
                return Err(ApiError::new(RelayCode::Conflict, format!("{OPERATORS} is somebody else's account"))
                    .hint("name an account with --account"));
            }
        }
        let own = self.office.accounts.operators()?.ok_or_else(|| ApiError::not_found("the operator's account has gone"))?;
        Ok(self.office.accounts.of(own))
    }

    async fn register(&self, name: &str, account: Option<&str>) -> Result<ChannelOf, ApiError> {
        let name = channels::name(name)?;
        let tenant = self.tenant_or_own(account).await?;
        let id = *Uuid::new_v4().as_bytes();
        // The operator gives a channel to whom it likes, whoever uses it.
        let spec = ChannelSpec { name: name.clone(), id, unbound_joins: None, most: MOST_CHANNELS, publisher: None };
        match channels::claim(self.office, &tenant, spec).await? {
            Claimed::Yours(row) => {
                let account = Uuid::from_bytes(tenant.account().0).to_string();
                Ok(ChannelOf { account, channel: channels::view(name, &row) })
            }
            Claimed::Taken => Err(ApiError::new(RelayCode::Conflict, "another account has registered a channel of this name")),
            Claimed::Full => Err(ApiError::new(RelayCode::QuotaExceeded, "the account has as many channels as it may")),
        }
    }

    fn stats(&self) -> Result<BTreeMap<String, u64>, ApiError> {
        let (channels, rows, bytes) = self.office.store.log().totals()?;
        let counted = self.office.plane.iter().flat_map(|plane| plane.counters.named());
        Ok([("channels", channels), ("rows", rows), ("bytes", bytes)]
            .into_iter()
            .chain(counted)
            .map(|(name, count)| (name.to_owned(), count))
            .collect())
    }

    fn accounts(&self) -> Result<Vec<Account>, ApiError> {
        Ok(self.every_account()?.into_iter().map(|(id, row)| accounts::view(id, row)).collect())
    }

    fn keys(&self, account: Option<&str>) -> Result<Vec<KeyOf>, ApiError> {
        let tenants = match account {
            Some(account) => vec![self.tenant(account)?],
            None => self.every_account()?.into_iter().map(|(id, _)| self.office.accounts.of(id)).collect(),
        };
        let mut found = Vec::new();
        for tenant in tenants {
            let account = Uuid::from_bytes(tenant.account().0).to_string();
            found.extend(tenant.keys()?.into_iter().map(|key| KeyOf { account: account.clone(), key: keys::view(key) }));
        }
        Ok(found)
    }

    fn channels(&self) -> Result<Vec<ChannelOf>, ApiError> {
        let view = |channel: toq_store::relay::accounts::Channel| ChannelOf {
            account: Uuid::from_bytes(channel.row.account).to_string(),
            channel: channels::view(channel.name, &channel.row),
        };
        let mut found: Vec<ChannelOf> = Vec::new();
        loop {
            let last = found.last().map(|of| of.channel.name.clone());
            let page = self.office.accounts.channels(last.as_deref(), PAGE)?;
            let is_last = page.len() < PAGE;
            found.extend(page.into_iter().map(view));
            if is_last {
                return Ok(found);
            }
        }
    }

    fn every_account(&self) -> Result<Vec<(AccountId, AccountRow)>, ApiError> {
        let mut found: Vec<(AccountId, AccountRow)> = Vec::new();
        loop {
            let page = self.office.accounts.list(found.last().map(|(id, _)| *id), PAGE)?;
            let is_last = page.len() < PAGE;
            found.extend(page);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// An account by its id or its owner's e-mail address.
    fn tenant(&self, account: &str) -> Result<Tenant, ApiError> {
        let by_id = Uuid::parse_str(account).ok().map(|id| AccountId(*id.as_bytes()));
        let found = match by_id {
            Some(id) => self.office.accounts.account(id)?.map(|_| id),
            None => self.office.accounts.by_email(account)?,
        };
        let id = found.ok_or_else(|| ApiError::not_found("there is no such account").hint("list them with `toq relay account list`"))?;
        Ok(self.office.accounts.of(id))
    }

    /// The account that has registered a channel.
    fn owner(&self, channel: &str) -> Result<Tenant, ApiError> {
        let name = channels::name(channel)?;
        let owner = self.office.accounts.owner(&name)?.ok_or_else(no_channel)?;
        Ok(self.office.accounts.of(owner))
    }
}

fn no_channel() -> ApiError {
    ApiError::not_found("no channel of this name is registered").hint("list them with `toq relay channel list`")
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::token::Mint;

    #[actix_web::test]
    async fn a_list_has_all_its_rows_and_a_key_is_found_by_its_id_alone() {
        let store = RelayStore::in_memory().await.expect("memory");
        let office = Office::new(store, Mint::Hs256(vec![7; 32]), Revoked::default(), Settings::default(), Clock::system());
        let operator = Operator::of(&office);
        let ErrandAnswer::Key(key) = operator.run(Errand::CreateKey { account: None, name: None }).await.expect("made") else {
            panic!("not a key")
        };
        let own = operator.tenant_or_own(None).await.expect("it is there");
        let spec = |number| ChannelSpec {
            name: format!("acme/team/{number}"),
            id: *Uuid::new_v4().as_bytes(),
            unbound_joins: None,
            most: MOST_CHANNELS,
            publisher: None,
        };
        join_all((0..=PAGE).map(|number| own.claim(spec(number), office.now()))).await;

        let ErrandAnswer::Channels(channels) = operator.run(Errand::Channels).await.expect("listed") else { panic!("not channels") };
        assert_eq!(channels.len(), PAGE + 1);
        assert!(matches!(operator.run(Errand::RevokeKey { id: key.id.clone() }).await, Ok(ErrandAnswer::Done)));
        assert!(operator.run(Errand::RevokeKey { id: Uuid::new_v4().to_string() }).await.is_err());
        let ErrandAnswer::Keys(keys) = operator.run(Errand::Keys { account: None }).await.expect("listed") else { panic!("not keys") };
        assert_eq!(keys.len(), 0);
    }
}
