//! The command line: one file per command, named after it.
//!
//! A command gets its arguments and a [`desk::Desk`]: where it was called, which workspace it speaks for, how to reach
//! that workspace's daemon, and where to print. It talks to a running daemon only through `toq_api::Client`,
//! and prints only through [`output::Output`], so that `--json` works everywhere and nothing a peer wrote reaches a
//! terminal unless [`sanitize`] has seen it.
//!
//! The doc comments of the argument structs are the help texts.
//!
//! Start reading at [`run`], then any command.

mod a2a;
// The registry of running agents; the daemon writes it.
pub mod agents;
mod approvals;
mod approve;
mod arguments;
mod audit;
mod block;
mod clear_logs;
mod completions;
mod config;
mod deny;
mod desk;
mod discover;
mod doctor;
mod domain;
mod down;
mod export;
pub mod failure;
mod files;
mod framework;
mod gate;
mod handler;
mod identity;
mod import;
mod init;
mod listen;
mod logs;
mod meant;
mod mend;
mod message;
mod messages;
mod output;
mod passphrase;
mod peers;
mod permissions;
mod ping;
mod relay;
mod reply;
mod revoke;
mod rotate_keys;
mod run;
pub mod sanitize;
mod send;
mod send_file;
mod setup;
mod state;
mod status;
mod takeover;
mod tree;
mod up;
mod upgrade;
mod whoami;
mod world;

pub use run::run;
pub use world::World;

/// The time, for commands that wait; nothing is decided by it but when to give up.
#[allow(clippy::disallowed_methods, reason = "commands run outside the daemon and have no clock of its kind")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
