//! Lists handlers, and what they gave up.

use serde_json::{Value, json};
use toq_api::{HandlerView, HandlersResponse, SetAsideResponse};
use toq_http::handlers::defined;

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::{message, sanitize, state};

/// Lists the handlers
#[derive(Debug, clap::Args)]
pub struct List {}

impl List {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let answer = all(desk).await?;
        desk.output.answer(
            || json!(answer),
            || match answer.handlers.as_slice() {
                [] => "No handlers registered".to_owned(),
                handlers => table(handlers),
            },
        )
    }
}

/// Shows everything that is known of one handler.
pub async fn show(desk: &Desk, name: &str) -> Result<(), Failure> {
    let found = all(desk).await?.handlers.into_iter().find(|handler| handler.name == name);
    let handler = found
        .ok_or_else(|| Failure::told(format!("Handler '{}' not found", sanitize::name(name))).hint("`toq handler list` shows them"))?;
    desk.output.answer(|| json!(handler), || sheet(&json!(handler)))
}

/// Every handler: as the daemon has them, or as they are defined where none runs.
async fn all(desk: &Desk) -> Result<HandlersResponse, Failure> {
    let dir = desk.dir()?;
    match state::live(&dir)? {
        Some(_) => Ok(desk.client()?.get(&["v1", "handlers"], &[]).await?),
        None => Ok(HandlersResponse { handlers: toq_config::handlers::load(&dir)?.into_iter().map(defined).collect() }),
    }
}

/// One line for each key that says something, in the order of their names.
fn sheet(handler: &Value) -> String {
    let says = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => {
            let word = |item: &Value| match item {
                Value::String(text) => text.clone(),
                Value::Object(replaced) => {
                    let text = |name: &str| replaced.get(name).and_then(Value::as_str).unwrap_or_default();
                    format!("{} is now {}", text("key"), text("current"))
                }
                other => other.to_string(),
            };
            Some(list.iter().map(word).collect::<Vec<_>>().join(", "))
        }
        other => Some(other.to_string()),
    };
    let lines = handler.as_object().into_iter().flatten().filter_map(|(key, value)| Some((key, says(value)?)));
    lines.map(|(key, text)| format!("{:<18} {}", format!("{key}:"), sanitize::text(&text))).collect::<Vec<_>>().join("\n")
}

/// Lists the messages that a handler failed on too often.
pub async fn set_aside(desk: &Desk, name: &str) -> Result<(), Failure> {
    let answer: SetAsideResponse = desk.client()?.get(&["v1", "handlers", name, "set-aside"], &[]).await?;
    let words = || {
        let each = answer.messages.iter().map(|aside| {
            let why = sanitize::text(&aside.reason);
            format!("{}\n  set aside after {} attempt(s): {why}", message::words(&aside.message), aside.attempts)
        });
        each.collect::<Vec<_>>().join("\n")
    };
    desk.output.answer(|| json!(answer), || if answer.messages.is_empty() { "No messages set aside".to_owned() } else { words() })
}

fn table(handlers: &[HandlerView]) -> String {
    let row = |name: &str, enabled: &str, active: &str, kind: &str, filter: &str| {
        format!("{name:<20} {enabled:<8} {active:<8} {kind:<16} {filter}")
    };
    let mut lines = vec![row("NAME", "ENABLED", "ACTIVE", "TYPE", "FILTER")];
    for handler in handlers {
        let kind = if handler.provider.is_empty() { "command".to_owned() } else { format!("{}/{}", handler.provider, handler.model) };
        let active = handler.active.to_string();
        let mut filter = filter(handler);
        if handler.state == "broken" || handler.state == "paused" {
            let why = handler.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            filter.push_str(&format!(" [{}{why}]", handler.state));
        }
        if handler.set_aside > 0 {
            filter.push_str(&format!(" [{} set aside]", handler.set_aside));
        }
        lines.push(sanitize::text(&row(&handler.name, &handler.enabled.to_string(), &active, &kind, &filter)));
    }
    lines.join("\n")
}

fn filter(handler: &HandlerView) -> String {
    let now = |key: &String| {
        let replaced = handler.replaced_keys.iter().find(|replaced| replaced.key == *key);
        replaced.map_or_else(|| key.clone(), |replaced| format!("{key} (now {})", replaced.current))
    };
    let keys = handler.filter_key.iter().map(now).collect();
    let kinds = [("from", &handler.filter_from), ("key", &keys), ("type", &handler.filter_type)];
    let words = kinds.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| format!("{name}: {}", list.join(", ")));
    let words: Vec<_> = words.collect();
    if words.is_empty() { "(all)".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use toq_api::ReplacedKey;

    use super::*;

    #[test]
    fn the_table_is_as_published_and_says_what_is_wrong() {
        let plain = HandlerView { name: "echo".into(), enabled: true, state: "working".into(), ..HandlerView::default() };
        let friends = HandlerView {
            name: "friends".into(),
            filter_key: vec!["ed25519:A".into(), "ed25519:B".into()],
            replaced_keys: vec![ReplacedKey { key: "ed25519:A".into(), current: "ed25519:C".into() }],
            ..HandlerView::default()
        };
        let broken = HandlerView {
            name: "bot".into(),
            provider: "ollama".into(),
            model: "m1".into(),
            filter_from: vec!["toq://a/*".into(), "toq://b/*".into()],
            filter_type: vec!["message.send".into()],
            state: "broken".into(),
            reason: Some("no key".into()),
            set_aside: 2,
            ..HandlerView::default()
        };

        let text = table(&[plain, broken, friends.clone()]);

        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "NAME                 ENABLED  ACTIVE   TYPE             FILTER");
        assert_eq!(lines[1], "echo                 true     0        command          (all)");
        assert_eq!(
            lines[2],
            "bot                  false    0        ollama/m1        from: toq://a/*, toq://b/*; type: message.send [broken: no key] [2 set aside]"
        );
        assert!(lines[3].ends_with("key: ed25519:A (now ed25519:C), ed25519:B"), "{}", lines[3]);
        assert!(sheet(&json!(friends)).contains("replaced_keys:     ed25519:A is now ed25519:C"));
    }
}
