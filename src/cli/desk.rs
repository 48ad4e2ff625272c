//! What every command is given.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use toq_api::Client;
use toq_config::{Loaded, Located, WorkspaceConfig, locate};
use toq_net::local_user::{Owner, listener, own_user};

use super::World;
use super::failure::Failure;
use super::output::Output;
use super::state::{self, State};

/// How long a daemon on this machine may take for an ordinary answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Where a command was called, whom it speaks for, and where it prints.
pub struct Desk {
    /// The surroundings of the process.
    pub world: World,
    /// Where to print.
    pub output: Output,
    explicit: Option<PathBuf>,
}

impl Desk {
    /// Makes a desk; a directory on the command line wins over one in the environment.
    pub fn new(world: World, config_dir: Option<PathBuf>, output: Output) -> Self {
        let explicit = config_dir.or_else(|| world.variable("TOQ_CONFIG_DIR").map(PathBuf::from));
        Self { world, output, explicit }
    }

    /// Returns the directory that was asked for, if one was.
    pub const fn explicit(&self) -> Option<&PathBuf> {
        self.explicit.as_ref()
    }

    /// Returns the workspace directory, which need not exist.
    pub fn located(&self) -> Result<Located, Failure> {
        locate(&self.world.cwd, self.world.home.as_deref(), self.explicit.as_deref()).ok_or_else(Failure::no_setup)
    }

    /// Returns the directory of a workspace that is set up.
    pub fn dir(&self) -> Result<PathBuf, Failure> {
        let dir = self.located()?.dir;
        if dir.join(toq_config::FILE).is_file() { Ok(dir) } else { Err(Failure::no_setup()) }
    }

    /// Returns the home directory.
    pub fn home(&self) -> Result<&PathBuf, Failure> {
        self.world.home.as_ref().ok_or_else(|| Failure::error("there is no home directory, set HOME"))
    }

    /// Loads the workspace's configuration.
    pub fn loaded(&self, overrides: &[(String, String)]) -> Result<Loaded, Failure> {
        let dir = self.located()?.dir;
        let variables = self.world.variables.iter().cloned();
        Ok(WorkspaceConfig::load(&dir, variables, overrides)?)
    }

    /// Returns where the workspace's daemon is.
    pub fn live(&self) -> Result<State, Failure> {
        state::live(&self.dir()?)?.ok_or_else(Failure::not_running)
    }

    /// Returns a client for the workspace's daemon.
    pub fn client(&self) -> Result<Client, Failure> {
        let state = self.live()?;
        self.client_at(state.port)
    }

    /// Returns a client for a daemon of this workspace at a port.
    pub fn client_at(&self, port: u16) -> Result<Client, Failure> {
        let token = std::fs::read_to_string(self.located()?.dir.join("keys").join("api.token")).ok();
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        // A crash leaves the state file behind, and whoever took the port since is not to be shown the token. Where the system cannot
        // be asked, the process that the file names is alive and this user's.
        if token.is_some()
            && let Ok(Owner::User(user)) = listener(port)
            && user != own_user()
        {
            return Err(Failure::error(format!("another user's program listens at the daemon's port {port}; it was not shown the token"))
                .hint("Stop that program, or start the daemon with `toq up`, which takes another port"));
        }
        Ok(Client::local(port)?.with_token(token).with_limit(ANSWER))
    }

    /// Runs what waits for the network or the clock.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work)
    }
}
