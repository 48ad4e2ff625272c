//! Creates a workspace in the current directory.

use serde_json::json;
use toq_config::ConfigError;

use super::desk::Desk;
use super::failure::Failure;

/// Creates a workspace in the current directory
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The agent's name: lower-case letters, digits and inner hyphens
    #[arg(long, default_value = "agent")]
    name: String,
    /// The host in the agent's address
    #[arg(long, default_value = "localhost")]
    host: String,
    /// The port for peers and local programs, or auto for any free one
    #[arg(long, default_value = "auto", value_parser = port)]
    port: Port,
}

impl Init {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        let shown = desk.explicit().map_or(".toq".to_owned(), |dir| dir.display().to_string());
        let dir = desk.world.cwd.join(&shown);
        let Port(port) = self.port;
        toq_config::init(&dir, &self.name, &self.host, port).map_err(|error| match error {
            ConfigError::Exists(_) => Failure::error(format!("Workspace already initialized ({shown}/ exists)")),
            other => other.into(),
        })?;
        let port = port.map_or("auto".to_owned(), |port| port.to_string());
        desk.output.answer(
            || json!({"config_dir": dir, "agent_name": self.name, "host": self.host, "port": port}),
            || {
                format!(
                    "Initialized workspace in {shown}/\n  Agent: {}\n  Host:  {}\n  Port:  {port}\n\n\
                     Run `toq up` to start the agent",
                    self.name, self.host
                )
            },
        )
    }
}

/// A port, or none for any free one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Port(Option<u16>);

fn port(text: &str) -> Result<Port, String> {
    if text == "auto" {
        return Ok(Port(None));
    }
    let port = text.parse::<u16>().map_err(|_| "neither auto nor a number up to 65535".to_owned())?;
    Ok(Port(Some(port).filter(|port| *port != 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_or_auto() {
        assert_eq!(port("auto"), Ok(Port(None)));
        assert_eq!(port("0"), Ok(Port(None)));
        assert_eq!(port("9010"), Ok(Port(Some(9010))));
        assert!(port("70000").is_err());
        assert!(port("nine").is_err());
    }
}
