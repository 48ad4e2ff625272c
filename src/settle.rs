//! What a daemon or a relay does once it serves: it gives back what only its start needed.

use std::time::Duration;

/// How long a start has for its last steps: the API's routes, the first look at what waits.
const STARTED: Duration = Duration::from_secs(5);

/// Gives back, a moment from now, the code that only the start ran (decision 0055).
pub fn soon() {
    toq_kit::spawn(async {
        tokio::time::sleep(STARTED).await;
        match toq_footprint::give_back_code() {
            Ok(bytes) => tracing::debug!(bytes, "the code that only the start needed is unmapped"),
            Err(error) => tracing::debug!(%error, "the code that only the start needed stays mapped"),
        }
    });
}
