//! Parses, dispatches, and turns what became of it into an exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 75 already running, 78 bad configuration.

use clap::Parser;
use serde_json::json;

use super::World;
use super::arguments::{Arguments, Command, LOGO};
use super::desk::Desk;
use super::failure::{Failure, USAGE};
use super::output::{Form, Output};

/// Does what the command line says and returns the exit code.
pub fn run(world: World) -> u8 {
    let arguments = match Arguments::try_parse_from(&world.arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // If the terminal is gone there is nobody left to tell.
            drop(error.print());
            return u8::try_from(error.exit_code()).unwrap_or(USAGE);
        }
    };
    let form = if arguments.json { Form::Json } else { Form::Human };
    let output = Output { form, colour: world.colour };
    let desk = Desk::new(world, arguments.config_dir, output);
    quiet_what_is_told();
    let done = match arguments.command {
        Some(command) => dispatch(command, &desk),
        None => bare(&desk),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            desk.output.complain(&failure);
            failure.code
        }
    }
}

/// A panic that the store tells as an error of its own is not shown besides.
fn quiet_what_is_told() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !toq_store::is_contained() {
            usual(panic);
        }
    }));
}

fn bare(desk: &Desk) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    desk.output.answer(
        || json!({ "version": version }),
        || format!("{LOGO}\n\ntoq {version}\nRun `toq init` to create a workspace, `toq --help` for all commands"),
    )
}

fn dispatch(command: Command, desk: &Desk) -> Result<(), Failure> {
    match command {
        Command::A2a(command) => command.run(),
        Command::Agents(command) => command.run(desk),
        Command::Approvals(command) => desk.wait(command.run(desk)),
        Command::Approve(command) => desk.wait(command.run(desk)),
        Command::Audit(command) => desk.wait(command.run(desk)),
        Command::Block(command) => desk.wait(command.run(desk)),
        Command::ClearLogs(command) => desk.wait(command.run(desk)),
        Command::Completions(command) => command.run(desk),
        Command::Config(command) => command.run(desk),
        Command::Deny(command) => desk.wait(command.run(desk)),
        Command::Discover(command) => desk.wait(command.run(desk)),
        Command::Doctor(command) => desk.wait(command.run(desk)),
        Command::Down(command) => desk.wait(command.run(desk)),
        Command::Export(command) => desk.wait(command.run(desk)),
        Command::Import(command) => command.run(desk),
        Command::Handler(command) => desk.wait(command.run(desk)),
        Command::Init(command) => command.run(desk),
        Command::Listen(command) => desk.wait(command.run(desk)),
        Command::Logs(command) => desk.wait(command.run(desk)),
        Command::Messages(command) => desk.wait(command.run(desk)),
        Command::Peers(command) => desk.wait(command.run(desk)),
        Command::Permissions(command) => desk.wait(command.run(desk)),
        Command::Files(command) => desk.wait(command.run(desk)),
        Command::SendFile(command) => desk.wait(command.run(desk)),
        Command::Ping(command) => desk.wait(command.run(desk)),
        Command::Relay(command) => command.run(desk),
        Command::Reply(command) => desk.wait(command.run(desk)),
        Command::Revoke(command) => desk.wait(command.run(desk)),
        Command::RotateKeys(command) => desk.wait(command.run(desk)),
        Command::Send(command) => command.run(desk),
        Command::Setup(command) => command.run(desk),
        Command::Status(command) => desk.wait(command.run(desk)),
        Command::Unblock(command) => desk.wait(command.run(desk)),
        // The daemon brings its own runtime, so this one must not be inside another.
        Command::Up(command) => command.run(desk),
        Command::Upgrade(command) => desk.wait(command.run(desk)),
        Command::Whoami(command) => desk.wait(command.run(desk)),
    }
}
