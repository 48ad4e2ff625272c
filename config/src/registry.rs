//! The entry of a running agent in the registry `~/.toq/agents/`, as text.
//!
//! One small TOML file per agent name. The files are written by the daemon and read by `toq agents` and by
//! `toq down --name`; this room only knows what is in them.

use std::path::PathBuf;

use toml_edit::{DocumentMut, value};

/// A running agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The port that local programs call.
    pub port: u16,
    /// The port that peers reach; the same unless the API has a listener of its own.
    pub peer_port: u16,
    /// The process.
    pub pid: u32,
    /// Its workspace directory.
    pub config_dir: PathBuf,
    /// When it started, in seconds since 1970.
    pub started_at: u64,
}

impl Entry {
    /// Reads an entry; nothing if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let document: DocumentMut = text.parse().ok()?;
        let text = |key: &str| document.get(key)?.as_str();
        let number = |key: &str| document.get(key)?.as_integer();
        let port = u16::try_from(number("port")?).ok()?;
        Some(Self {
            name: text("name")?.to_owned(),
            port,
            peer_port: number("peer_port").and_then(|port| u16::try_from(port).ok()).unwrap_or(port),
            pid: u32::try_from(number("pid")?).ok()?,
            config_dir: PathBuf::from(text("config_dir")?),
            started_at: text("started_at")?.parse().ok()?,
        })
    }

    /// Returns the entry as the text of its file.
    pub fn to_text(&self) -> String {
        let mut document = DocumentMut::new();
        document["name"] = value(self.name.as_str());
        document["port"] = value(i64::from(self.port));
        if self.peer_port != self.port {
            document["peer_port"] = value(i64::from(self.peer_port));
        }
        document["pid"] = value(i64::from(self.pid));
        document["config_dir"] = value(self.config_dir.to_string_lossy().as_ref());
        // A text, as the published daemon writes it.
        document["started_at"] = value(self.started_at.to_string());
        document.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_file() {
        let entry = Entry {
            name: "alice".into(),
            port: 18101,
            peer_port: 9009,
            pid: 42,
            config_dir: "/home/a \"b\"/.toq".into(),
            started_at: 1_795_224_000,
        };

        assert_eq!(Entry::parse(&entry.to_text()), Some(entry));
    }

    #[test]
    fn other_text_is_no_entry() {
        assert_eq!(Entry::parse("name = \"alice\""), None);
        assert_eq!(Entry::parse("= ="), None);
    }
}
