//! The A2A bridge, whose commands published programs have: said to be for later, as its settings are.

use super::failure::Failure;

/// The A2A bridge; it arrives with a later release
#[derive(Debug, clap::Args)]
pub struct A2a {
    /// What it was to do
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

impl A2a {
    pub fn run(self) -> Result<(), Failure> {
        Err(Failure::error("the A2A bridge arrives with a later release")
            .hint("Its settings a2a_api_key and a2a_public_url are kept until then; agents of toq are reached by `toq send`"))
    }
}
