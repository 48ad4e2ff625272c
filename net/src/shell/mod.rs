//! Running a command for a message, and ending it with everything that it started.
//!
//! The daemon does not start the command itself. It starts this program once more as a *supervisor*, which leads a
//! session of its own, adopts whatever the command leaves behind, and holds the end of a pipe whose other end is here. When the
//! pipe breaks, because the daemon was killed or because the run was dropped, the supervisor kills all of it. Should the
//! supervisor be killed itself, the system kills the command with it, and the daemon what else the run has left, before anything is
//! tried again. No line of this needs unsafe code.
//!
//! What an attacker would try: put a command into a message (nothing of a message is part of a command line; it goes to the
//! command as environment and on its standard input), read the daemon's secrets (the environment starts empty, and no
//! descriptor is inherited), or make a command that never ends, forks, or writes without end (a time limit, a kill of
//! all descendants, a limit of what is kept of its output).

mod frame;
mod log;
mod orphans;
mod scribe;
mod supervisor;

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use frame::Frame;
pub use log::{RunLog, Source};
use orphans::{MARK, Whose};
pub use scribe::Scribe;
pub use supervisor::{SUPERVISE, supervised, wait_for_leftovers};

/// How long a command may take to end after it was asked to.
pub const GRACE: Duration = Duration::from_secs(5);

/// How much of each output of a run is taken; the rest is read and thrown away.
pub const MAX_OUTPUT: usize = 1 << 20;

/// The longest value of an environment variable that comes from a message. The system takes 128 KiB.
pub const MAX_VALUE: usize = 32 * 1024;

/// What is run.
#[derive(Clone, Debug)]
pub struct Command {
    /// This program's own file, which becomes the supervisor.
    pub supervisor: PathBuf,
    /// The program and its arguments.
    pub program: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// A file that is locked for as long as anything of the run lives.
    pub lock: PathBuf,
    /// What it reads from standard input.
    pub input: Vec<u8>,
    /// How long it may take.
    pub limit: Duration,
}

/// What happens during a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The command has this process id.
    Began(u32),
    /// It wrote this to standard output.
    Out(Vec<u8>),
    /// It wrote this to standard error.
    Err(Vec<u8>),
    /// It writes more than is kept.
    Full(Source),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It took too long.
    TimedOut,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status: {code}"),
            Self::Killed(signal) => write!(f, "signal: {signal}"),
            Self::TimedOut => f.write_str("timeout"),
        }
    }
}

/// Runs a command to its end. Dropping the future kills the command and everything that it started. While `tell` takes its time, the
/// command waits.
///
/// # Errors
/// The system's, where the command or its supervisor cannot be started.
pub async fn run(command: Command, mut tell: impl AsyncFnMut(Progress)) -> io::Result<End> {
    supervisor::note_run(&command.lock)?;
    let mark = orphans::mark(&command.lock);
    let (child, control, mut frames) = start(&command, &mark)?;
    let session = child.id();
    // Until this is dropped the supervisor is not collected, so its number is no other process's.
    let mut lines = Lines { control: Some(control), _child: child };
    let end = follow(&command, &mut lines, &mut frames, &mut tell).await;
    if end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::BrokenPipe) {
        let killed = orphans::kill(Whose::Run { mark, session }).await;
        tracing::warn!(killed, "the supervisor of a run was killed; what the run had left was ended");
    }
    end
}

async fn follow(command: &Command, lines: &mut Lines, frames: &mut ChildStdout, tell: &mut impl AsyncFnMut(Progress)) -> io::Result<End> {
    lines.hand_over(&command.input).await?;
    let finish = read(frames, tell);
    let mut finish = std::pin::pin!(finish);
    match timeout(command.limit, &mut finish).await {
        Ok(end) => end,
        Err(_) => {
            lines.ask_to_end().await;
            // The supervisor kills after its own grace; should it hang, dropping the pipe kills at once.
            match timeout(GRACE * 2, &mut finish).await {
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(error),
                _ => Ok(End::TimedOut),
            }
        }
    }
}

fn start(command: &Command, mark: &str) -> io::Result<(Child, ChildStdin, ChildStdout)> {
    let lost = || io::Error::other("a pipe of the supervisor is missing");
    let mut child = tokio::process::Command::new(&command.supervisor)
        .arg0("toq")
        .arg(SUPERVISE)
        .arg(&command.lock)
        .args(&command.program)
        .env_clear()
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .env(MARK, mark)
        .current_dir(&command.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let control = child.stdin.take().ok_or_else(lost)?;
    let frames = child.stdout.take().ok_or_else(lost)?;
    Ok((child, control, frames))
}

/// The pipe that keeps a run alive.
struct Lines {
    control: Option<ChildStdin>,
    /// Its end is collected by the runtime even after this is dropped.
    _child: Child,
}

impl Lines {
    async fn hand_over(&mut self, input: &[u8]) -> io::Result<()> {
        let Some(control) = &mut self.control else { return Ok(()) };
        let length = u32::try_from(input.len()).map_err(|_| io::Error::other("the message is too long for a command"))?;
        control.write_all(&length.to_be_bytes()).await?;
        control.write_all(input).await?;
        control.flush().await
    }

    async fn ask_to_end(&mut self) {
        if let Some(control) = &mut self.control
            && control.write_all(supervisor::END).await.is_err()
        {
            self.control = None;
        }
    }
}

async fn read(frames: &mut ChildStdout, tell: &mut impl AsyncFnMut(Progress)) -> io::Result<End> {
    loop {
        match Frame::read(frames).await? {
            Some(Frame::Progress(progress)) => tell(progress).await,
            Some(Frame::End(end)) => return Ok(end),
            Some(Frame::Failed(reason)) => return Err(io::Error::other(reason)),
            None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the supervisor was killed")),
        }
    }
}
