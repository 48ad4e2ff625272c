//! The daemon's log, and what the process does to itself before it serves strangers.
//!
//! One log, one JSON object for each line, in `logs/toq.log`: what `toq logs` prints and `GET /v1/logs` answers. In the
//! foreground the same lines go to standard error for people. A stranger may cause lines, so each place in the program may
//! write only so many in a time, and the files together have a size.

mod flood;
mod lines;
mod rolling;

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use toq_config::{Loaded, LogLevel};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use lines::Lines;
pub use rolling::Bounds;
use rolling::Rolling;

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Starts logging; in the foreground to standard error as well.
pub fn start(loaded: &Loaded, foreground: bool) -> io::Result<()> {
    let config = &loaded.config;
    let bounds = Bounds { days: config.log_retention_days, bytes: u64::from(config.log_max_size_mb) << 20 };
    begin(&loaded.dir.join("logs"), bounds, config.log_level, foreground)
}

/// Starts logging into a directory.
pub fn begin(dir: &Path, bounds: Bounds, level: LogLevel, foreground: bool) -> io::Result<()> {
    let file = Rolling::open(dir.to_owned(), bounds)?;
    let (level, handle) = reload::Layer::new(filter(level));
    let people = foreground.then(|| fmt::layer().with_ansi(false).with_target(false).with_writer(io::stderr));
    // A second start in one process keeps the first log.
    if tracing_subscriber::registry().with(level).with(Lines::new(file)).with(people).try_init().is_ok() {
        let _only_once = LEVEL.set(handle);
    }
    std::panic::set_hook(Box::new(|panic| {
        // The payload may hold what a peer sent or a secret; the place is enough.
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        tracing::error!(place, "a panic was contained");
    }));
    Ok(())
}

/// Changes what is logged, at once.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get()
        && let Err(error) = handle.reload(filter(level))
    {
        tracing::warn!(%error, "the log level stays as it is");
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Allows as many descriptors as the system lets us have, and no core dumps: memory holds keys. Returns how many
/// descriptors that are; `None` where there is no limit.
pub fn harden() -> Option<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps stay as they are");
    }
    getrlimit(Resource::Nofile).current
}
