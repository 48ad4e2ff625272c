//! Replaces the identity key.

use serde_json::json;
use toq_api::{ClientError, RotateResponse};
use toq_kit::Clock;
use toq_protocol::address::DEFAULT_PORT;
use toq_protocol::time::Timestamp;
use toq_store::Batch;
use toq_store::audit::AuditRow;
use toq_store::batch::Change;
use toq_vault::Rotation;

use super::desk::Desk;
use super::export::{keyed, log};
use super::failure::{Failure, chain};
use super::{sanitize, state};
use crate::backup::stage::{NO_ROTATION, WAITS_HINT, waits};

/// Replaces this agent's identity key; peers that know it follow by a proof
#[derive(Debug, clap::Args)]
pub struct RotateKeys {}

impl RotateKeys {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let dir = desk.dir()?;
        keyed(&dir)?;
        let rotated = match state::live(&dir)? {
            Some(state) => {
                let answer: Result<RotateResponse, ClientError> =
                    desk.client_at(state.port)?.post(&["v1", "keys", "rotate"], &[], &()).await;
                answer.map_err(|error| Failure::from(error).after("Failed to rotate keys"))?
            }
            None => Self::at_rest(desk).await?,
        };
        desk.output.answer(
            || json!(rotated),
            || {
                format!(
                    "Keys rotated\n  old public key: {}\n  new public key: {}\n  rotation proof: {}",
                    rotated.old_public_key, rotated.new_public_key, rotated.rotation_proof
                )
            },
        )
    }

    /// Replaces the key of an agent whose daemon does not run, with its log locked so that none starts.
    async fn at_rest(desk: &Desk) -> Result<RotateResponse, Failure> {
        let loaded = desk.loaded(&[])?;
        if waits(&loaded.dir) {
            return Err(Failure::error(NO_ROTATION).hint(WAITS_HINT).after("Failed to rotate keys"));
        }
        let (config, keys) = (&loaded.config, loaded.dir.join("keys"));
        let log = log(&loaded.dir)?;
        // The proof is for the address that peers know; where any port will do, it is the one of the last run.
        let last = std::fs::read_to_string(loaded.dir.join("last_port")).ok().and_then(|text| text.trim().parse().ok());
        let port = if config.port == 0 { last.unwrap_or(DEFAULT_PORT) } else { config.port };
        let now = Timestamp::from_nanos(Clock::system().wall_nanos());
        let told = |error: toq_vault::VaultError| Failure::error(sanitize::text(&chain(&error)));
        let rotation = Rotation::prepare(&keys, &config.address(port).wire(), now, config.key_rotation_grace).map_err(told)?;
        rotation.keep().map_err(told)?;
        rotation.record().map_err(told)?;
        let rotated = rotation.commit().map_err(told)?;
        let proof = rotated.proofs.last().ok_or_else(|| Failure::error("no proof was made"))?;
        if let Some(log) = log {
            let row = AuditRow::key_rotated(now, &proof.old, &proof.new);
            let record = Change::AuditState("key", *proof.new.as_bytes(), row);
            // The key is replaced whatever the log says; the next start records it then.
            if let Err(error) = log.journal().commit(Batch::new(vec![record])).await {
                desk.output.note(&format!("WARNING: this could not be recorded: {error}"));
            }
            log.close();
        }
        Ok(RotateResponse {
            old_public_key: proof.old.to_string(),
            new_public_key: proof.new.to_string(),
            rotation_proof: proof.published().to_string(),
            expires_at: Some(proof.expires_at.to_string()),
        })
    }
}
