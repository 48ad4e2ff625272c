//! The daemon's log: its lines, and how they are asked for.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// The query of `GET /v1/logs`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Answers with a live stream of new lines instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}

/// The answer of `GET /v1/logs`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct LogsResponse {
    /// The lines, oldest first.
    pub entries: Vec<LogEntry>,
}

/// One line of the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct LogEntry {
    /// When, RFC 3339.
    pub timestamp: String,
    /// How bad: `error`, `warn`, `info`, `debug`.
    pub level: String,
    /// What.
    pub message: String,
    /// About what: names and values.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
}

impl LogEntry {
    /// Reads a line of `logs/toq.log`; nothing where it is none, such as one that was cut off by a crash.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The message and its fields, for people. What strangers said is in it as it is.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!("{} {:>5} {}", self.timestamp, self.level.to_ascii_uppercase(), self.message);
        for (name, value) in &self.fields {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            words.push_str(&format!(" {name}={value}"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_half_a_line_is_not() {
        let line = r#"{"timestamp":"T","level":"warn","message":"refused","fields":{"peer":"a","count":2}}"#;

        let entry = LogEntry::parse(line).expect("a line");

        assert_eq!(entry.words(), "T  WARN refused count=2 peer=a");
        assert_eq!(LogEntry::parse(&line[..40]), None);
    }
}
