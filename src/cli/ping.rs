//! Asks whether an agent is there.

use std::time::Duration;

use serde_json::json;
use toq_api::{PingRequest, PingResponse};

use super::desk::Desk;
use super::failure::{ERROR, Failure};
use super::sanitize;

/// Name resolution, connection and handshake may each take their time.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks whether an agent is there
#[derive(Debug, clap::Args)]
pub struct Ping {
    /// The agent: toq://host/agent
    address: String,
}

impl Ping {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let request = PingRequest { address: self.address };
        let answer: PingResponse = desk
            .client()?
            .with_limit(LIMIT)
            .post(&["v1", "ping"], &[], &request)
            .await
            .map_err(|error| Failure::from(error).after("Ping failed"))?;
        if answer.reachable {
            return desk.output.answer(|| json!(answer), || words(&answer));
        }
        if desk.output.is_json() {
            desk.output.answer(|| json!(answer), String::new)?;
            return Err(Failure::silent(ERROR));
        }
        let reason = answer.error.as_deref().unwrap_or("unreachable");
        Err(Failure::told(format!("Ping failed: {}", sanitize::text(reason))))
    }
}

fn words(answer: &PingResponse) -> String {
    format!(
        "Agent:      {}\nAddress:    {}\nPublic key: {}\nStatus:     reachable",
        sanitize::name(&answer.agent_name),
        sanitize::name(&answer.address),
        sanitize::name(answer.public_key.as_deref().unwrap_or("-")),
    )
}
