//! Lists the agents that run on this machine, and keeps the registry that knows them.
//!
//! The registry is a file per name in `~/.toq/agents/`, always below the home directory. Nothing depends on it but
//! `toq agents` and `toq down --name`; an entry whose process has ended is removed by whoever meets it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use toq_config::registry::Entry;

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;
use super::state::is_alive;

/// Lists the agents that run on this machine
#[derive(Debug, clap::Args)]
pub struct Agents {}

impl Agents {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        let entries = list(desk.home()?);
        desk.output.answer(
            || {
                let agents: Vec<_> = entries
                    .iter()
                    .map(|entry| {
                        json!({"name": entry.name, "port": entry.port, "peer_port": entry.peer_port, "pid": entry.pid,
                            "config_dir": entry.config_dir, "started_at": entry.started_at})
                    })
                    .collect();
                json!({ "agents": agents })
            },
            || table(&entries),
        )
    }
}

/// Writes an agent into the registry.
#[allow(dead_code, reason = "called by the daemon")]
pub fn register(home: &Path, entry: &Entry) -> io::Result<()> {
    list(home);
    let folder = folder(home);
    fs::create_dir_all(&folder)?;
    let temporary = folder.join(format!(".{}.{}.tmp", entry.name, entry.pid));
    fs::write(&temporary, entry.to_text())?;
    // Two workspaces may have an agent of one name each: the second is entered beside the first.
    let taken = read(&file(home, &entry.name)).is_some_and(|other| other.pid != entry.pid && other.config_dir != entry.config_dir);
    fs::rename(temporary, if taken { beside(home, entry.pid, &entry.name) } else { file(home, &entry.name) })
}

/// Removes an agent from the registry, unless another process has taken its name since.
#[allow(dead_code, reason = "called by the daemon")]
pub fn unregister(home: &Path, name: &str, pid: u32) -> io::Result<()> {
    let paths = [file(home, name), beside(home, pid, name)];
    let mut ours = paths.into_iter().filter(|path| read(path).is_some_and(|entry| entry.pid == pid));
    ours.try_for_each(fs::remove_file)
}

/// Returns the agents that run, by name, and removes the entries of those that do not.
pub fn list(home: &Path) -> Vec<Entry> {
    let Ok(files) = fs::read_dir(folder(home)) else {
        return Vec::new();
    };
    let mut entries = Vec::new();
    for path in files.filter_map(|file| Some(file.ok()?.path())) {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        match read(&path) {
            Some(entry) if is_alive(entry.pid) => entries.push(entry),
            // If it cannot be removed it is met again, which does no harm.
            Some(_) => drop(fs::remove_file(&path)),
            None => {}
        }
    }
    entries.sort_by(|one, other| (&one.name, &one.config_dir).cmp(&(&other.name, &other.config_dir)));
    entries
}

fn table(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "No agents registered".to_owned();
    }
    let mut text = format!("{:<16} {:<8} {:<8} CONFIG", "NAME", "PORT", "PID");
    for entry in entries {
        let name = sanitize::name(&entry.name);
        let dir = sanitize::name(&entry.config_dir.to_string_lossy());
        let api = if entry.port == entry.peer_port { String::new() } else { format!(" (api port {})", entry.port) };
        text.push_str(&format!("\n{name:<16} {:<8} {:<8} {dir}{api}", entry.peer_port, entry.pid));
    }
    text
}

fn read(path: &Path) -> Option<Entry> {
    Entry::parse(&fs::read_to_string(path).ok()?)
}

fn folder(home: &Path) -> PathBuf {
    home.join(".toq").join("agents")
}

fn file(home: &Path, name: &str) -> PathBuf {
    folder(home).join(format!("{name}.toml"))
}

/// Where an agent is entered whose name another one that runs has. No agent's name has a dot.
fn beside(home: &Path, pid: u32, name: &str) -> PathBuf {
    folder(home).join(format!("{name}.{pid}.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, pid: u32) -> Entry {
        Entry { name: name.into(), port: 18101, peer_port: 18101, pid, config_dir: "/a/.toq".into(), started_at: 1 }
    }

    #[test]
    fn a_living_agent_is_listed_and_a_dead_one_is_forgotten() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let (living, dead) = (entry("alice", std::process::id()), entry("bob", 2_147_483_646));

        register(home.path(), &living).expect("the directory is ours");
        register(home.path(), &dead).expect("the directory is ours");

        assert_eq!(list(home.path()), [living]);
        assert!(!file(home.path(), "bob").exists());
    }

    #[test]
    fn an_agent_removes_only_its_own_entry() {
        let home = tempfile::tempdir().expect("a temporary directory");
        register(home.path(), &entry("alice", std::process::id())).expect("the directory is ours");

        unregister(home.path(), "alice", 1).expect("nothing to do");
        assert_eq!(list(home.path()).len(), 1);

        unregister(home.path(), "alice", std::process::id()).expect("it is there");
        assert!(list(home.path()).is_empty());
    }

    #[test]
    fn two_workspaces_with_one_name_are_both_listed() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut other = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let (one, two) = (entry("alice", std::process::id()), Entry { config_dir: "/b/.toq".into(), ..entry("alice", other.id()) });

        register(home.path(), &one).expect("the directory is ours");
        register(home.path(), &two).expect("the directory is ours");
        assert_eq!(list(home.path()), [one.clone(), two]);

        unregister(home.path(), "alice", other.id()).expect("it is there");
        assert_eq!(list(home.path()), [one]);
        other.kill().expect("ours");
        other.wait().expect("ours");
    }

    #[test]
    fn the_table_lines_up() {
        assert_eq!(table(&[]), "No agents registered");
        assert_eq!(table(&[entry("alice", 7)]), "NAME             PORT     PID      CONFIG\nalice            18101    7        /a/.toq");
    }
}
