//! toq: the mailbox for agents. One binary, both the daemon and the command line.
//!
//! Nothing is decided here. The process's surroundings are read once, here and nowhere else, and handed to the command
//! line, which parses, dispatches and answers with an exit code. [`daemon`] is where `toq up --foreground` goes,
//! [`relay`] where `toq relay up --foreground` does.

mod backup;
mod cli;
mod daemon;
mod names;
mod relay;
mod settle;
mod signals;
mod takeover;
mod telemetry;

use std::env;
use std::io::{IsTerminal, stderr, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::World;

#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().collect();
    if let Some(code) = toq_net::shell::supervised(&arguments) {
        return ExitCode::from(code);
    }
    let variables: Vec<(String, String)> =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let world = World {
        arguments,
        colour: stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        cwd: env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        exe: env::current_exe().unwrap_or_else(|_| PathBuf::from("toq")),
        home: env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        interactive: stdin().is_terminal(),
        variables,
    };
    ExitCode::from(cli::run(world))
}
