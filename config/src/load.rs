//! Puts the layers on top of each other and checks what no single value can show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};
use serde_json::Value as Json;
use toml_edit::Value;

use crate::document::{Setting, scan};
use crate::environment;
use crate::error::{ConfigError, Fault, Place};
use crate::schema::{ADAPTER_TABLES, find, unknown};
use crate::value::{from_text, layered};
use crate::workspace::{DnsRequire, WorkspaceConfig};
use crate::{DEFAULTS, FILE};

/// What is shown instead of a secret.
pub const REDACTED: &str = "[redacted]";

/// A workspace's configuration and where it came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The workspace directory.
    pub dir: PathBuf,
    /// The configuration.
    pub config: WorkspaceConfig,
    values: Json,
    /// The layers above the file: of the environment, and of the command line.
    above: Vec<(String, Value, Place)>,
}

impl Loaded {
    /// Reads the file once more, below the same environment and the same command line: what a restart would find.
    ///
    /// # Errors
    /// As [`WorkspaceConfig::load`].
    pub fn again(&self) -> Result<Self, ConfigError> {
        let text = read(&self.dir)?;
        Ok(layered_on(&self.dir, &text, self.above.clone())?)
    }

    pub(crate) const fn values(&self) -> &Json {
        &self.values
    }

    /// Returns every key that has a value: published keys flat, the others in tables, secrets redacted.
    pub fn to_json(&self) -> Json {
        self.values.clone()
    }
}

impl WorkspaceConfig {
    /// Loads the configuration of a workspace directory.
    ///
    /// The environment is handed in whole; what is not a setting is skipped. Overrides are keys and values as they
    /// are written on a command line.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] when there is no `config.toml`; otherwise the first thing that is wrong.
    pub fn load(dir: &Path, env: impl Iterator<Item = (String, String)>, overrides: &[(String, String)]) -> Result<Loaded, ConfigError> {
        Ok(stack(dir, &read(dir)?, env, overrides)?)
    }
}

fn read(dir: &Path) -> Result<String, ConfigError> {
    let path = dir.join(FILE);
    std::fs::read_to_string(&path).map_err(|source| ConfigError::read(&path, source))
}

/// Reads a configuration from a text as if it were the file of this directory, without any other layer.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read_text(dir: &Path, text: &str) -> Result<Loaded, ConfigError> {
    Ok(stack(dir, text, std::iter::empty(), &[])?)
}

/// Checks the file of a workspace directory alone, and reports everything that is wrong with it.
///
/// # Errors
/// All faults in the order of the file, or the one reason why it cannot be read.
pub fn check(dir: &Path) -> Result<(), Vec<ConfigError>> {
    let text = read(dir).map_err(|error| vec![error])?;
    scan(&text, &dir.join(FILE)).map_err(|faults| faults.into_iter().map(ConfigError::from).collect::<Vec<_>>())?;
    stack(dir, &text, std::iter::empty(), &[]).map(drop).map_err(|fault| vec![fault.into()])
}

/// Puts the layers on top of a file's text.
pub fn stack(dir: &Path, text: &str, env: impl Iterator<Item = (String, String)>, overrides: &[(String, String)]) -> Result<Loaded, Fault> {
    // The file's faults are told before those of what lies above it.
    scan(text, &dir.join(FILE)).map_err(first)?;
    let mut above: Vec<_> = environment::settings(env)?.into_iter().map(|(path, value, place)| (path.to_owned(), value, place)).collect();
    for (path, text) in overrides {
        let key = find(path).ok_or_else(|| unknown(path, Place::Argument))?;
        let value = from_text(key.kind, text).map_err(|complaint| argument(path, &complaint))?;
        above.push((path.clone(), value, Place::Argument));
    }
    layered_on(dir, text, above)
}

