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

    /// Where the relay of this directory runs, if it does.
    pub fn live(&self, desk: &Desk) -> Result<Option<State>, Failure> {
        let state = State::read(&self.dir(desk)?);
        Ok(state.filter(|state| is_alive(state.pid) && is_toq(state.pid) && state.is_its_process()))
    }
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
