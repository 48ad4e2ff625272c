//! `state.json`: how a command finds the daemon of its workspace.
//!
//! The configured port is not where the daemon is: it may be 0, overridden, or changed since the start. The daemon
//! writes where it is. The file is believed only if it belongs to this user and nobody else may write it, because
//! whoever writes it decides who gets our messages; and only while its process lives, because a crash leaves it behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, geteuid, test_kill_process};
use serde_json::Value;

use super::failure::Failure;

/// The name of the file.
const FILE: &str = "state.json";

/// Where a daemon is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct State {
    /// The port that local programs call.
    pub port: u16,
    /// The port that peers reach.
    pub peer_port: u16,
    /// The process.
    pub pid: u32,
}

/// Returns where the living daemon of a workspace is, if there is one.
pub fn live(dir: &Path) -> Result<Option<State>, Failure> {
    Ok(read(dir)?.filter(|state| is_alive(state.pid) && is_ours(state.pid)))
}

/// Says whether a process may be this user's. One that is another's has got the number of our daemon after its end.
fn is_ours(pid: u32) -> bool {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) != Err(rustix::io::Errno::PERM))
}

/// Returns what the file says, whether its process lives or not.
pub fn read(dir: &Path) -> Result<Option<State>, Failure> {
    let path = dir.join(FILE);
    let Ok(metadata) = fs::metadata(&path) else {
        return Ok(None);
    };
    let foreign = metadata.uid() != geteuid().as_raw();
    if foreign || metadata.mode() & 0o022 != 0 {
        let why = if foreign { "belongs to another user" } else { "can be written by other users" };
        return Err(Failure::error(format!("{} {why} and is not believed", path.display())));
    }
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    Ok(parse(&text))
}

/// Says whether a process lives.
pub fn is_alive(pid: u32) -> bool {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // A process that has ended but whose parent has not asked how still takes signals.
    match test_kill_process(process) {
        Ok(()) => !is_zombie(pid),
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// Says whether a process may be a toq daemon, as far as the system can tell.
///
/// After a crash another process may have got the number; it must not be stopped in the daemon's place.
pub fn is_toq(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => name.trim_end().starts_with("toq"),
        Err(_) => true,
    }
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may contain anything.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    let is_zombie = fields.next() == Some("Z");
    // The first thread may be gone while another one still writes to the disk, with all files open.
    is_zombie && fields.nth(16).is_none_or(|threads| threads == "1" || threads == "0")
}

fn parse(text: &str) -> Option<State> {
    let json: Value = serde_json::from_str(text).ok()?;
    let port = u16::try_from(json.get("port")?.as_u64()?).ok().filter(|port| *port != 0)?;
    let pid = u32::try_from(json.get("pid")?.as_u64()?).ok()?;
    let peer_port = json.get("peer_port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()).unwrap_or(port);
    Some(State { port, peer_port, pid })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(text: &str, mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(FILE);
        fs::write(&path, text).expect("the directory is ours");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
        dir
    }

    #[test]
    fn the_state_of_a_living_process_is_believed() {
        let dir = written(&format!("{{\"port\":18101,\"pid\":{},\"status\":\"running\"}}", std::process::id()), 0o600);

        let state = live(dir.path()).expect("it is ours");

        assert_eq!(state, Some(State { port: 18101, peer_port: 18101, pid: std::process::id() }));
    }

    #[test]
    fn what_a_crash_left_behind_is_not() {
        let dir = written("{\"port\":18101,\"pid\":2147483646}", 0o600);

        assert_eq!(live(dir.path()), Ok(None));
    }

    #[test]
    fn a_file_that_others_may_write_is_an_error() {
        let dir = written("{\"port\":18101,\"pid\":1}", 0o666);

        let failure = live(dir.path()).expect_err("others may write it");

        assert!(failure.message.contains("can be written by other users"), "{failure}");
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "{}", "[1]", "{\"port\":0,\"pid\":1}", "{\"port\":70000,\"pid\":1}"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
