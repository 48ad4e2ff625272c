//! Sends a file.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use toq_api::{SendFileRequest, SendResponse, Wait};

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// How long to wait for the daemon beyond the time that it waits itself: it copies the file first.
const MARGIN: Duration = Duration::from_secs(60);

/// Sends a file to an agent that accepts files
#[derive(Debug, clap::Args)]
pub struct SendFile {
    /// Who gets it: toq://host/agent
    address: String,
    /// The file
    path: PathBuf,
    /// The name to tell the receiver
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Continues this conversation
    #[arg(long, value_name = "ID")]
    thread_id: Option<String>,
    /// Returns when the file is safe here, not when it is delivered
    #[arg(long)]
    no_wait: bool,
    /// How many seconds to wait
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl SendFile {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let unusable = |why: String| Failure::error(format!("cannot send {}: {why}", sanitize::name(&self.path.to_string_lossy())));
        let path = std::path::absolute(desk.world.cwd.join(&self.path)).map_err(|error| unusable(error.to_string()))?;
        let path = path.into_os_string().into_string().map_err(|_| unusable("its path is not UTF-8".to_owned()))?;
        let request = SendFileRequest { to: self.address, path, name: self.name, thread_id: self.thread_id };
        let wait = if self.no_wait { Wait::Acceptance } else { Wait::Delivery };
        let timeout = self.timeout.to_string();
        let query = [("wait", wait.as_str()), ("timeout", timeout.as_str())];
        let client = desk.client()?.with_limit(Duration::from_secs(self.timeout) + MARGIN);
        let sent: SendResponse =
            client.post(&["v1", "files"], &query, &request).await.map_err(|error| Failure::from(error).after("Send failed"))?;
        desk.output
            .answer(|| json!(sent), || format!("Sent file as message {} (status: {})", sanitize::name(&sent.id), sent.status.as_str()))
    }
}
