//! The workshop of a daemon: handlers from `handlers.toml`, and what each kind does.

use std::path::PathBuf;
use std::sync::Arc;

use toq_config::HandlerConfig;

use super::llm::Models;
use super::work::{Work, Workshop};

/// Makes handlers from the file of a workspace directory.
#[derive(Clone, Debug)]
pub struct FileWorkshop {
    /// The workspace directory.
    pub dir: PathBuf,
    /// What LLM handlers share.
    pub models: Arc<Models>,
}

impl Workshop for FileWorkshop {
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String> {
        toq_config::handlers::load(&self.dir).map_err(|error| error.to_string())
    }

    fn work(&self, definition: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        if definition.is_llm() {
            return self.models.work(definition);
        }
        Err("this build has no shell handlers".to_owned())
    }
}
