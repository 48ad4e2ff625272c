//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{
    a2a, agents, approvals, approve, audit, block, clear_logs, completions, config, deny, discover, doctor, down, export, files, handler,
    import, init, listen, logs, messages, peers, permissions, ping, relay, reply, revoke, rotate_keys, send, send_file, setup, status, up,
    upgrade, whoami,
};

/// What is shown above the help and by a bare `toq`.
pub const LOGO: &str = "  _
 | |_ ___   __ _
 | __/ _ \\ / _` |
 | || (_) | (_| |
  \\__\\___/ \\__, |
              |_|";

/// The mailbox for agents: signed, encrypted, durable messages between agents
#[derive(Debug, Parser)]
#[command(name = "toq", version, before_help = LOGO, propagate_version = false)]
pub struct Arguments {
    /// Speaks for the workspace in this directory: a `.toq`, or what holds one
    #[arg(long, global = true, value_name = "PATH")]
    pub config_dir: Option<PathBuf>,
    /// Prints JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(hide = true)]
    A2a(a2a::A2a),
    Agents(agents::Agents),
    Approvals(approvals::Approvals),
    Approve(approve::Approve),
    Audit(audit::Audit),
    Block(block::Block),
    ClearLogs(clear_logs::ClearLogs),
    Completions(completions::Completions),
    Config(config::Config),
    Deny(deny::Deny),
    Discover(discover::Discover),
    Doctor(doctor::Doctor),
    Down(down::Down),
    Export(export::Export),
    Import(import::Import),
    Files(files::Files),
    Handler(handler::Handler),
    Init(init::Init),
    Listen(listen::Listen),
    Logs(logs::Logs),
    Messages(messages::Messages),
    Peers(peers::Peers),
    Permissions(permissions::Permissions),
    Ping(ping::Ping),
    Relay(relay::Relay),
    Reply(reply::Reply),
    Revoke(revoke::Revoke),
    RotateKeys(rotate_keys::RotateKeys),
    Send(send::Send),
    SendFile(send_file::SendFile),
    Setup(setup::Setup),
    Status(status::Status),
    Unblock(block::Unblock),
    Up(up::Up),
    Upgrade(upgrade::Upgrade),
    Whoami(whoami::Whoami),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Arguments::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn global_options_stand_anywhere() {
        let early = Arguments::try_parse_from(["toq", "--json", "--config-dir", "/x", "status"]);
        let late = Arguments::try_parse_from(["toq", "status", "--config-dir", "/x", "--json"]);

        for parsed in [early, late] {
            let arguments = parsed.expect("both are usual");
            assert!(arguments.json);
            assert_eq!(arguments.config_dir.as_deref(), Some(std::path::Path::new("/x")));
        }
    }
}
