//! The process between the daemon and a command: `toq run-child LOCK PROGRAM ARGUMENTS…`.
//!
//! It reads the message from standard input, starts the command with it, passes on what the command writes, and waits. When its
//! standard input ends, the daemon is gone or has dropped the run: everything is killed. When it reads [`END`], the command
//! is asked to end and killed after [`GRACE`]. When the command ends, what it left behind is killed.
//!
//! Its own death is provided for: the command is started by a second step of this program, which asks the system to be
//! killed with its parent and then becomes the command.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group, set_child_subreaper, set_parent_process_death_signal,
    setsid, waitpid,
};

use super::frame::Frame;
use super::orphans::{self, Whose};
use super::{End, GRACE, MAX_OUTPUT, Progress, Source};

/// The first argument that makes this program a supervisor.
pub const SUPERVISE: &str = "run-child";

/// The first argument that makes this program the command; the second is the supervisor's process id.
const BECOME: &str = "run-child-command";

/// What asks the command to end.
pub(super) const END: &[u8] = b"e";

/// The longest message that is read.
const MAX_INPUT: u32 = 64 << 20;

/// How many events may wait.
const EVENTS: usize = 16;

/// How often descendants are looked for after a kill, before they are left to the system.
const SWEEPS: usize = 1000;

/// The exit code of a command that could not be started, as shells have it.
const NOT_STARTED: u8 = 127;

/// Is the supervisor or the command where the arguments say so; answers the exit code then.
///
/// Must be asked before anything else is done: a supervisor has nothing else to do.
#[must_use]
pub fn supervised(arguments: &[OsString]) -> Option<u8> {
    let rest = arguments.get(2..).unwrap_or_default();
    if arguments.get(1).is_some_and(|first| first == SUPERVISE) {
        return Some(supervise(rest));
    }
    arguments.get(1).is_some_and(|first| first == BECOME).then(|| become_command(rest))
}

/// Waits until nothing of an earlier daemon's runs lives. Its supervisors kill what they have when it ends; this is for the
/// moment in between, and for what is left of runs whose supervisors were killed with it.
///
/// # Errors
/// The system's, where the lock cannot be used.
pub async fn wait_for_leftovers(lock: &Path, patience: Duration) -> io::Result<()> {
    let pause = Duration::from_millis(10);
    let file = open_lock(lock)?;
    let mut waited = Duration::ZERO;
    while waited < patience {
        match file.try_lock() {
            Ok(()) => return end_leftovers(lock, &file).await,
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(pause).await,
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        waited += pause;
    }
    tracing::warn!("runs of an earlier daemon still live");
    end_leftovers(lock, &file).await
}

/// To look at every process of the system is a good part of a start, so it is done only where something was run since the last time.
async fn end_leftovers(lock: &Path, file: &File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let killed = orphans::kill(Whose::workspace(lock)).await;
    if killed > 0 {
        tracing::warn!(killed, "what runs of an earlier daemon had left was ended");
    }
    file.set_len(0)
}

/// Notes in the lock that something was run.
pub(super) fn note_run(lock: &Path) -> io::Result<()> {
    let mut file = open_lock(lock)?;
    if file.metadata()?.len() == 0 {
        file.write_all(b"run")?;
    }
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Becomes the command. Answers only where that fails.
fn become_command(arguments: &[OsString]) -> u8 {
    let parent = arguments.first().and_then(|parent| parent.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    // A parent that died before the line above would never be missed.
    if bound.is_err() || parent.is_none() || getppid() != parent {
        return NOT_STARTED;
    }
    // Ours are closed anyway; these are what the daemon itself was started with and never knew of.
    close_fds::set_fds_cloexec(3, &[]);
    let Some((program, rest)) = arguments.get(1..).and_then(<[_]>::split_first) else { return NOT_STARTED };
    let error = Command::new(program).args(rest).exec();
    drop(writeln!(io::stderr().lock(), "cannot run {}: {error}", program.display()));
    NOT_STARTED
}

enum Event {
    Output(Source, Vec<u8>),
    /// An output of the command has ended.
    Closed,
    Ended(io::Result<ExitStatus>),
    EndPlease,
    Kill,
}

fn supervise(arguments: &[OsString]) -> u8 {
    let mut pipe = io::stdout();
    let told = match begin(arguments) {
        Ok(begun) => follow(begun.process, &begun.events, &mut pipe),
        Err(error) => Frame::Failed(error.to_string()).write(&mut pipe),
    };
    u8::from(told.is_err())
}

/// A command that runs.
struct Begun {
    process: Pid,
    events: Receiver<Event>,
    /// Says to a later daemon that something of an earlier one may live.
    _lock: File,
}

/// Starts the command and the threads that watch it.
fn begin(arguments: &[OsString]) -> io::Result<Begun> {
    let (lock, program) = arguments.split_first().ok_or_else(|| io::Error::other("what shall be run?"))?;
    // Fails where we lead a group already, which nobody who starts us does.
    let _leads_already = setsid();
    set_child_subreaper(Some(getpid()))?;
    let lock = open_lock(Path::new(lock))?;
    lock.lock_shared()?;
    let mut control = io::stdin();
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_INPUT {
        return Err(io::Error::other("the message is too long for a command"));
    }
    let mut input = Vec::new();
    control.by_ref().take(u64::from(length)).read_to_end(&mut input)?;
    if input.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }

    let mut child = Command::new("/proc/self/exe")
        .arg(BECOME)
        .arg(getpid().as_raw_nonzero().to_string())
        .args(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no process id"))?;
    let (events, received) = sync_channel(EVENTS);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        // A command that does not read its message is no failure.
        drop(stdin.map(|mut stdin| stdin.write_all(&input)));
    });
    pass_on(stdout, Source::Out, events.clone());
    pass_on(stderr, Source::Err, events.clone());
    let ends = events.clone();
    thread::spawn(move || listen(&mut control, &ends));
    thread::spawn(move || {
        drop(events.send(Event::Ended(child.wait())));
    });
    Ok(Begun { process, events: received, _lock: lock })
}

/// Passes an output on, up to its limit, and reads the rest so that the command is not held up.
fn pass_on(output: Option<impl Read + Send + 'static>, source: Source, events: SyncSender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        let mut output = output;
        while let Some(read) = output.as_mut().and_then(|output| output.read(&mut buffer).ok()).filter(|read| *read > 0) {
            if events.send(Event::Output(source, buffer[..read].to_vec())).is_err() {
                return;
            }
        }
        drop(events.send(Event::Closed));
    });
}

