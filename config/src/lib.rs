//! Typed configuration for toq.
//!
//! What it is: the list of all keys with their types and ranges, the layers they come from, and the errors that say
//! where a value is wrong. What leaves this room is a [`WorkspaceConfig`] in which everything has been checked;
//! nobody else parses a setting. A relay's settings are apart, in [`relay`].
//!
//! What it is not: it never reads the environment of the process (that is handed in), never prints, never opens a
//! socket and never looks at a file other than `config.toml`, `handlers.toml` and a published `permissions.toml`. It does not know what a setting does.
//!
//! The layers, later wins: `default.toml` (built in, and the reference documentation), the workspace's
//! `config.toml`, `TOQ_…` variables, the command line. Unknown keys are errors in each of them, because a setting
//! that is silently ignored is worse than a daemon that does not start.
//!
//! Where to begin: `default.toml`, then the table in `schema.rs`, then [`WorkspaceConfig::load`].

mod carry;
mod disarm;
mod disk;
mod document;
mod edit;
mod environment;
mod error;
pub mod handlers;
mod init;
mod load;
mod locate;
mod nearest;
pub mod permissions;
pub mod registry;
pub mod relay;
mod schema;
mod value;
mod workspace;

pub use carry::{carry_handlers, carry_settings};
pub use disarm::disarm;
pub use edit::{Change, differing, lookup, patch, set, typed, unset};
pub use error::{ConfigError, Fault, Place};
pub use handlers::HandlerConfig;
pub use init::init;
pub use load::{Loaded, REDACTED, check, read_text};
pub use locate::{Located, Mode, locate};
pub use schema::{Effect, effect, is_key, keys, needs_restart};
pub use workspace::{
    Access, Adapter, AdapterHttp, AdapterUnix, ApiConfig, ChannelBinding, ConnectionMode, DeliveryConfig, DnsConfig, DnsRequire,
    LimitsConfig, LogLevel, MdnsConfig, RuntimeConfig, StoreConfig, Verbosity, WorkspaceConfig,
};

/// The built-in layer, which is also the documentation of every key.
pub const DEFAULTS: &str = include_str!("../default.toml");

/// The name of the API's socket in a workspace directory.
pub const SOCKET: &str = "toq.sock";

/// The name of the configuration file in a workspace directory.
pub const FILE: &str = "config.toml";
