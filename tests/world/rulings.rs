//! What an owner has decided and has to decide, as its daemon shows it.

use super::Agent;

/// Its public key.
pub fn key(agent: &Agent) -> String {
    agent.get("/v1/status").json()["public_key"].as_str().expect("a key").to_owned()
}

/// Whom it has approved or blocked, as it shows them.
pub fn rules(agent: &Agent, list: &str) -> Vec<String> {
    let rules = agent.get("/v1/permissions").json();
    rules[list].as_array().expect("a list").iter().filter_map(|rule| rule["value"].as_str().map(str::to_owned)).collect()
}

/// The keys of those who wait for its decision.
pub fn waiting(agent: &Agent) -> Vec<String> {
    let open = agent.get("/v1/approvals").json();
    open["approvals"].as_array().expect("a list").iter().filter_map(|row| row["public_key"].as_str().map(str::to_owned)).collect()
}
