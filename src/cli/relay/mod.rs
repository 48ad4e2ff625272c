//! `toq relay`: the post office of encrypted channels, and its API server.

mod account;
mod channel;
mod down;
mod errand;
mod invite;
mod key;
mod stats;
mod up;

use std::path::PathBuf;

use super::desk::Desk;
use super::failure::Failure;
use super::state::{is_alive, is_toq};
use crate::relay::State;

/// Runs and administers a relay for encrypted channels
#[derive(Debug, clap::Args)]
pub struct Relay {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Up(up::Up),
    Down(down::Down),
    Stats(stats::Stats),
    Account(account::Account),
    Channel(channel::Channel),
    Invite(invite::Invite),
    Key(key::Key),
}

/// Where a relay keeps everything.
#[derive(Clone, Debug, clap::Args)]
pub struct Data {
    /// The relay's data directory [default: ~/.toq-relay]
    #[arg(long, value_name = "DIR", env = "TOQ_RELAY_DATA")]
    data: Option<PathBuf>,
}

impl Data {
    /// The directory, which need not exist.
    pub fn dir(&self, desk: &Desk) -> Result<PathBuf, Failure> {
        match &self.data {
            Some(dir) => Ok(desk.world.cwd.join(dir)),
            None => Ok(desk.home()?.join(".toq-relay")),
        }
    }

    /// The same failure, with commands that can be run as they stand: they name the directory that this one was given.
    pub fn runnable(&self, desk: &Desk, failure: Failure) -> Failure {
        let name = |text: &str| self.named(desk, text);
        Failure { message: name(&failure.message), hint: failure.hint.as_deref().map(name), ..failure }
    }

    /// The same text, with commands that can be run as they stand.
    pub fn named(&self, desk: &Desk, text: &str) -> String {
        match (&self.data, self.dir(desk)) {
            (Some(_), Ok(dir)) => named(text, &dir.display().to_string()),
            _ => text.to_owned(),
        }
    }

    /// Where the relay of this directory runs, if it does.
    pub fn live(&self, desk: &Desk) -> Result<Option<State>, Failure> {
        let state = State::read(&self.dir(desk)?);
        Ok(state.filter(|state| is_alive(state.pid) && is_toq(state.pid) && state.is_its_process()))
    }
}

/// Adds the directory to every command of `toq relay` that a text names in backticks and that names none.
fn named(text: &str, dir: &str) -> String {
    let quoted = if dir.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=@:,".contains(c)) {
        dir.to_owned()
    } else {
        format!("'{}'", dir.replace('\'', "'\\''"))
    };
    let add = |(at, part): (usize, &str)| {
        // Every other part stands between backticks.
        let is_ours = at % 2 == 1 && part.starts_with("toq relay ") && !part.contains("--data") && !part.contains("--help");
        if is_ours { format!("{part} --data {quoted}") } else { part.to_owned() }
    };
    text.split('`').enumerate().map(add).collect::<Vec<_>>().join("`")
}

impl Relay {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.command {
            // It brings its own runtime, so this one must not be inside another.
            Command::Up(command) => command.run(desk),
            Command::Down(command) => desk.wait(command.run(desk)),
            Command::Stats(command) => desk.wait(command.run(desk)),
            Command::Account(command) => desk.wait(command.run(desk)),
            Command::Channel(command) => desk.wait(command.run(desk)),
            Command::Invite(command) => desk.wait(command.run(desk)),
            Command::Key(command) => desk.wait(command.run(desk)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_hint_names_the_directory_and_other_words_stay_as_they_are() {
        let hint = "list them with `toq relay key list`, or see `toq doctor` and toq relay up";

        let runnable = named(hint, "/tmp/a relay's");

        assert_eq!(runnable, "list them with `toq relay key list --data '/tmp/a relay'\\''s'`, or see `toq doctor` and toq relay up");
        assert_eq!(named(&runnable, "/tmp/b"), runnable);
    }
}
