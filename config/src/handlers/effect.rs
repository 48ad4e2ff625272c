//! What is asked of a handler and would do nothing.
//!
//! This is looked at when somebody changes a handler, and not when the file is read: a file that the published daemon wrote
//! may hold more than is used, and must not keep a daemon from starting.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::schema::is_nothing;
use super::{HandlerConfig, Reply};

/// Keys that only a language model has a use for.
const OF_MODELS: [&str; 12] = [
    "model",
    "prompt",
    "prompt_file",
    "max_turns",
    "auto_close",
    "base_url",
    "api_key",
    "stream",
    "runs_per_day",
    "tokens_per_day",
    "peer_runs_per_day",
    "peer_tokens_per_day",
];

/// Keys that only a command has a use for.
const OF_COMMANDS: [&str; 5] = ["command", "argv", "reply", "env", "cwd"];

/// Says which of the new values would do nothing, and why, if one would.
///
/// `dir` is the workspace directory; files and directories are relative to the one that holds it.
pub fn has_effect(handler: &HandlerConfig, values: &Map<String, Json>, dir: &Path) -> Result<(), (&'static str, String)> {
    let is_asked = |name: &str| values.get(name).is_some_and(|value| !is_nothing(value) && !is_usual(name, value));
    let (idle, kind) = if handler.is_llm() { (&OF_COMMANDS[..], "a model") } else { (&OF_MODELS[..], "a command") };
    if let Some(key) = idle.iter().find(|name| is_asked(name)) {
        let message = match *key {
            "command" | "argv" => "specify a command or a provider, not both".to_owned(),
            key => format!("`{key}` has no effect on a handler that is {kind}; leave it out"),
        };
        return Err((key, message));
    }
    if handler.is_llm() && handler.model.is_empty() {
        return Err(("model", "a provider needs a model; name one with `model` (`--model`)".to_owned()));
    }
    let base = dir.parent().unwrap_or(dir);
    if let Some(cwd) = handler.cwd.as_deref().filter(|_| is_asked("cwd")) {
        let path = base.join(cwd);
        if !path.is_dir() {
            return Err(("cwd", format!("`cwd` is no directory: {}; make it, or name another", path.display())));
        }
    }
    if let Some(file) = handler.prompt_file.as_deref().filter(|_| is_asked("prompt_file")) {
        let path = base.join(file);
        if !path.is_file() {
            return Err(("prompt_file", format!("`prompt_file` is no file: {}; write it, or name another", path.display())));
        }
    }
    Ok(())
}

/// Published clients send what is so anyway.
fn is_usual(name: &str, value: &Json) -> bool {
    let usual = HandlerConfig::default();
    match name {
        "auto_close" => *value == usual.auto_close,
        "stream" => *value == usual.stream,
        "reply" => usual.reply == Reply::None && *value == "none",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::add;

    #[test]
    fn what_would_do_nothing_is_refused_and_named() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let dir = place.path().join(".toq");
        std::fs::create_dir(&dir).expect("ours");
        std::fs::write(place.path().join("prompt.md"), "be kind").expect("ours");
        let add = |values: serde_json::Value| add(&dir, values.as_object().expect("an object")).map_err(|error| error.to_string());

        for (values, words) in [
            (json!({"name": "a", "command": "cat", "max_turns": 3}), "`max_turns` has no effect on a handler that is a command"),
            (json!({"name": "a", "command": "cat", "prompt": "x"}), "`prompt` has no effect"),
            (json!({"name": "a", "argv": ["cat"], "prompt_file": "prompt.md"}), "`prompt_file` has no effect"),
            (json!({"name": "a", "command": "cat", "provider": "ollama", "model": "m"}), "a command or a provider, not both"),
            (
                json!({"name": "a", "provider": "ollama", "model": "m", "reply": "stdout"}),
                "`reply` has no effect on a handler that is a model",
            ),
            (json!({"name": "a", "provider": "ollama"}), "a provider needs a model"),
            (json!({"name": "a", "command": "cat", "cwd": "nowhere"}), "/nowhere; make it"),
            (json!({"name": "a", "provider": "ollama", "model": "m", "prompt_file": "nothing.md"}), "/nothing.md; write it"),
        ] {
            let refused = add(values.clone()).expect_err("refused");
            assert!(refused.contains(words), "{values}: {refused}");
        }

        for values in [
            json!({"name": "a", "command": "cat", "cwd": ".", "auto_close": false, "provider": "", "model": ""}),
            json!({"name": "b", "provider": "ollama", "model": "m", "prompt_file": "prompt.md", "max_turns": 3, "command": ""}),
        ] {
            add(values.clone()).unwrap_or_else(|refused| panic!("{values}: {refused}"));
        }
    }
}
