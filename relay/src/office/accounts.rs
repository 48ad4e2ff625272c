//! Accounts and their usage.

use actix_web::{HttpResponse, web};
use toq_api::relay::{Account, AccountCreated, MAX_TEXT, NewAccount, Plan, RelayCode, RelayErrorBody, Usage, UsageLimits};
use toq_store::relay::accounts::{self, AccountId, AccountRow, Opened, PlanTier};
use uuid::Uuid;

use super::body::Body;
use super::error::ApiError;
use super::guard::{Caller, Origin};
use super::operator::OPERATORS;
use super::secrets::new_key;
use super::{Office, Opening};

/// The longest e-mail address (RFC 5321 section 4.5.3.1.3).
const MAX_EMAIL: usize = 254;

/// Opens an account with its first key.
#[utoipa::path(post, path = "/v1/accounts", request_body = NewAccount, security(()),
    responses((status = 200, body = AccountCreated), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn create(office: web::Data<Office>, origin: Origin, body: Body<NewAccount>) -> Result<HttpResponse, ApiError> {
    let is_allowed = match office.settings.accounts {
        Opening::Open => true,
        Opening::Local => origin.is_local,
        Opening::Closed => false,
    };
    if !is_allowed {
        return Err(ApiError::new(RelayCode::Forbidden, "this relay opens no account for whoever asks").hint("ask its operator for a key"));
    }
    let often = |wait| ApiError::too_often("too many accounts were opened from this address", wait);
    office.pace(|paces, now| paces.openings.take(origin.source, now)).map_err(often)?;
    let (account, api_key) = open(&office, body.0, Plan::Free).await?;
    Ok(HttpResponse::Ok().json(AccountCreated { account, api_key }))
}

/// Opens an account, whoever asked for it.
pub(super) async fn open(office: &Office, new: NewAccount, plan: Plan) -> Result<(Account, String), ApiError> {
    let email = new.email.trim().to_owned();
    check_email(&email)?;
    if email.to_lowercase() == OPERATORS {
        return Err(ApiError::new(RelayCode::Conflict, format!("{OPERATORS} is the account of this relay's operator"))
            .hint("use an e-mail address of your own"));
    }
    let name = new.name.unwrap_or_default();
    if name.len() > MAX_TEXT {
        return Err(ApiError::bad_request(format!("the name is longer than {MAX_TEXT} bytes")));
    }
    let id = Uuid::new_v4();
    let (key, spec) = new_key("default".to_owned())?;
    let row = accounts::NewAccount {
        id: *id.as_bytes(),
        email: email.clone(),
        name: name.clone(),
        plan: to_tier(plan),
        most: office.settings.most_accounts,
    };
    match office.accounts.open(row, spec, office.now()).await? {
        Opened::Opened => Ok((Account { id: id.to_string(), email, name, plan_tier: plan }, key)),
        Opened::Taken => Err(ApiError::new(RelayCode::Conflict, "an account with this e-mail address exists already")
            .hint("use one of its keys, or ask the relay's operator for one")),
        Opened::Full => Err(ApiError::new(RelayCode::Unavailable, "this relay has as many accounts as it may")),
    }
}

/// The operator's own account, to be opened.
pub(super) fn operators(office: &Office) -> accounts::NewAccount {
    accounts::NewAccount {
        id: *Uuid::new_v4().as_bytes(),
        email: OPERATORS.to_owned(),
        name: "operator".to_owned(),
        plan: PlanTier::Enterprise,
        most: office.settings.most_accounts,
    }
}

fn check_email(email: &str) -> Result<(), ApiError> {
    let is_one = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if is_one && email.len() <= MAX_EMAIL && !email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(());
    }
    Err(ApiError::bad_request("the e-mail address is none").hint("it looks like name@example.org"))
}

/// Tells whose credential this is.
#[utoipa::path(get, path = "/v1/accounts/me", responses((status = 200, body = Account), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn me(office: web::Data<Office>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let (id, row) = row(&office, &caller)?;
    Ok(HttpResponse::Ok().json(view(id, row)))
}

/// Tells what the account has used this month.
#[utoipa::path(get, path = "/v1/usage", responses((status = 200, body = Usage), (status = "default", body = RelayErrorBody)))]
pub(crate) async fn usage(office: web::Data<Office>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let (id, row) = row(&office, &caller)?;
    let now = office.now();
    let date = now.to_string();
    let account_id = Uuid::from_bytes(id.0).to_string();
    let relayed = office.store.log().used(&account_id, month(&date))?;
    let plan = from_tier(row.plan);
    let limit = office.settings.messages_per_month.iter().find(|(name, _)| name == plan.as_str()).map(|(_, most)| *most);
    Ok(HttpResponse::Ok().json(Usage {
        account_id,
        period: format!("{}-01", date.get(..7).unwrap_or("1970-01")),
        token_exchanges: caller.tenant.exchanges(now)?,
        messages_relayed: relayed.messages,
        plan_tier: plan,
        limits: UsageLimits { messages_per_month: limit.filter(|most| *most > 0) },
    }))
}

/// Year × 100 + month of a date in RFC 3339, as the log counts.
fn month(date: &str) -> u32 {
    let number = |range: std::ops::Range<usize>| date.get(range).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
    number(0..4) * 100 + number(5..7)
}

fn row(office: &Office, caller: &Caller) -> Result<(AccountId, AccountRow), ApiError> {
    let id = caller.tenant.account();
    let row = office.accounts.account(id)?.ok_or_else(|| ApiError::not_found("the account does not exist"))?;
    Ok((id, row))
}

pub(super) fn view(id: AccountId, row: AccountRow) -> Account {
    Account { id: Uuid::from_bytes(id.0).to_string(), email: row.email, name: row.name, plan_tier: from_tier(row.plan) }
}

pub(super) const fn from_tier(tier: PlanTier) -> Plan {
    match tier {
        PlanTier::Free => Plan::Free,
        PlanTier::Dev => Plan::Dev,
        PlanTier::Team => Plan::Team,
        PlanTier::Pro => Plan::Pro,
        PlanTier::Enterprise => Plan::Enterprise,
    }
}

pub(super) const fn to_tier(plan: Plan) -> PlanTier {
    match plan {
        Plan::Free => PlanTier::Free,
        Plan::Dev => PlanTier::Dev,
        Plan::Team => PlanTier::Team,
        Plan::Pro => PlanTier::Pro,
        Plan::Enterprise => PlanTier::Enterprise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_two_parts_and_no_surprises() {
        assert!(check_email("ann@example.org").is_ok());
        for bad in ["", "ann", "@example.org", "ann@", "a@b@c", "a b@example.org", "ann@example.org\n", &format!("{}@x", "a".repeat(254))] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_month_is_counted_as_the_log_does() {
        assert_eq!(month("2026-11-21T10:00:00Z"), 202_611);
    }
}
