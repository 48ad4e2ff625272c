//! Shows, changes and checks the configuration.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toq_api::{ClientError, ConfigResponse, ErrorCode};
use toq_config::{Adapter, Effect, Loaded};

use super::desk::Desk;
use super::failure::{CONFIGURATION, Failure};
use super::{sanitize, state};

/// Shows, changes or checks the configuration
#[derive(Debug, clap::Args)]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Reports everything that is wrong with config.toml
    Check,
    /// Changes a key in config.toml
    Set {
        /// The key, such as connection_mode or api.access
        key: String,
        /// Its new value; a list is written with commas, or as in the file: ["a", "b"]
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Takes a key out of config.toml, so that its default holds again; also one that toq does not know
    Unset {
        /// The key, such as advertise or api.listen
        key: String,
    },
    /// Prints config.toml; with --json all keys as they are in force
    Show,
}

impl Config {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.command {
            Command::Check => check(desk),
            Command::Set { key, value } => desk.wait(set(desk, &key, &value)),
            Command::Unset { key } => desk.wait(unset(desk, &key)),
            Command::Show => show(desk),
        }
    }
}

fn show(desk: &Desk) -> Result<(), Failure> {
    if desk.output.is_json() {
        let loaded = desk.loaded(&[])?;
        return desk.output.answer(|| json!({"config": loaded.to_json()}), String::new);
    }
    let path = desk.dir()?.join(toq_config::FILE);
    desk.output.raw(&std::fs::read(path)?)
}

fn check(desk: &Desk) -> Result<(), Failure> {
    let dir = desk.dir()?;
    let mut faults: Vec<String> = Vec::new();
    if let Err(errors) = toq_config::check(&dir) {
        faults.extend(errors.iter().map(|error| sanitize::text(&super::failure::chain(error))));
    } else if let Err(failure) = desk.loaded(&[]) {
        // The file is good, so it is the environment.
        faults.push(failure.message);
    }
    let path = dir.join(toq_config::FILE);
    let valid = faults.is_empty();
    desk.output.answer(
        || json!({"valid": valid, "faults": faults, "file": path}),
        || if valid { format!("{} is valid", path.display()) } else { faults.join("\n") },
    )?;
    if valid { Ok(()) } else { Err(Failure::silent(CONFIGURATION)) }
}

async fn set(desk: &Desk, key: &str, text: &str) -> Result<(), Failure> {
    let dir = desk.dir()?;
    let value = toq_config::typed(key, text)?;
    let running = state::live(&dir)?;
    let told = match &running {
        Some(state) => tell(desk, state.port, key, &value).await?,
        None => false,
    };
    if !told {
        toq_config::set(&dir, key, text)?;
    }
    let consequence = consequence(key, running.is_some(), told);
    desk.output.answer(|| consequence.json(key, &value), || format!("{key} = {}", sanitize::name(text)))?;
    if let Some(words) = consequence.words() {
        desk.output.note(words);
    }
    if key == "adapter" && text == Adapter::Unix.as_str() {
        desk.output.note(&format!("The API is at {}", socket(&desk.loaded(&[])?).display()));
    }
    Ok(())
}

/// Where programs find the API's socket: where the configuration says, or in the workspace directory.
pub fn socket(loaded: &Loaded) -> PathBuf {
    loaded.config.adapter_unix.socket_path.clone().unwrap_or_else(|| loaded.dir.join(toq_config::SOCKET))
}

/// What is to be done for a change to take effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Consequence {
    /// Nothing.
    None,
    /// The daemon is to be started again.
    Restart,
    /// A later release is to be waited for.
    Later,
}

fn consequence(key: &str, is_running: bool, is_told: bool) -> Consequence {
    match toq_config::effect(key) {
        Some(Effect::Later) => Consequence::Later,
        Some(Effect::Restart) if is_running => Consequence::Restart,
        Some(Effect::Live) if is_running && !is_told => Consequence::Restart,
        _ => Consequence::None,
    }
}

impl Consequence {
    fn json(self, key: &str, value: &Value) -> Value {
        let mut json = json!({"key": key, "value": value, "needs_restart": self == Self::Restart});
        if self == Self::Later {
            json["note"] = self.words().into();
        }
        json
    }

    const fn words(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Restart => Some("Restart the daemon for this to take effect: `toq down`, then `toq up`"),
            Self::Later => Some("This is kept and does nothing yet: the A2A bridge arrives with a later release"),
        }
    }
}

async fn unset(desk: &Desk, key: &str) -> Result<(), Failure> {
    let dir = desk.dir()?;
    let running = state::live(&dir)?;
    let told = match &running {
        // A file that cannot be used is mended here; the daemon changes only what it can read.
        Some(state) if toq_config::is_key(key) && toq_config::check(&dir).is_ok() => tell(desk, state.port, key, &Value::Null).await?,
        _ => false,
    };
    if !told {
        toq_config::unset(&dir, key)?;
    }
    let consequence = consequence(key, running.is_some(), told);
    let said = if toq_config::is_key(key) { "is as by default" } else { "is taken out" };
    desk.output.answer(|| consequence.json(key, &Value::Null), || format!("{} {said}", sanitize::name(key)))?;
    if consequence == Consequence::Restart
        && let Some(words) = consequence.words()
    {
        desk.output.note(words);
    }
    Ok(())
}

/// Lets the running daemon make the change, so that it knows; false if it leaves that to us.
async fn tell(desk: &Desk, port: u16, key: &str, value: &Value) -> Result<bool, Failure> {
    let change = match key.rsplit_once('.') {
        Some((table, leaf)) => json!({ table: { leaf: value } }),
        None => json!({ key: value }),
    };
    let answer: Result<ConfigResponse, ClientError> = desk.client_at(port)?.patch(&["v1", "config"], &change).await;
    match answer {
        Ok(_) => Ok(true),
        Err(ClientError::NotRunning) => Ok(false),
        Err(ClientError::Api { status, body }) => match body.error.code {
            ErrorCode::NotImplemented | ErrorCode::NotFound | ErrorCode::MethodNotAllowed => Ok(false),
            _ => Err(ClientError::Api { status, body }.into()),
        },
        Err(other) => Err(other.into()),
    }
}

/// Says in one line whether the configuration in a directory can be used.
pub fn verdict(desk: &Desk, dir: &Path) -> Result<String, String> {
    if let Err(errors) = toq_config::check(dir) {
        let first = errors.first().map(|error| sanitize::text(&super::failure::chain(error))).unwrap_or_default();
        return Err(match errors.len() {
            0 | 1 => first,
            more => format!("{first} (and {} more, see `toq config check`)", more - 1),
        });
    }
    match desk.loaded(&[]) {
        Ok(loaded) => Ok(format!("agent: {}", loaded.config.agent_name)),
        Err(failure) => Err(failure.message),
    }
}
