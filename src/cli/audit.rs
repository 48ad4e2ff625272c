//! Shows what was decided about rules, keys, handlers and settings, and checks that the record of it is whole.

use serde_json::json;
use toq_api::{AuditQuery, AuditResponse, AuditVerified};
use toq_http::audit;
use toq_protocol::audit::Head;
use toq_store::{Reader, StoreError};

use super::desk::Desk;
use super::export::log;
use super::failure::Failure;
use super::{sanitize, state};

/// Shows what was decided, by whom and when, and checks that nothing of it was changed or taken out
#[derive(Debug, clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Shows decisions, oldest first
    Show {
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: u64,
        /// Only those after this place, from the oldest on
        #[arg(long)]
        after: Option<u64>,
    },
    /// Checks the whole record; the exit code is 1 where something is wrong with it
    Verify {
        /// A head that this command showed earlier and that was noted elsewhere
        #[arg(long, value_name = "PLACE:HASH")]
        head: Option<Head>,
    },
}

impl Audit {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.action {
            Action::Show { limit, after } => show(desk, AuditQuery { after, limit: Some(limit) }).await,
            Action::Verify { head } => verify(desk, head).await,
        }
    }
}

async fn show(desk: &Desk, query: AuditQuery) -> Result<(), Failure> {
    let answer: AuditResponse = match state::live(&desk.dir()?)? {
        Some(_) => {
            let (limit, after) = (query.limit.unwrap_or_default().to_string(), query.after.map(|after| after.to_string()));
            let mut pairs = vec![("limit", limit.as_str())];
            pairs.extend(after.as_deref().map(|after| ("after", after)));
            desk.client()?.get(&["v1", "audit"], &pairs).await?
        }
        None => at_rest(desk, |reader| audit::list(reader, &query))?.unwrap_or_default(),
    };
    let line = |record: &toq_api::AuditRecord| {
        let detail = record.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let text = format!("{:>6}  {}  {}  {}  {}{detail}", record.place, record.timestamp, record.who, record.what, record.subject);
        sanitize::text(&text)
    };
    desk.output.answer(
        || json!(answer),
        || match answer.records.as_slice() {
            [] => "Nothing was decided yet".to_owned(),
            records => records.iter().map(line).collect::<Vec<_>>().join("\n"),
        },
    )
}

async fn verify(desk: &Desk, head: Option<Head>) -> Result<(), Failure> {
    let found: AuditVerified = match state::live(&desk.dir()?)? {
        Some(_) => {
            let head = head.map(|head| head.to_string());
            let query: Vec<_> = head.as_deref().map(|head| ("head", head)).into_iter().collect();
            desk.client()?.get(&["v1", "audit", "verify"], &query).await?
        }
        None => at_rest(desk, |reader| audit::verify(reader, head))?
            .ok_or_else(|| Failure::error("this workspace has no log yet").hint("Run `toq up` first"))?,
    };
    let records = found.records;
    desk.output.answer(
        || json!(found),
        || match &found.fault {
            None => format!("{records} record(s), all as they were\nhead: {}", sanitize::name(&found.head)),
            Some(fault) => {
                format!("record {}: {}\n{records} record(s) before it are as they were", fault.place, sanitize::text(&fault.message))
            }
        },
    )?;
    if found.ok {
        return Ok(());
    }
    Err(Failure::error("the record of decisions is not whole").hint(
        "Somebody wrote into state.redb who is not toq, or the disk failed: compare rules, handlers and settings with what you decided (`toq permissions`, `toq handler list`, `toq config show`), and keep a copy of the file",
    ))
}

/// Reads the log of a workspace whose daemon does not run; nothing where there is none.
fn at_rest<T>(desk: &Desk, read: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<Option<T>, Failure> {
    let Some(store) = log(&desk.dir()?)? else { return Ok(None) };
    let answer = read(store.reader());
    store.close();
    answer.map(Some).map_err(|error| Failure::error(format!("the record cannot be read: {error}")).hint("`toq audit verify` says where"))
}
