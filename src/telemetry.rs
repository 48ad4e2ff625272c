//! Logs, and what the process does to itself before it serves strangers.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::sync::Mutex;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use toq_config::Loaded;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};

/// Starts logging: to standard error, which a background daemon has in `logs/toq.log`; in the foreground
/// to that file as well.
pub fn start(loaded: &Loaded, foreground: bool) -> io::Result<()> {
    let level: LevelFilter = loaded.config.log_level.as_str().parse().unwrap_or(LevelFilter::WARN);
    let writer = if foreground { BoxMakeWriter::new(io::stderr.and(Mutex::new(log(loaded)?))) } else { BoxMakeWriter::new(io::stderr) };
    let subscriber = fmt().with_max_level(level).with_ansi(false).with_target(false).with_writer(writer);
    // A second start in one process keeps the first log.
    let _running = subscriber.try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The payload may hold what a peer sent or a secret; the place is enough.
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        tracing::error!(place, "a panic was contained");
    }));
    Ok(())
}

fn log(loaded: &Loaded) -> io::Result<std::fs::File> {
    let dir = loaded.dir.join("logs");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("toq.log"))
}

/// Allows as many descriptors as the system lets us have, and no core dumps: memory holds keys.
pub fn harden() {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps stay as they are");
    }
}
