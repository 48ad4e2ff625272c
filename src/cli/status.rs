//! Shows what the daemon is doing.

use serde_json::json;
use toq_api::{ClientError, StatusResponse, TreeNode};
use toq_config::Verbosity;

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;
use super::state::{self, State};
use super::tree;

/// Shows what the daemon is doing
#[derive(Debug, clap::Args)]
pub struct Status {
    /// Shows every living actor
    #[arg(long)]
    tree: bool,
}

impl Status {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let Some(state) = state::live(&desk.dir()?)? else {
            return desk.output.answer(|| json!({"status": "stopped"}), || "toq is not running".to_owned());
        };
        let client = desk.client_at(state.port)?;
        if self.tree {
            let root: TreeNode = client.get(&["v1", "tree"], &[]).await?;
            return desk.output.answer(|| json!(root), || tree::words(&root));
        }
        let status: StatusResponse = client.get(&["v1", "status"], &[]).await.map_err(|error| match error {
            // The process lives, so it is not the same as a daemon that nobody has started.
            ClientError::NotRunning => Failure::error(format!("toq (PID {}) does not answer on port {}", state.pid, state.port))
                .hint("It may be starting or stopping: see `toq logs`"),
            other => other.into(),
        })?;
        let technical = desk.loaded(&[]).is_ok_and(|loaded| loaded.config.verbosity == Verbosity::Technical);
        desk.output.answer(
            || {
                let mut json = json!(status);
                json["port"] = json!(state.port);
                json["peer_port"] = json!(state.peer_port);
                json["pid"] = json!(state.pid);
                json
            },
            || words(&status, technical.then_some(&state)),
        )
    }
}

fn words(status: &StatusResponse, technical: Option<&State>) -> String {
    let mut lines = vec![
        ("status:", sanitize::name(&status.status)),
        ("address:", sanitize::name(&status.address)),
        ("connection mode:", sanitize::name(&status.connection_mode)),
        ("connections:", status.active_connections.to_string()),
        ("messages in:", status.messages_in.to_string()),
        ("messages out:", status.messages_out.to_string()),
    ];
    if status.outbox > 0 {
        lines.push(("waiting:", status.outbox.to_string()));
    }
    if status.store != toq_api::StoreHealth::Ok {
        lines.push(("store:", format!("{} (`toq doctor` says why)", status.store.as_str())));
    }
    if let Some(state) = technical {
        lines.push(("port:", state.peer_port.to_string()));
        if state.port != state.peer_port {
            lines.push(("api port:", state.port.to_string()));
        }
        lines.push(("pid:", state.pid.to_string()));
    }
    let mut text = "toq status".to_owned();
    for (label, value) in lines {
        text.push_str(&format!("\n  {label:<17}{value}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> StatusResponse {
        serde_json::from_value(json!({
            "status": "running", "address": "toq://localhost:18101/alice", "connection_mode": "approval",
            "active_connections": 1, "messages_in": 2, "messages_out": 3, "error_count": 0,
            "backpressure_active": false, "version": "0.1.0", "public_key": "ed25519:e5US"
        }))
        .expect("the published answer is enough")
    }

    #[test]
    fn values_stand_in_one_column() {
        let expected = "toq status\n  status:          running\n  address:         toq://localhost:18101/alice\n  \
            connection mode: approval\n  connections:     1\n  messages in:     2\n  messages out:    3";

        assert_eq!(words(&status(), None), expected);
    }

    #[test]
    fn trouble_is_shown_only_when_there_is_some() {
        let troubled = StatusResponse { outbox: 4, store: toq_api::StoreHealth::ReadOnly, ..status() };

        let text = words(&troubled, Some(&State { port: 1, peer_port: 1, pid: 2 }));

        assert!(text.contains("waiting:         4"));
        assert!(text.contains("store:           read_only"));
        assert!(text.contains("pid:             2") && !text.contains("api port"));
        let apart = words(&status(), Some(&State { port: 7, peer_port: 9, pid: 2 }));
        assert!(apart.contains("\n  port:            9\n  api port:        7\n"), "{apart}");
    }
}
