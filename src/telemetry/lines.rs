//! What happens, as one JSON object for each line of the log.

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use toq_kit::Clock;
use toq_protocol::time::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::flood::{Flood, Verdict};
use super::rolling::Rolling;

/// The longest value of a field, in bytes: names and reasons from strangers are shorter where they are honest.
const LONGEST: usize = 1024;

/// Writes lines.
pub struct Lines {
    clock: Clock,
    sink: Mutex<(Rolling, Flood)>,
}

impl Lines {
    /// Writes to a file.
    pub fn new(file: Rolling) -> Self {
        Self { clock: Clock::system(), sink: Mutex::new((file, Flood::default())) }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, flood) = &mut *sink;
        let Verdict::Write { left_out } = flood.verdict(event.metadata().callsite(), self.clock.monotonic()) else { return };
        let now = Timestamp::from_nanos(self.clock.wall_nanos());
        let mut said = Said::default();
        event.record(&mut said);
        let level = word(*event.metadata().level());
        if left_out > 0 {
            let note = format!("{left_out} lines like the next one were left out");
            file.append(&line(now, level, &note, Map::new()), now);
        }
        file.append(&line(now, level, &said.message, said.fields), now);
    }
}

fn line(now: Timestamp, level: &str, message: &str, fields: Map<String, Value>) -> String {
    let mut line = json!({ "timestamp": now.to_string(), "level": level, "message": message });
    if !fields.is_empty() {
        line["fields"] = Value::Object(fields);
    }
    format!("{line}\n")
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn put(&mut self, field: &Field, text: &str) {
        let end = text.floor_char_boundary(LONGEST);
        let text = text.get(..end).unwrap_or_default();
        if field.name() == "message" {
            text.clone_into(&mut self.message);
        } else {
            self.fields.insert(field.name().to_owned(), Value::from(text));
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to memory cannot fail; a value that cannot show itself is empty.
        let _shown = write!(text, "{value:?}");
        self.put(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), Value::from(value));
    }
}
