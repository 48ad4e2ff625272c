//! The workshop of a daemon: handlers from `handlers.toml`, and what each kind does.

use std::path::PathBuf;
use std::sync::Arc;

use toq_config::HandlerConfig;

use super::llm::Models;
use super::shell::Shell;
use super::work::{Work, Workshop};

/// What handlers of all kinds work with.
#[derive(Clone, Debug)]
pub struct Bench {
    /// The workspace directory, absolute.
    pub dir: PathBuf,
    /// This program's own file.
    pub program: PathBuf,
    /// The environment of the daemon. Handlers get the parts of it that they are allowed.
    pub variables: Vec<(String, String)>,
    /// Where the local API is.
    pub api_port: u16,
}

impl Bench {
    /// Where the logs of handlers are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs").join("handlers")
    }

    /// The file that is locked while runs live.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("runs.lock")
    }
}

/// Makes handlers from the file of a workspace directory.
#[derive(Clone, Debug)]
pub struct FileWorkshop {
    bench: Arc<Bench>,
    /// What LLM handlers share.
    models: Arc<Models>,
}

impl FileWorkshop {
    /// A workshop with this bench.
    #[must_use]
    pub fn new(bench: Bench) -> Self {
        let models = Arc::new(Models::new(bench.dir.clone(), bench.variables.clone()));
        Self { bench: Arc::new(bench), models }
    }
}

impl Workshop for FileWorkshop {
    fn definitions(&self) -> Result<Vec<HandlerConfig>, String> {
        toq_config::handlers::load(&self.bench.dir).map_err(|error| error.to_string())
    }

    fn work(&self, definition: &HandlerConfig) -> Result<Arc<dyn Work>, String> {
        if definition.is_llm() {
            return self.models.work(definition);
        }
        Ok(Arc::new(Shell::new(self.bench.clone())))
    }
}
