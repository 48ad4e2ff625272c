//! One TXT record, as published peers read and as we write it.

use std::fmt;

use crate::address::{AgentName, DEFAULT_PORT};
use crate::key::PeerKey;

/// The version of records.
const VERSION: &str = "toq1";

/// Why a text is no record of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A member that every record has is missing.
    #[error("missing {0}= in DNS record")]
    Missing(&'static str),
    /// The port is no number that a port could be.
    #[error("invalid port in DNS record")]
    Port,
    /// The version is none that we know. Most TXT records of the world end here.
    #[error("unsupported DNS protocol version: {0}")]
    Version(String),
}

/// A record as published peers read it: nothing is known yet of its key and its name but their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The agent's name.
    pub agent: String,
    /// Its key, meant to be bare base64.
    pub key: String,
    /// Its port.
    pub port: u16,
}

impl Record {
    /// Reads `v=toq1; key=<base64>; port=9009; agent=<name>`: members in any order, unknown ones ignored, the last of
    /// several alike counts, the port may be missing.
    ///
    /// # Errors
    /// [`RecordError`] names the member that is wrong. Published peers skip such a record.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let (mut version, mut key, mut agent, mut port) = (None, None, None, DEFAULT_PORT);
        for member in text.split(';') {
            let Some((name, value)) = member.split_once('=') else { continue };
            let value = value.trim();
            match name.trim() {
                "v" => version = Some(value),
                "key" => key = Some(value),
                "agent" => agent = Some(value),
                "port" => port = value.parse().map_err(|_| RecordError::Port)?,
                _ => {}
            }
        }
        match version {
            Some(VERSION) => {}
            Some(other) => return Err(RecordError::Version(other.to_owned())),
            None => return Err(RecordError::Missing("v")),
        }
        let key = key.ok_or(RecordError::Missing("key"))?.to_owned();
        let agent = agent.ok_or(RecordError::Missing("agent"))?.to_owned();
        Ok(Self { agent, key, port })
    }

    /// The record that announces an agent.
    #[must_use]
    pub fn announcing(agent: &AgentName, key: &PeerKey, port: u16) -> Self {
        Self { agent: agent.to_string(), key: key.bare(), port }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v={VERSION}; key={}; port={}; agent={}", self.key, self.port, self.agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Identity;

    #[test]
    fn what_is_written_is_read_back() {
        let key = Identity::from_seed(&[7; 32]).public();
        let record = Record::announcing(&AgentName::parse("bob").expect("a name"), &key, 9010);

        assert_eq!(Record::parse(&record.to_string()), Ok(record.clone()));
        assert_eq!(format!("ed25519:{}", record.key), key.to_string());
    }
}
