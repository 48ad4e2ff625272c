//! What a run leaves behind whose supervisor was killed: found by the mark in its environment, and killed.
//!
//! While a supervisor lives, it finds everything that descends from it, and nothing here is needed. Once it is gone, what had made a
//! session of its own belongs to nobody; but it was started with the run's environment, which the system shows to the same user.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};

/// The variable that says of which run a process is.
pub(super) const MARK: &str = "TOQ_RUN";

/// How often it is looked for what lives, before it is left to the system.
const LOOKS: usize = 500;

/// How long what was killed may take to be gone.
const PAUSE: Duration = Duration::from_millis(10);

/// The mark of a run that begins: which workspace's, and which of this daemon's.
pub(super) fn mark(lock: &Path) -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    format!("{}{}.{}", of_workspace(lock), getpid().as_raw_nonzero(), RUNS.fetch_add(1, Ordering::Relaxed))
}

/// What the marks of all runs of a workspace begin with.
fn of_workspace(lock: &Path) -> String {
    format!("{}#", lock.display())
}

/// Whose processes are meant.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// Those of one run, by its mark and the session of its supervisor.
    Run { mark: String, session: Option<u32> },
    /// Those of every run of the workspace that has this lock.
    Workspace(String),
}

impl Whose {
    pub(super) fn workspace(lock: &Path) -> Self {
        Self::Workspace(of_workspace(lock))
    }

    fn includes(&self, process: &Path) -> bool {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let mut marks = environment.split(|byte| *byte == 0).filter_map(|entry| entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="));
        match self {
            Self::Run { mark, session } => {
                marks.any(|found| found == mark.as_bytes()) || (session.is_some() && session_of(process) == *session)
            }
            Self::Workspace(beginning) => marks.any(|found| found.starts_with(beginning.as_bytes())),
        }
    }

    /// Those that live now. One that has ended and is not collected has neither an environment nor anything to kill.
    fn living(&self) -> Vec<Pid> {
        let own = getpid();
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let is_process = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        let found = processes.filter_map(Result::ok).filter(is_process).filter(|entry| self.includes(&entry.path()));
        let found = found.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
        found.filter(|process| *process != own).collect()
    }
}

/// The session of a process that has not ended.
fn session_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // State, parent, group and session follow the name, which is in parentheses and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    fields.next().filter(|state| *state != "Z")?;
    fields.nth(2)?.parse().ok()
}

/// Kills them until none lives; answers how many were killed.
pub(super) async fn kill(whose: Whose) -> usize {
    let mut killed = std::collections::HashSet::new();
    for _ in 0..LOOKS {
        let looking = whose.clone();
        // Every process of the system is looked at.
        let living = tokio::task::spawn_blocking(move || looking.living()).await.unwrap_or_default();
        if living.is_empty() {
            break;
        }
        for process in living {
            let _gone_already = kill_process(process, Signal::KILL);
            killed.insert(process);
        }
        tokio::time::sleep(PAUSE).await;
    }
    killed.len()
}
