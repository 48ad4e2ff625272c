//! Prints what a shell needs to complete commands.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::arguments::Arguments;
use super::desk::Desk;
use super::failure::Failure;

/// Prints the completions for a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Arguments::command(), "toq", &mut script);
        desk.output.raw(&script)
    }
}
