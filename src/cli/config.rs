//! Shows, changes and checks the configuration.

use std::path::Path;

use serde_json::{Value, json};
use toq_api::{ClientError, ConfigResponse, ErrorCode};

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
    /// Takes a key out of config.toml, so that its default holds again
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
    let restart = running.is_some() && (!told || toq_config::needs_restart(key));
    desk.output.answer(|| json!({"key": key, "value": value, "needs_restart": restart}), || format!("{key} = {}", sanitize::name(text)))?;
    if restart {
        desk.output.note("Restart the daemon for this to take effect: `toq down`, then `toq up`");
    }
    Ok(())
}

async fn unset(desk: &Desk, key: &str) -> Result<(), Failure> {
    let dir = desk.dir()?;
    let running = state::live(&dir)?;
    let told = match &running {
        Some(state) if toq_config::is_key(key) => tell(desk, state.port, key, &Value::Null).await?,
        _ => false,
    };
    if !told {
        toq_config::unset(&dir, key)?;
    }
    let restart = running.is_some() && (!told || toq_config::needs_restart(key));
    desk.output
        .answer(|| json!({"key": key, "value": null, "needs_restart": restart}), || format!("{} is as by default", sanitize::name(key)))?;
    if restart {
        desk.output.note("Restart the daemon for this to take effect: `toq down`, then `toq up`");
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