fn layered_on(dir: &Path, text: &str, above: Vec<(String, Value, Place)>) -> Result<Loaded, Fault> {
    let mut layers = Layers::default();
    for Setting { path, value, place } in scan(text, &dir.join(FILE)).map_err(first)? {
        layers.put(&path, &value, place);
    }
    for (path, value, place) in &above {
        layers.put(path, value, place.clone());
    }
    let (mut config, values) = layers.merge()?;
    layers.agree(&config)?;
    // Wherever the daemon is started, a path of its configuration means the same place.
    config.adapter_unix.socket_path = config.adapter_unix.socket_path.map(|path| dir.join(path));
    Ok(Loaded { dir: dir.to_owned(), config, values, above })
}

fn first(mut faults: Vec<Fault>) -> Fault {
    faults.swap_remove(0)
}

/// Makes the fault of a value in a request or an argument.
pub fn argument(path: &str, complaint: &str) -> Fault {
    Fault { place: Place::Argument, key: path.to_owned(), message: format!("`{path}` {complaint}"), nearest: None }
}

/// The settings on top of the defaults, and where the winning ones stand.
#[derive(Default)]
struct Layers {
    values: Vec<(String, config::Value)>,
    places: BTreeMap<String, Place>,
}

impl Layers {
    fn put(&mut self, path: &str, value: &Value, place: Place) {
        // The name of an adapter's table contains a dot, which means a table in a table to the layers.
        self.values.push((path.replace("adapter.", "adapter_"), layered(value)));
        self.places.insert(path.to_owned(), place);
    }

    fn merge(&self) -> Result<(WorkspaceConfig, Json), Fault> {
        let mut builder = Config::builder().add_source(File::from_str(&DEFAULTS.replace("[\"adapter.", "[\"adapter_"), FileFormat::Toml));
        for (path, value) in &self.values {
            builder = builder.set_override(path, value.clone()).map_err(|error| argument(path, &error.to_string()))?;
        }
        // Each value has passed its own check, so what fails here is a disagreement between schema and struct.
        let merged = builder.build().map_err(|error| argument("config", &error.to_string()))?;
        let config = merged.clone().try_deserialize().map_err(|error| argument("config", &error.to_string()))?;
        let mut json: Json = merged.try_deserialize().map_err(|error| argument("config", &error.to_string()))?;
        if let Some(table) = json.as_object_mut() {
            for name in ADAPTER_TABLES {
                let values = table.remove(&name.replace('.', "_")).unwrap_or_default();
                if values.as_object().is_some_and(|values| !values.is_empty()) {
                    table.insert(name.to_owned(), values);
                }
            }
        }
        if let Some(secret) = json.get_mut("a2a_api_key") {
            *secret = Json::from(REDACTED);
        }
        Ok((config, json))
    }

    /// Checks the values against each other.
    fn agree(&self, config: &WorkspaceConfig) -> Result<(), Fault> {
        if config.heartbeat_timeout <= config.heartbeat_interval {
            return Err(self.fault("heartbeat_timeout", "must be more than `heartbeat_interval`"));
        }
        if config.delivery.retry_max < config.delivery.retry_initial {
            return Err(self.fault("delivery.retry_max_s", "must not be less than `delivery.retry_initial_ms`"));
        }
        if config.adapter_http.callback_url.as_ref().is_some_and(|url| url.starts_with("https:")) {
            return Err(
                self.fault("adapter.http.callback_url", "must begin with http://: messages are posted to this machine, without TLS")
            );
        }
        let is_alone = config.dns.resolvers.iter().collect::<BTreeSet<_>>().len() < 2;
        if config.dns.require == DnsRequire::Agreement && is_alone {
            return Err(self.fault("dns.require", "can be \"agreement\" only with two different `dns.resolvers` or more"));
        }
        if let Some(listen) = config.api.listen
            && !listen.ip().to_canonical().is_loopback()
        {
            return Err(self.fault("api.listen", "must be a loopback address: an API for other machines arrives with a later release"));
        }
        Ok(())
    }

    fn fault(&self, path: &str, complaint: &str) -> Fault {
        let place = self.places.get(path).cloned().unwrap_or(Place::Argument);
        Fault { place, ..argument(path, complaint) }
    }
}