/// Hears when the daemon wants the end, and when it is gone.
fn listen(control: &mut impl Read, events: &SyncSender<Event>) {
    let mut byte = [0; 1];
    while control.read(&mut byte).is_ok_and(|read| read > 0) {
        if events.send(Event::EndPlease).is_err() {
            return;
        }
        let late = events.clone();
        thread::spawn(move || {
            let (_never, nothing) = sync_channel::<()>(0);
            let _grace_is_over = nothing.recv_timeout(GRACE);
            drop(late.send(Event::Kill));
        });
    }
    drop(events.send(Event::Kill));
}

/// Follows the command to its end.
fn follow(process: Pid, events: &Receiver<Event>, pipe: &mut impl io::Write) -> io::Result<()> {
    let began = u32::try_from(process.as_raw_nonzero().get()).unwrap_or_default();
    // A daemon that is gone is no reason to stop here: what it started must end first.
    let mut told = Frame::Progress(Progress::Began(began)).write(pipe);
    let (mut taken, mut open, mut ended) = ([0; 2], 2, None);
    while open > 0 || ended.is_none() {
        let Ok(event) = events.recv() else { break };
        match event {
            Event::Output(source, bytes) => {
                let so_far: &mut usize = &mut taken[usize::from(source == Source::Err)];
                let is_full = *so_far >= MAX_OUTPUT;
                *so_far = so_far.saturating_add(bytes.len());
                if !is_full && told.is_ok() {
                    let kept = |bytes| if source == Source::Out { Progress::Out(bytes) } else { Progress::Err(bytes) };
                    told = Frame::Progress(kept(bytes)).write(pipe);
                    if told.is_ok() && *so_far >= MAX_OUTPUT {
                        told = Frame::Progress(Progress::Full(source)).write(pipe);
                    }
                    if told.is_err() {
                        kill(process);
                    }
                }
            }
            Event::Closed => open -= 1,
            Event::Ended(status) => {
                // Whatever it left behind would otherwise outlive the run, and hold its outputs open.
                kill(process);
                ended = Some(status);
            }
            Event::EndPlease => {
                let _gone_already = kill_process_group(process, Signal::TERM);
            }
            Event::Kill => kill(process),
        }
    }
    told?;
    match ended {
        Some(Ok(status)) => Frame::End(end(status)).write(pipe),
        Some(Err(error)) => Frame::Failed(error.to_string()).write(pipe),
        None => Ok(()),
    }
}

fn end(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    }
}

/// Kills the command, its group, and all that descends from it, whatever sessions they made for themselves: what
/// loses its parent becomes our child.
fn kill(process: Pid) {
    let _gone_already = kill_process_group(process, Signal::KILL);
    for _ in 0..SWEEPS {
        let children = children();
        let others = children.iter().filter(|child| **child != process);
        let alive: Vec<Pid> = others.copied().collect();
        for child in &alive {
            let _leads_no_group = kill_process_group(*child, Signal::KILL);
            let _gone_already = kill_process(*child, Signal::KILL);
            // Collected, so that the next look finds those that it leaves behind.
            let _collected = waitpid(Some(*child), WaitOptions::empty());
        }
        if alive.is_empty() {
            return;
        }
    }
}

/// Our children, as the system lists them.
fn children() -> Vec<Pid> {
    let own = getpid();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let is_child = |entry: &fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The parent follows the state, which follows the name, which is in parentheses and may contain anything.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        (Pid::from_raw(parent) == Some(own)).then_some(())
    };
    processes
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .filter(|entry| is_child(entry).is_some())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect()
}
